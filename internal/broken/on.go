//go:build broken

// Package broken breaks promises on purpose, to show that the crash tests notice.
package broken

import "os"

var fault = os.Getenv("SIDEKEY_BROKEN")

// Is reports whether the variable SIDEKEY_BROKEN names this promise:
//
//	nosync        commits are not synced
//	nofirstsync   what is found when a file is opened is not synced before it is built upon
//	ackfirst      writes are acknowledged before their commit
//	nochecksum    records are used whatever their checksums say
//	nodirsync     the names of new files and folders are not synced
//	nofilesync    a compaction's file gets the database's name before it is synced
//	norenamesync  it is written to before that name is synced
func Is(promise string) bool { return fault == promise }
