package admin

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"sidekey/internal/secretfile"
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
	text, created, err := secretfile.Load(path, rand.Text)
	if err != nil {
		return nil, false, err
	}
	secrets = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if len(secrets) > mostSecrets {
		return nil, false, fmt.Errorf("%s: must have at most %d secrets, one per line, not %d", path, mostSecrets, len(secrets))
	}
	for _, secret := range secrets {
		switch {
		case len(secret) < minSecret, strings.TrimSpace(secret) != secret, strings.ContainsFunc(secret, notInHeader):
			return nil, false, fmt.Errorf("%s: must be a secret of at least %d printable ASCII characters without white space at its ends", path, minSecret)
		case slices.Contains(published, strings.ToLower(secret)):
			return nil, false, fmt.Errorf("%s: this secret stands in published examples; delete the file to have one generated", path)
		}
	}
	return secrets, created, nil
}

// notInHeader reports what a client could not send as a secret.
func notInHeader(r rune) bool { return r < ' ' || r >= 0x7f }

// published are secrets of the examples that Tyk's users copy.
var published = []string{"352d20ee67be67f6340b4c0605b044b7", "12345678901234567890"}
