package admin

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"sidekey/secretfile"
)

// minSecret is the shortest secret that is accepted.
const minSecret = 16

// LoadSecret reads the admin secret from a file, or generates one where the file does
// not exist (created is then true). The file must be readable by its owner alone.
func LoadSecret(path string) (secret string, created bool, err error) {
	secret, created, err = secretfile.Load(path, rand.Text)
	switch {
	case err != nil:
		return "", false, err
	case len(secret) < minSecret, strings.TrimSpace(secret) != secret, strings.ContainsFunc(secret, notInHeader):
		return "", false, fmt.Errorf("%s: a secret of at least %d printable ASCII characters without space at its ends is wanted", path, minSecret)
	case slices.Contains(published, strings.ToLower(secret)):
		return "", false, fmt.Errorf("%s: this secret stands in published examples; delete the file to have one generated", path)
	}
	return secret, created, nil
}

// notInHeader reports what a client could not send as a secret.
func notInHeader(r rune) bool { return r < ' ' || r >= 0x7f }

// published are secrets of the examples that Tyk's users copy.
var published = []string{"352d20ee67be67f6340b4c0605b044b7", "12345678901234567890"}
