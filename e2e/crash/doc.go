// Package crash holds the tests that prove, on the real program and under fault, what
// docs/reliability.md promises: what is acknowledged is on disk, and nobody is admitted
// more often than the quota allows.
//
// The program runs with a seccomp filter that hands every system call which changes the
// database's files to the test before it happens (supervisor_test.go). So the program
// can be killed at each of them, the disk can fail, fill up, hang and get well again,
// and the exact stream of writes and syncs can be recorded.
//
//	go test ./e2e/crash         a short form, also part of make test
//	go test ./e2e/crash -full   all of it: make crash
package crash
