// Package durable puts files in place so that a crash or a power cut leaves the old file or
// the new one, whole, and never a part.
//
// A [File] is written under a temporary name in the folder where it belongs. Its text is
// synced before it gets its name, and the folder is synced before the caller goes on:
// without the first a power cut can leave an empty file, without the second no file.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sidekey/internal/broken"
)

// File is a file in the making. Its mode is 0600.
type File struct {
	*os.File
	path   string
	closed bool // and synced
}

// Create makes a temporary file in the folder of path, named after path, mark and a random
// number. [File.Replace] or [File.Link] gives it the name path. [File.Discard], which the
// caller defers, removes it if neither has.
func Create(path, mark string) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+mark+"*")
	if err != nil {
		return nil, err
	}
	return &File{File: f, path: path}, nil
}

// Finish syncs and closes the file. Until it has its name it can be opened as File.Name().
func (f *File) Finish() error {
	if f.closed {
		return nil
	}
	f.closed = true
	return errors.Join(f.Sync(), f.Close())
}

// Replace gives the file its name, in place of the file that has it.
func (f *File) Replace() error {
	if err := f.Finish(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(f.path))
}

// Link gives the file its name unless there is a file that has it, which is [fs.ErrExist].
func (f *File) Link() error {
	if err := f.Finish(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), f.path); err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(f.path))
}

// Discard closes the file and removes its temporary name. After Replace or Link it does
// nothing.
func (f *File) Discard() {
	if !f.closed {
		f.closed = true
		f.Close()
	}
	os.Remove(f.Name())
}

// WriteFile replaces the file at path by one with this text and mode 0600.
func WriteFile(path string, text []byte) error {
	f, err := Create(path, ".")
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Replace()
}

// MkdirAll makes a folder, and those above it, with mode 0700 and durable names.
func MkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	if broken.Is("nodirsync") {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
