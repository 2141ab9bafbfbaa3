//go:build broken

package durable

import "os"

var fault = os.Getenv("SIDEKEY_BROKEN")

// broken reports whether the promise that is broken on purpose is this one:
//
//	nodirsync  the names of new files and folders are not synced
func broken(promise string) bool { return fault == promise }
