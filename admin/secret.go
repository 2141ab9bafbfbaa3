package admin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// minSecret is the shortest secret that is accepted.
const minSecret = 16

// LoadSecret reads the admin secret from a file, or generates one where the file does
// not exist (created is then true). The file must be readable by its owner alone.
func LoadSecret(path string) (secret string, created bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret, err = generateSecret(path)
		return secret, true, err
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
	text, err := os.ReadFile(path)
	if err != nil {
		return "", false, err
	}
	secret = strings.TrimRight(string(text), "\r\n")
	switch {
	case len(secret) < minSecret, strings.TrimSpace(secret) != secret, strings.ContainsFunc(secret, notInHeader):
		return "", false, fmt.Errorf("%s: a secret of at least %d printable ASCII characters without space at its ends is wanted", path, minSecret)
	case slices.Contains(published, strings.ToLower(secret)):
		return "", false, fmt.Errorf("%s: this secret stands in published examples; delete the file to have one generated", path)
	}
	return secret, false, nil
}

// notInHeader reports what a client could not send as a secret.
func notInHeader(r rune) bool { return r < ' ' || r >= 0x7f }

// published are secrets of the examples that Tyk's users copy.
var published = []string{"352d20ee67be67f6340b4c0605b044b7", "12345678901234567890"}

// generateSecret makes the file with a secret in it: it appears complete or not at all, and
// survives a power cut.
func generateSecret(path string) (string, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(temp.Name())
	secret := rand.Text()
	_, err = temp.WriteString(secret + "\n")
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return "", err
	}
	// Unlike a rename, a link never replaces a file.
	if err := os.Link(temp.Name(), path); err != nil {
		return "", err
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	return secret, errors.Join(d.Sync(), d.Close())
}
