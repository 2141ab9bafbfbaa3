package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// OpenAppend opens a file for appending, and creates it with perm. Opening a FIFO that
// no process reads is an error and not a wait.
//
// It does not follow a link that another user can have made: a link must belong to the
// caller or root and stand in a folder where no other user can replace it. A file in a folder
// that other users can write to must belong to the caller or root, and have one name: another
// user may have put it there, or have given it a second name.
func OpenAppend(path string, perm fs.FileMode) (*os.File, error) {
	owners := []int{rootID, os.Geteuid()}
	file, err := walk(path, "", func(s step) error {
		if !s.isLink() || isProcess(s.folder) {
			return nil
		}
		err := judgeOwner(s.path, s.info, owners)
		if err == nil {
			err = judgeFolder(s.folder, owners, true)
		}
		if err != nil {
			return fmt.Errorf("a link is not followed: %w", err)
		}
		return nil
	})
	if file == "" || err != nil && !errors.Is(err, fs.ErrNotExist) {
		var lookup *fs.PathError
		if errors.As(err, &lookup) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: lookup.Err}
		}
		return nil, err
	}
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE | syscall.O_NONBLOCK
	if !isProcess(filepath.Dir(file)) { // the kernel's own link to an open file, as behind /dev/stdout
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(file, flags, perm)
	if err != nil {
		return nil, err
	}
	if err := judgeOpened(f, filepath.Dir(file), owners); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// judgeOpened returns an error if another user can have put an open file into the folder
// where it was found.
func judgeOpened(f *os.File, folder string, owners []int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	place, err := os.Stat(folder)
	if err != nil || !writable(place) {
		return err
	}
	stat, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !known:
		return nil
	case !slices.Contains(owners, int(stat.Uid)):
		return fmt.Errorf("%s belongs to user %d, and other users can write to its folder (mode %#o)", f.Name(), stat.Uid, place.Mode().Perm())
	case info.Mode().IsRegular() && stat.Nlink > 1:
		return fmt.Errorf("%s has %d names, and other users can write to its folder (mode %#o)", f.Name(), stat.Nlink, place.Mode().Perm())
	}
	return nil
}
