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

func generateSecret(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	secret := rand.Text()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(secret + "\n")
	return secret, errors.Join(err, f.Sync(), f.Close())
}
