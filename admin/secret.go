package admin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return "", false, fmt.Errorf("%s: mode %#o lets others read the secret: chmod 600 it", path, mode.Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", false, err
	}
	secret = strings.TrimRight(string(text), "\r\n")
	if len(secret) < minSecret || strings.TrimSpace(secret) != secret {
		return "", false, fmt.Errorf("%s: a secret of at least %d bytes without space at its ends is wanted", path, minSecret)
	}
	return secret, false, nil
}

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
