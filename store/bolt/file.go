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

// file is an open database file. After a failed commit it is replaced as a whole, without a
// lock: if bbolt has panicked it may hold its own locks forever, and so may every goroutine
// that waits for them.
type file struct {
	db   *bbolt.DB
	os   *os.File
	info os.FileInfo // as it was opened

	writable bool // by syncOpened
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

// damaged turns a panic into an error. bbolt panics on pages that make no sense. With
// debug.SetPanicOnFault, reading beyond the end of a file that was cut short is a panic as
// well, instead of the end of the process.
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

// mapSize returns how many bytes of address space to reserve for a file. Growing the map
// waits for readers, and all others wait for that. Unused address space costs no memory.
func mapSize(path string) int {
	const minSize = 1 << 30
	info, err := os.Stat(path)
	if err != nil || strconv.IntSize < 64 {
		return 64 << 20
	}
	return max(minSize, int(4*info.Size()))
}

// syncOpened makes durable what opening the file has found. The newest meta page may be in the
// page cache only: its writer was killed before the sync, or the sync failed, after which the
// kernel takes the page for written. The next commit would free the pages of the state before
// it, which is then the newest on disk, and a power cut would leave neither. The file's name
// may be in the cache only as well, if a compaction was killed: a power cut would bring back
// the file that it replaced.
func (f *file) syncOpened() error {
	if broken.Is("nofirstsync") {
		f.writable = true
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
	f.writable = true
	return nil
}

// letGo releases the lock that bbolt still holds after a panic. Closing the file does not
// suffice: the memory map that is left behind holds the lock.
func letGo(f *os.File) {
	if f != nil {
		syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		f.Close()
	}
}

// openExisting opens a file, never creates one, and refuses an empty one, which bbolt would
// initialise.
func openExisting(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = errors.New("not a database of sidekey: the file is empty")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// TryOpen opens a database for reading only, otherwise as [Open] does, and reads a little of
// each bucket. It changes nothing. bbolt may crash the process on a file that it cannot read,
// so TryOpen is for a child process, after [boltfile.Verify] has found the file usable.
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
