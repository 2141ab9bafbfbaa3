//go:build broken

package bolt

import "os"

var fault = os.Getenv("SIDEKEY_BROKEN")

// broken reports whether the promise that is broken on purpose is this one:
//
//	nosync        commits are not synced
//	nosettle      what is found at an opening is taken to be durable
//	ackfirst      writes are acknowledged before their commit
//	nochecksum    records are used whatever their checksums say
//	nofilesync    a compaction's file gets the database's name before it is synced
//	norenamesync  it is written to before that name is synced
func broken(promise string) bool { return fault == promise }
