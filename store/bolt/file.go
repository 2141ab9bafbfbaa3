package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sidekey/auth"
	"sidekey/internal/broken"
	"sidekey/internal/durable"
	"sidekey/store/bolt/boltfile"
)

// file is an open database file. It is replaced as a whole after a failed commit, and not
// under a lock: where bbolt has panicked it may hold its own for ever, and so may whoever
// waits for them.
type file struct {
	db   *bbolt.DB
	os   *os.File
	info os.FileInfo // as it was opened

	settled bool // by settle: may be written to
}

// view runs f in a reading transaction, if one began.
func (f *file) view(read func(tx *bbolt.Tx) error) (began bool, err error) {
	defer damaged(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	err = f.db.View(func(tx *bbolt.Tx) error {
		began = true
		return read(tx)
	})
	return began, err
}

// errPanicked marks an error that was a panic of bbolt.
var errPanicked = errors.New("the file makes no sense")

// damaged turns a panic into an error. bbolt panics on pages that make no sense, and
// with debug.SetPanicOnFault reading behind the end of a file that was cut short is a
// panic as well, where it would end the process.
func damaged(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %w: %v", auth.ErrDamaged, errPanicked, p)
	}
}

func openFile(path string) (_ *file, err error) {
	f := &file{}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, err)
			letGo(f.os)
		}
	}()
	defer damaged(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	f.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         boltfile.LockWait,
		NoSync:          broken.Is("nosync"),
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapSize(path),
		OpenFile: func(path string, flag int, mode os.FileMode) (_ *os.File, err error) {
			f.os, err = openExisting(path, flag, mode)
			return f.os, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w%s", boltfile.ErrInUse, boltfile.Holder(path))
	case err != nil:
		return nil, err
	}
	if f.info, err = f.os.Stat(); err == nil {
		err = bringUpToDate(f.db, migrations[:])
	}
	if err != nil {
		f.db.Close()
		return nil, err
	}
	return f, nil
}

// mapSize is how much address space is reserved for a file: growing the map waits for
// readers, and everybody waits for it. Space that is not used costs no memory.
func mapSize(path string) int {
	const least = 1 << 30
	info, err := os.Stat(path)
	if err != nil || strconv.IntSize < 64 {
		return 64 << 20
	}
	return max(least, int(4*info.Size()))
}

// settle makes durable what opening the file has shown. The newest meta page may be in the
// page cache alone: its writer was killed before the sync, or the sync failed, after which
// the kernel takes the page for written. The next commit would free the pages of the state
// before it, which then is the newest on disk, and a power cut would leave neither.
// So may the file's name be, where a compaction was killed: the cut would bring the file
// back that it replaced.
func (f *file) settle() error {
	if broken.Is("nofirstsync") {
		f.settled = true
		return nil
	}
	if err := durable.SyncDir(filepath.Dir(f.db.Path())); err != nil {
		return err
	}
	metas := make([]byte, 2*f.db.Info().PageSize)
	if _, err := f.os.ReadAt(metas, 0); err != nil {
		return err
	}
	if _, err := f.os.WriteAt(metas, 0); err != nil {
		return err
	}
	if err := f.os.Sync(); err != nil {
		return err
	}
	f.settled = true
	return nil
}

// letGo gives up the lock that bbolt keeps when it panics. Closing the file alone does
// not: the memory map that it leaves behind holds on to the lock.
func letGo(f *os.File) {
	if f != nil {
		syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		f.Close()
	}
}

// openExisting never makes a file, and never gives bbolt an empty one, which it would
// take for one to be made.
func openExisting(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = errors.New("this is no database of sidekey: the file is empty")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// TryOpen opens a database as [Open] does, but for reading only, and reads a little of
// each bucket. On a file that [boltfile.Verify] finds usable that does no harm; it is for a process
// that can be spared.
func TryOpen(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		ReadOnly: true, Timeout: boltfile.LockWait, FreelistType: bbolt.FreelistMapType, PreLoadFreelist: true,
		OpenFile: openExisting,
	})
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		for _, name := range boltfile.Buckets {
			tx.Bucket(name).Cursor().Last()
		}
		return nil
	})
}
