package main

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

	"sidekey/command"
	"sidekey/config"
	"sidekey/store/bolt"
	"sidekey/store/bolt/boltfile"
)

// verifyCommand is how the program starts itself to verify a database.
const verifyCommand = "verify-database"

func databasePath(c config.Config) string { return filepath.Join(c.DataDir, "sidekey.db") }

// openVerified opens the database, or says on one line why it must not be used. Users
// whose records are damaged are named in the log and refused; nobody else is.
func openVerified(path string, log *slog.Logger) (*bolt.Store, error) {
	report, err := verifyInChild(path, verifyLimit(path))
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

// verifyLimit is how long a database may take to be verified: a slow disk reads 20 MB a
// second.
func verifyLimit(path string) time.Duration {
	limit := 8 * time.Second
	if info, err := os.Stat(path); err == nil {
		limit += time.Duration(info.Size()/20) * time.Microsecond
	}
	return limit
}

// verifyInChild verifies a database in a process of its own: bbolt on a damaged file can
// end the process in ways that nothing catches, or never come back. The memory that it
// takes to go over a large file goes with it. A file that is not there is a good one.
func verifyInChild(path string, limit time.Duration) (report boltfile.Report, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return boltfile.Report{}, nil
	}
	self, err := os.Executable()
	if err != nil {
		return boltfile.Report{}, fmt.Errorf("verify %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out, problem bytes.Buffer
	child := exec.CommandContext(ctx, self, verifyCommand, path)
	child.Stdout, child.Stderr, child.WaitDelay = &out, &problem, time.Second
	err = child.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return boltfile.Report{}, fmt.Errorf("verify %s: not done within %v: the file is damaged or the disk is", path, limit)
	case err == nil:
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			return boltfile.Report{}, fmt.Errorf("BUG: what verify says is not understood: %w", err)
		}
	case errors.As(err, &ended) && ended.ExitCode() == command.ExitFailed:
		return boltfile.Report{}, errors.New(said(&problem))
	case errors.As(err, &ended) && ended.ExitCode() == exitInUse:
		return boltfile.Report{}, inUse(said(&problem))
	case errors.As(err, &ended):
		return boltfile.Report{}, fmt.Errorf("verify %s: the file ends whoever opens it (%v): restore a backup", path, ended)
	default:
		return boltfile.Report{}, fmt.Errorf("verify %s: %w", path, err)
	}
	if err := report.Usable(); err != nil {
		return boltfile.Report{}, fmt.Errorf("verify %s: %w; sidekey check-db names all, sidekey restore puts a backup in its place", path, err)
	}
	return report, nil
}

// exitInUse is the exit code of the child where another process has the database open.
const exitInUse = 3

// inUse is a [boltfile.ErrInUse] in the child's words.
type inUse string

func (e inUse) Error() string        { return string(e) }
func (e inUse) Is(target error) bool { return target == boltfile.ErrInUse }

func said(problem *bytes.Buffer) string {
	return strings.TrimPrefix(strings.TrimSpace(problem.String()), "sidekey: ")
}

// verifyDatabase is the child of verifyInChild. It opens what is whole as bbolt does: if
// that ends a process, it had better be this one.
func verifyDatabase(args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintf(stderr, "usage: sidekey %s FILE\n", verifyCommand)
		return command.ExitUsage
	}
	report, err := boltfile.Verify(args[0])
	if err == nil && report.Usable() == nil {
		err = bolt.TryOpen(args[0])
	}
	if err != nil {
		fmt.Fprintln(stderr, "sidekey:", err)
		if errors.Is(err, boltfile.ErrInUse) {
			return exitInUse
		}
		return command.ExitFailed
	}
	if err := json.NewEncoder(stdout).Encode(report); err != nil {
		return command.ExitFailed
	}
	return command.ExitDone
}
