package boltfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// LockWait is how long [Lock] waits for another process to let go of a file.
const LockWait = 500 * time.Millisecond

// ErrInUse says that another process holds the file.
var ErrInUse = errors.New("in use by another process")

// Lock takes a lock of the whole file as bbolt does (how: LOCK_SH or LOCK_EX), until the file
// is closed. If another process does not release its lock in time, it returns [ErrInUse].
func Lock(f *os.File, how int) error {
	for deadline := time.Now().Add(LockWait); ; time.Sleep(LockWait / 10) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%w%s", ErrInUse, Holder(f.Name()))
		}
	}
}

// PidFile returns the path of the file with the number of the process that holds a database.
func PidFile(path string) string { return path + ".pid" }

// Holder names the process that holds the database, for errors; "" if it is not known.
func Holder(path string) string {
	b, err := os.ReadFile(PidFile(path))
	pid := strings.TrimSpace(string(b))
	if err != nil || pid == "" {
		return ""
	}
	return " (pid " + pid + ", says " + filepath.Base(PidFile(path)) + ")"
}
