package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sidekey/internal/durable"
	"sidekey/store/bolt/boltfile"
)

// Restored is what [Restore] did.
type Restored struct {
	boltfile.Report
	Kept string `json:"kept"` // path of the database that was there; "": there was none
}

// Restore replaces the database at path, which no process may have open, by a copy of a
// backup. The database that was there gets another name beside it. If Restore fails, path is
// unchanged.
func Restore(path, backup string, now time.Time) (done Restored, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore %s: %w", backup, err)
		}
	}()
	dir := filepath.Dir(path)
	if err := durable.MkdirAll(dir); err != nil {
		return done, err
	}
	old, err := os.Open(path)
	if err == nil {
		defer old.Close() // and with it the lock
		err = boltfile.Lock(old, syscall.LOCK_EX)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, err
	}

	temp, err := durable.Create(path, ".restore-")
	if err != nil {
		return done, err
	}
	defer temp.Discard()
	if err := errors.Join(copyFrom(temp, backup), giveToOwner(temp.File, dir), temp.Finish()); err != nil {
		return done, err
	}
	// The copy, not the backup: what is verified must be what is used.
	if done.Report, err = boltfile.Verify(temp.Name()); err != nil {
		return done, err
	}
	if !done.Clean() {
		return done, errNotClean(done.Report)
	}
	if old != nil {
		// A link first, so that there is a database at path at every moment.
		done.Kept = path + ".before-restore-" + now.UTC().Format("20060102T150405.000Z")
		if err := os.Link(path, done.Kept); err != nil {
			return done, err
		}
	}
	err = temp.Replace()
	if failed := (*os.LinkError)(nil); done.Kept != "" && errors.As(err, &failed) { // the database must not have two names
		err = errors.Join(err, os.Remove(done.Kept))
	}
	return done, err
}

// giveToOwner gives a file that root has made to the owner of the folder, who could not open
// it otherwise.
func giveToOwner(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 {
		return nil
	}
	return f.Chown(int(stat.Uid), int(stat.Gid))
}

func copyFrom(to io.Writer, path string) error {
	from, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	if info, err := from.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, errors.New("must be a regular file"))
	}
	_, err = io.Copy(to, from)
	return err
}

// errNotClean says on one line what is wrong with a backup.
func errNotClean(r boltfile.Report) error {
	if err := r.Usable(); err != nil {
		return err
	}
	return fmt.Errorf("it has %d damaged records, the first is %s", len(r.Damaged), r.Damaged[0])
}
