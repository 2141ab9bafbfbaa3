// Package secretfile reads and creates files that only one user may read.
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

	"sidekey/internal/durable"
	"sidekey/internal/ownership"
)

// Load returns the text of a file, without the line end after it. If the file does not exist, Load
// creates it with the text that generate returns (created is then true): it appears completely or
// not at all, and is on disk when Load returns. Otherwise Load is like [Read].
func Load(path string, generate func() string) (text string, created bool, err error) {
	text, err = Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = generate()
		return text, true, create(path, text+"\n")
	}
	return text, false, err
}

// Read returns the text of a file, without the line end after it. Only the owner may be able to read
// the file. The file and each symbolic link to it must belong to the user of this process, to root or
// to one of owners.
func Read(path string, owners ...int) (string, error) {
	if err := ownership.CheckLinks(path, owners...); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // so that a FIFO is refused below and does not block
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

// maxText is the maximum size of a file in bytes. A secret is far shorter.
const maxText = 64 << 10

// create puts a new file at path, durably. It returns fs.ErrExist if there is one.
func create(path, text string) error {
	if err := durable.MkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := durable.Create(path, ".")
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Link() // unlike a rename, it does not replace a file
}
