// Package secretfile reads and creates files that only one user may read.
package secretfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"sidekey/internal/durable"
)

// Load returns the text of a file, without the line end after it. If the file does not exist, Load
// creates it with the text that generate returns (created is then true): it appears completely or
// not at all, and is on disk when Load returns. Only the owner may be able to read the file, and the
// owner must be the user of this process or root.
func Load(path string, generate func() string) (text string, created bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = generate()
		return text, true, create(path, text+"\n")
	}
	if err != nil {
		return "", false, err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return "", false, fmt.Errorf("%s: belongs to user %d, who could change it: this process runs as %d", path, stat.Uid, os.Geteuid())
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return "", false, fmt.Errorf("%s: mode %#o lets others read the secret: chmod 600 it", path, mode.Perm())
	}
	raw, err := os.ReadFile(path)
	return strings.TrimRight(string(raw), "\r\n"), false, err
}

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
	return f.Link() // replaces nothing, as a rename would
}
