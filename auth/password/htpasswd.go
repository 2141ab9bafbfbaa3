package password

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/tg123/go-htpasswd"
)

// Hashes that were made elsewhere and come in by an import: bcrypt and argon2id, and those that only
// htpasswd makes. The latter are quick to compute and so quick to guess; they are verified, never made,
// and replaced at the user's next login.
//
// The expressions allow one spelling and bound the work: a stored hash decides itself how long its
// verification takes, and must not be able to stop the program.
var (
	bcryptHash = regexp.MustCompile(`^\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$`)
	apr1Hash   = regexp.MustCompile(`^\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}$`)
	sha1Hash   = regexp.MustCompile(`^\{SHA\}[+/A-Za-z0-9]{27}=$`)
	sha256Hash = regexp.MustCompile(`^\$5\$(?:rounds=([1-9][0-9]{3,5})\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}$`)
	sha512Hash = regexp.MustCompile(`^\$6\$(?:rounds=([1-9][0-9]{3,5})\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}$`)
)

// maxRounds bounds the rounds of a SHA-crypt hash, to about 100 ms; 5000 are usual.
const maxRounds = 200_000

// maxHtpasswd bounds the passwords, in bytes, that are compared with a hash that only htpasswd makes.
// Apache's own programs take 255.
const maxHtpasswd = 255

// HashKind returns the kind of a password hash that was made elsewhere, as a session's hash_type has
// it: "bcrypt", "argon2id", "apr1", "sha1", "sha256crypt" or "sha512crypt". The error says what would
// be right and holds nothing of the hash.
func HashKind(hash string) (kind string, err error) {
	switch {
	case bcryptHash.MatchString(hash):
		return "bcrypt", nil
	case apr1Hash.MatchString(hash):
		return "apr1", nil
	case sha1Hash.MatchString(hash):
		return "sha1", nil
	case fewRounds(sha256Hash, hash):
		return "sha256crypt", nil
	case fewRounds(sha512Hash, hash):
		return "sha512crypt", nil
	}
	if _, ok := parseArgon(hash); ok {
		return "argon2id", nil
	}
	return "", wrongHash(hash)
}

func fewRounds(form *regexp.Regexp, hash string) bool {
	found := form.FindStringSubmatch(hash)
	if found == nil {
		return false
	}
	rounds, _ := strconv.Atoi(found[1]) // "": the usual number
	return rounds <= maxRounds
}

// wrongHash returns what is wrong with a hash, judged by its first characters.
func wrongHash(hash string) error {
	for _, known := range []struct{ prefix, want string }{
		{"$2", "must be a bcrypt hash ($2a$, $2b$ or $2y$) with a cost of 4 to 14 and 53 characters"},
		{"$apr1$", "must be an apr1 hash with a salt of 1 to 8 and 22 characters"},
		{"{SHA}", "must be a {SHA} hash of 28 characters of base64"},
		{"$5$", fmt.Sprintf("must be a SHA-256-crypt hash of 43 characters with 1000 to %d rounds", maxRounds)},
		{"$6$", fmt.Sprintf("must be a SHA-512-crypt hash of 86 characters with 1000 to %d rounds", maxRounds)},
		{ArgonPrefix, fmt.Sprintf("must be an argon2id hash (v=%d) of at most %d KiB, %d passes and %d KiB in all passes", argonVersion, maxArgonMemory, maxArgonPasses, maxArgonWork)},
	} {
		if strings.HasPrefix(hash, known.prefix) {
			return errors.New(known.want)
		}
	}
	return errors.New("must be a hash of bcrypt, argon2id, apr1, {SHA} or SHA-crypt: plain text, crypt(3) with DES or MD5 and others are not accepted")
}

// htpasswdHash verifies the hashes that only htpasswd makes.
type htpasswdHash struct{}

func (htpasswdHash) Matches(stored string, password []byte) bool {
	kind, err := HashKind(stored)
	if err != nil {
		return false
	}
	legal := len(password) > 0 && len(password) <= maxHtpasswd
	if !legal {
		password = []byte("x") // the time of a refusal must not reveal why
	}
	return compareHtpasswd(kind, stored, string(password)) && legal
}

func compareHtpasswd(kind, stored, password string) bool {
	switch kind {
	case "apr1":
		hash, err := htpasswd.AcceptMd5(stored)
		return err == nil && hash.MatchesPassword(password)
	case "sha1":
		hash, err := htpasswd.AcceptSha(stored)
		return err == nil && hash.MatchesPassword(password)
	case "sha256crypt", "sha512crypt":
		hash, err := shacrypt.Decode(stored)
		return err == nil && hash.Match(password)
	}
	return false
}
