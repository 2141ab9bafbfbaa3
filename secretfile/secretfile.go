// Package secretfile reads and makes files whose text is for one user's eyes.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sidekey/internal/ownership"
)

// Load returns the text of a file, without the line end behind it. A file that does not
// exist is made with the text that generate returns (created is then true); it appears
// as a whole or not at all, and is on disk when Load returns. Otherwise it is as [Read]
// says.
func Load(path string, generate func() string) (text string, created bool, err error) {
	text, err = Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = generate()
		return text, true, create(path, text+"\n")
	}
	return text, false, err
}

// Read returns the text of a file, without the line end behind it. The file must be
// readable by its owner alone, and it and each symbolic link to it must belong to this
// process's user, to root or to one of owners.
func Read(path string, owners ...int) (string, error) {
	if err := ownership.CheckLinks(path, owners...); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO is refused below, not waited for
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if owner, known := ownership.Owner(info); known && owner != os.Geteuid() && owner != 0 && !slices.Contains(owners, owner) {
		return "", fmt.Errorf("%s: belongs to user %d, who could change it: this process runs as %d", path, owner, os.Geteuid())
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return "", fmt.Errorf("%s: must be a regular file, not %s", path, mode.Type())
	case mode.Perm()&0o077 != 0:
		return "", fmt.Errorf("%s: mode %#o lets others read the secret: chmod 600 it", path, mode.Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%s: must have at most %d bytes", path, maxText)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// maxText bounds what is read of a file, in bytes: a secret is far shorter.
const maxText = 64 << 10

func create(path, text string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // replaces nothing, as a rename would
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
