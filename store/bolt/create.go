package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"

	"sidekey/internal/durable"
	"sidekey/store/bolt/boltfile"
)

// create makes an empty database at path unless something is there. The file gets its name
// complete or not at all: a crash while bbolt writes its first pages would leave a file that
// it cannot open.
func create(path string) error {
	dir, temporary := filepath.Dir(path), filepath.Base(path)+".new-"
	switch _, err := os.Lstat(path); {
	case err == nil:
		return removeUnfinished(dir, temporary)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	temp, err := durable.Create(path, ".new-")
	if err != nil {
		return err
	}
	defer temp.Discard()
	if err := temp.Finish(); err != nil { // bbolt opens it itself
		return err
	}
	if err := initialise(temp.Name()); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces a file that another process has created and
	// opened since.
	if err := temp.Link(); err != nil {
		if _, missing := os.Lstat(path); missing != nil {
			return err
		}
		// Another process was first. It may also have removed the temporary file.
	}
	if err := removeUnfinished(dir, temporary); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// removeUnfinished removes the temporary files in dir of a database that exists now: those
// that a crash left, and those of a process that made it at the same time and came second.
func removeUnfinished(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// initialise makes an empty database of a file that is empty.
func initialise(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: boltfile.LockWait})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range boltfile.Buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		if err := putVersion(tx, boltfile.FormatVersion); err != nil {
			return err
		}
		var none sums
		return none.save(tx)
	})
	return errors.Join(err, db.Close())
}

// checkFile refuses a file that other users could read, write or have put there.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...))
	}
	if !info.Mode().IsRegular() {
		return refuse("must be a regular file, not %s", info.Mode().Type())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return refuse("mode %#o lets others in: chmod 600 it", mode)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if int(stat.Uid) != os.Geteuid() {
			return refuse("belongs to user %d, this process runs as %d", stat.Uid, os.Geteuid())
		}
		if stat.Nlink > 1 {
			return refuse("has %d names (hard links), must have one", stat.Nlink)
		}
	}
	return nil
}

// checkFolder refuses a folder in which other users could create or replace the file: the
// sticky bit would prevent the second, but not the first.
func checkFolder(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: its folder %s must be a directory", path, dir)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return fmt.Errorf("%s: its folder belongs to user %d, which could replace the file: this process runs as %d", path, stat.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%s: its folder has mode %#o: others could replace the file; chmod 700 it", path, mode)
	}
	return nil
}

// removeLeftovers removes the temporary files of processes that were killed. Only the process
// that holds the database makes them.
func removeLeftovers(path string) error {
	var problems []error
	for _, made := range []string{".compact-*", ".backup-*", ".restore-*"} {
		names, err := filepath.Glob(path + made)
		problems = append(problems, err)
		for _, name := range names {
			problems = append(problems, os.Remove(name))
		}
	}
	return errors.Join(problems...)
}
