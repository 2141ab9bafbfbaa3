//go:build !broken

// Package broken breaks promises on purpose, in a build with the tag broken, to show that
// the crash tests notice. The package limiter, which imports the standard library alone, has
// a hook of its own.
package broken

// Is reports whether a promise is broken: never, without the tag. The compiler then leaves
// the hooks out.
func Is(string) bool { return false }
