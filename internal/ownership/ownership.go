// Package ownership judges whether other users of the machine can decide what a file is:
// by its owner and mode, by those of its folder, and by the symbolic links on the way to it.
//
// A file that is found and not named, such as a configuration in the current folder, must
// not be another user's (CVE-2022-24765 is the same fault in Git). A file that is written to
// must not be reached through another user's link, as with the kernel's
// fs.protected_symlinks, which is off in many containers.
//
// The rules do not look at POSIX access control lists: a list that lets a user write shows
// as a group that may write, and is refused with it.
package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks bounds the symbolic links on the way to a file, as Linux does.
const maxLinks = 40

// rootID is the user and the group of root.
const rootID = 0

// Check returns an error unless the file at path, its folder, and every link and folder that
// a link leads through belong to the caller (effective user id) or root, and no other user
// or group can write to them. A folder with the sticky bit, such as /tmp, is accepted on the
// way, but neither for the file nor for a link: another user can put a file there that does
// not exist yet. The error names the path, its owner or its mode.
func Check(path string) error {
	owners := []int{rootID, os.Geteuid()}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		folder, err = filepath.Abs(folder)
	}
	if err != nil {
		return err
	}
	_, err = walk(filepath.Join(folder, filepath.Base(path)), folder, func(s step) error {
		holds := !s.info.IsDir()
		if err := judgeFolder(s.folder, owners, !holds); err != nil {
			return err
		}
		if err := judgeOwner(s.path, s.info, owners); err != nil {
			return err
		}
		if holds && !s.isLink() && writable(s.info) {
			return fmt.Errorf("%s can be written to by other users (mode %#o)", s.path, s.info.Mode().Perm())
		}
		return nil
	})
	return err
}

// CheckLinks returns an error if a symbolic link on the way to path, or path itself, is a
// link that belongs neither to the caller, root nor one of owners. A file that does not
// exist is no error.
func CheckLinks(path string, owners ...int) error {
	owners = append([]int{rootID, os.Geteuid()}, owners...)
	_, err := walk(path, "", func(s step) error {
		if !s.isLink() {
			return nil
		}
		return judgeOwner(s.path, s.info, owners)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// step is one name on the way to a file.
type step struct {
	folder string // that it stands in, free of links
	path   string
	info   fs.FileInfo // of itself, also if it is a link
}

func (s step) isLink() bool { return s.info.Mode().Type() == fs.ModeSymlink }

// walk calls visit with each name on the way to path, and with those that links lead
// through, until visit returns an error or the last name is no link. Names up to from are
// not visited; "" stands for the root of the file system or, for a relative path, the
// current folder. walk returns the path of the file without links, also if only the file
// itself does not exist; a link of /proc, whose text is no path, stays as it is.
func walk(path, from string, visit func(step) error) (file string, err error) {
	folder := "/"
	if from != "" {
		folder, path = from, strings.TrimPrefix(path, from)
	} else if !filepath.IsAbs(path) {
		if folder, err = os.Getwd(); err == nil {
			folder, err = filepath.EvalSymlinks(folder)
		}
		if err != nil {
			return "", err
		}
	}
	names := strings.Split(path, "/")
	for links := 0; len(names) > 0; {
		name := names[0]
		names = names[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			folder = filepath.Dir(folder)
			continue
		}
		s := step{folder: folder, path: filepath.Join(folder, name)}
		if s.info, err = os.Lstat(s.path); err != nil {
			if len(names) > 0 {
				return "", err
			}
			return s.path, err
		}
		if err := visit(s); err != nil {
			return "", err
		}
		if !s.isLink() || isProcess(folder) {
			folder = s.path
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: s.path, Err: syscall.ELOOP}
		}
		target, err := os.Readlink(s.path)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			folder = "/"
		}
		names = append(strings.Split(target, "/"), names...)
	}
	return folder, nil
}

// isProcess reports whether a folder belongs to /proc, whose links the kernel follows to an
// open file or to a folder, whatever their text is.
func isProcess(folder string) bool { return folder == "/proc" || strings.HasPrefix(folder, "/proc/") }

// judgeFolder returns an error if other users can put, replace or remove files in a folder.
// With sticky, a folder is accepted in which only the owner of a file can replace it.
func judgeFolder(folder string, owners []int, sticky bool) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	if err := judgeOwner(folder, info, owners); err != nil {
		return err
	}
	if writable(info) && !(sticky && info.Mode()&fs.ModeSticky != 0) {
		return fmt.Errorf("folder %s can be written to by other users (mode %#o)", folder, info.Mode().Perm())
	}
	return nil
}

func judgeOwner(path string, info fs.FileInfo, owners []int) error {
	if owner, known := Owner(info); known && !slices.Contains(owners, owner) {
		kind := ""
		switch info.Mode().Type() {
		case fs.ModeDir:
			kind = "folder "
		case fs.ModeSymlink:
			kind = "link "
		}
		return fmt.Errorf("%s%s belongs to user %d (mode %#o), this process runs as user %d", kind, path, owner, info.Mode().Perm(), os.Geteuid())
	}
	return nil
}

// Owner returns the user id that a file belongs to, and whether the system knows one.
func Owner(info fs.FileInfo) (id int, known bool) {
	stat, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return int(stat.Uid), true
}

// writable reports whether a user other than the owner and root can write. Members of
// root's group may write to what belongs to root.
func writable(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	stat, known := info.Sys().(*syscall.Stat_t)
	if known && stat.Uid == rootID && stat.Gid == rootID {
		mode &^= 0o020
	}
	return mode&0o022 != 0
}
