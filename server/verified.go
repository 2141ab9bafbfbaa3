package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sidekey/config"
	"sidekey/store/bolt"
	"sidekey/store/bolt/boltfile"
)

// VerifyCommand is the argument with which the program starts itself to verify a database.
const VerifyCommand = "verify-database"

func databasePath(c config.Config) string { return filepath.Join(c.DataDir, "sidekey.db") }

// openVerified opens the database, or returns an error of one line that says why it must not be
// used. Users whose records are damaged are named in the log and refused; all others are served.
func openVerified(path string, log *slog.Logger) (*bolt.Store, error) {
	report, err := verifyInChild(path, verifyTimeout(path))
	if err != nil {
		return nil, err
	}
	s, err := bolt.Open(path, log)
	if err != nil {
		return nil, err
	}
	s.NoteDamage(report)
	return s, nil
}

// verifyTimeout returns how long verifying a database may take. A slow disk reads 20 MB a second.
func verifyTimeout(path string) time.Duration {
	timeout := 8 * time.Second
	if info, err := os.Stat(path); err == nil {
		timeout += time.Duration(info.Size()/20) * time.Microsecond
	}
	return timeout
}

// verifyInChild verifies a database in a child process: with a damaged file bbolt can end the
// process in ways that nothing catches, or hang. The memory that verifying a large file takes is
// also freed with the child. A file that does not exist is valid.
func verifyInChild(path string, timeout time.Duration) (report boltfile.Report, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return boltfile.Report{}, nil
	}
	self, err := os.Executable()
	if err != nil {
		return boltfile.Report{}, fmt.Errorf("verify %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var out, problem bytes.Buffer
	child := exec.CommandContext(ctx, self, VerifyCommand, path)
	child.Stdout, child.Stderr, child.WaitDelay = &out, &problem, time.Second
	err = child.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return boltfile.Report{}, fmt.Errorf("verify %s: not done within %v: the file or the disk is damaged", path, timeout)
	case err == nil:
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			return boltfile.Report{}, fmt.Errorf("BUG: cannot read what verify prints: %w", err)
		}
	case errors.As(err, &ended) && ended.ExitCode() == exitUnusable:
		return boltfile.Report{}, errors.New(message(&problem))
	case errors.As(err, &ended) && ended.ExitCode() == exitInUse:
		return boltfile.Report{}, inUse(message(&problem))
	case errors.As(err, &ended):
		return boltfile.Report{}, fmt.Errorf("verify %s: the file crashes every process that opens it (%v): restore a backup", path, ended)
	default:
		return boltfile.Report{}, fmt.Errorf("verify %s: %w", path, err)
	}
	if err := report.Usable(); err != nil {
		return boltfile.Report{}, fmt.Errorf("verify %s: %w; sidekey check-db names all, sidekey restore puts a backup in its place", path, err)
	}
	return report, nil
}

// Exit codes of the child besides 0. A panic of Go exits with 2.
const (
	exitUnusable = 1 // standard error says why
	exitInUse    = 3 // another process has the database open
)

// inUse is a [boltfile.ErrInUse] in the words of the child.
type inUse string

func (e inUse) Error() string        { return string(e) }
func (e inUse) Is(target error) bool { return target == boltfile.ErrInUse }

func message(problem *bytes.Buffer) string {
	return strings.TrimPrefix(strings.TrimSpace(problem.String()), "sidekey: ")
}

// Verify is the main function of the child: it verifies the database that its argument names,
// prints a [boltfile.Report] as JSON, and returns the exit code. It also opens a valid database as
// bbolt does: if that crashes a process, it must be this one.
func Verify(args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintf(stderr, "usage: sidekey %s FILE\n", VerifyCommand)
		return exitUnusable
	}
	report, err := boltfile.Verify(args[0])
	if err == nil && report.Usable() == nil {
		err = bolt.TryOpen(args[0])
	}
	if err == nil {
		err = json.NewEncoder(stdout).Encode(report)
	}
	switch {
	case errors.Is(err, boltfile.ErrInUse):
		fmt.Fprintln(stderr, "sidekey:", err)
		return exitInUse
	case err != nil:
		fmt.Fprintln(stderr, "sidekey:", err)
		return exitUnusable
	}
	return 0
}
