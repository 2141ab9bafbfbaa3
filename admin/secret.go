package admin

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"sidekey/internal/secretfile"
)

// minSecret is the minimum length of a secret, in bytes.
const minSecret = 16

// maxSecrets is how many secrets may be in force at once: the change from one to another needs two.
const maxSecrets = 2

// LoadSecrets reads the admin secrets from a file, one per line: the current one and, while clients
// change over, the previous or the next one. If the file does not exist, LoadSecrets generates a
// secret and writes it (created is then true). Only the owner may be able to read the file.
func LoadSecrets(path string) (secrets []string, created bool, err error) {
	text, created, err := secretfile.Load(path, rand.Text)
	if err != nil {
		return nil, false, err
	}
	secrets = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if len(secrets) > maxSecrets {
		return nil, false, fmt.Errorf("%s: must have at most %d secrets, one per line, not %d", path, maxSecrets, len(secrets))
	}
	for _, secret := range secrets {
		switch {
		case len(secret) < minSecret, strings.TrimSpace(secret) != secret, strings.ContainsFunc(secret, notInHeader):
			return nil, false, fmt.Errorf("%s: must be a secret of at least %d printable ASCII characters without white space at its ends", path, minSecret)
		case slices.Contains(published, strings.ToLower(secret)):
			return nil, false, fmt.Errorf("%s: this secret is in published examples: delete the file to have one generated", path)
		}
	}
	return secrets, created, nil
}

// notInHeader reports whether a secret with this character could not be sent in a header.
func notInHeader(r rune) bool { return r < ' ' || r >= 0x7f }

// published lists secrets from Tyk's examples, which users copy.
var published = []string{"352d20ee67be67f6340b4c0605b044b7", "12345678901234567890"}
