package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"go.etcd.io/bbolt"
)

// create makes an empty database at path unless something is there. The file
// appears under its name complete or not at all: a crash while bbolt writes its
// first pages would leave a file that it cannot open.
func create(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := temp.Close(); err != nil {
		return err
	}
	if err := initialise(temp.Name()); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces a file that another process has
	// created and opened meanwhile.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Remove(temp.Name()); err != nil {
		return err
	}
	return syncDir(dir)
}

func initialise(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		format := []byte(strconv.Itoa(formatVersion))
		return tx.Bucket(bucketMeta).Put(keyFormat, seal(bucketMeta, keyFormat, format))
	})
	return errors.Join(err, db.Close())
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkFile refuses a file that others could read, write or have put there.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...))
	}
	if !info.Mode().IsRegular() {
		return refuse("a regular file is wanted, not %s", info.Mode().Type())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return refuse("mode %#o lets others in: chmod 600 it", mode)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if int(stat.Uid) != os.Geteuid() {
			return refuse("belongs to user %d, this process runs as %d", stat.Uid, os.Geteuid())
		}
		if stat.Nlink > 1 {
			return refuse("has %d names (hard links): one is wanted", stat.Nlink)
		}
	}
	return nil
}

// checkFolder refuses a folder in which others could put a file, ours or one in its place:
// the sticky bit would keep them from the second, but not from the first.
func checkFolder(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: a folder is wanted: %s is not a directory", path, dir)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return fmt.Errorf("%s: its folder belongs to user %d, who could replace the file: this process runs as %d", path, stat.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%s: its folder has mode %#o: others could replace the file; chmod 700 it", path, mode)
	}
	return nil
}
