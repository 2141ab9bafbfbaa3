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

// mostSecrets are as many as a change from one to another needs.
const mostSecrets = 2

// LoadSecrets reads the admin secrets from a file, one a line: the one in use and, while
// clients change over, the one before or the next. Where the file does not exist, one
// secret is generated (created is then true). The file must be readable by its owner
// alone.
func LoadSecrets(path string) (secrets []string, created bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret, err := generateSecret(path)
		return []string{secret}, true, err
	}
	if err != nil {
		return nil, false, err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return nil, false, fmt.Errorf("%s: belongs to user %d, who could change it: this process runs as %d", path, stat.Uid, os.Geteuid())
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, false, fmt.Errorf("%s: mode %#o lets others read the secret: chmod 600 it", path, mode.Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, false, err
	}
	secrets = strings.Split(strings.ReplaceAll(strings.TrimRight(string(text), "\r\n"), "\r\n", "\n"), "\n")
	if len(secrets) > mostSecrets {
		return nil, false, fmt.Errorf("%s: at most %d secrets are wanted, one a line, not %d", path, mostSecrets, len(secrets))
	}
	for _, secret := range secrets {
		switch {
		case len(secret) < minSecret, strings.TrimSpace(secret) != secret, strings.ContainsFunc(secret, notInHeader):
			return nil, false, fmt.Errorf("%s: a secret of at least %d printable ASCII characters without space at its ends is wanted", path, minSecret)
		case slices.Contains(published, strings.ToLower(secret)):
			return nil, false, fmt.Errorf("%s: this secret stands in published examples; delete the file to have one generated", path)
		}
	}
	return secrets, false, nil
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
