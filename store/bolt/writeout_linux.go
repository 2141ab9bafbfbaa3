package bolt

import (
	"errors"
	"os"
	"syscall"
)

// writeOut has the disk write what is dirty of f, and waits for it. Nothing is durable by it
// that was not: it bounds what the disk has to write when somebody else waits for a sync.
func writeOut(f *os.File) error {
	const waitBefore, write, waitAfter = 1, 2, 4 // as in linux/fs.h
	err := syscall.SyncFileRange(int(f.Fd()), 0, 0, waitBefore|write|waitAfter)
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) { // a sandbox does not know it
		return nil
	}
	return err
}
