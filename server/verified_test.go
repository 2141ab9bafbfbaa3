package server

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidekey/internal/testutil"
	"sidekey/store/bolt"
)

// verifyVariable tells the child that verifies a database for a test how to end.
const verifyVariable = "SIDEKEY_VERIFY"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == VerifyCommand {
		os.Exit(verifyAsTold(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// verifyAsTold makes the test's own binary the child that verifies a database, and ends it as the
// variable says.
func verifyAsTold(args []string) int {
	switch os.Getenv(verifyVariable) {
	case "panic":
		panic("unexpected fault address")
	case "killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hangs":
		select {}
	}
	return Verify(args, os.Stdout, os.Stderr)
}

// Whatever a file does to the process that opens it, the error is one line.
func TestVerifyInChild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sidekey.db")
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f := func(how, want string) {
		t.Helper()
		t.Setenv(verifyVariable, how)
		began := time.Now()
		limit := testutil.Patience
		if how == "hangs" {
			limit = time.Second
		}
		_, err := verifyInChild(path, limit)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", how, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %v is not one line with the file's name", how, err)
		}
		if took := time.Since(began); took > limit+testutil.Patience {
			t.Errorf("%s: took %v", how, took)
		}
	}
	f("a file that is not there", "")
	s, err := bolt.Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f("a file that is open", "in use by another process (pid ")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f("a good one", "")
	f("panic", "the file crashes every process that opens it (exit status 2)")
	f("killed", "the file crashes every process that opens it (signal: killed")
	f("hangs", "not done within 1s")
	if err := os.WriteFile(path, bytes.Repeat([]byte("noise"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	f("noise", "the database is damaged: page 0: not a valid meta page; sidekey check-db names all")
}
