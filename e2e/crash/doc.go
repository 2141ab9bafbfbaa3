// Package crash holds the tests that prove, on the real program and under faults, what
// docs/reliability.md promises: what is acknowledged is on disk, and no user is admitted more often
// than the quota allows.
//
// The program runs with a seccomp filter that passes every system call that changes the files of the
// database to the test before it happens (supervisor_test.go). So tests can kill the program at each
// of them, make the disk fail, fill up, hang and recover, and record the exact sequence of writes and
// syncs.
//
//	go test ./e2e/crash         a short form, also part of make test
//	go test ./e2e/crash -full   all of it: make crash
package crash
