//go:build broken

package limiter

import "os"

var fault = os.Getenv("SIDEKEY_BROKEN")

// broken reports whether the promise that is broken on purpose is this one:
//
//	quotalate  requests are admitted before their reservation is durable
func broken(promise string) bool { return fault == promise }
