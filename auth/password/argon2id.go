package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id is the hash of the same name (RFC 9106) with the parameters that OWASP
// recommends first: 19 MiB, two passes, one lane. Stored as a PHC string.
type Argon2id struct{}

// ArgonPrefix is the start of every argon2id hash.
const ArgonPrefix = "$argon2id$"

const (
	argonMemory  = 19456 // KiB
	argonPasses  = 2
	argonLanes   = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
	argonVersion = argon2.Version
)

// Bounds of the work of a stored hash: an imported one must not stop the program.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonPasses = 16
	maxArgonLanes  = 16
	maxArgonWork   = 512 << 10 // KiB, memory times passes: about a second
)

// Kind returns "argon2id".
func (Argon2id) Kind() string { return "argon2id" }

// MaxPassword returns [MaxPassword].
func (Argon2id) MaxPassword() int { return MaxPassword }

// Make returns a PHC string with a random salt.
func (Argon2id) Make(password []byte) (string, error) {
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	key := argon2.IDKey(password, salt, argonPasses, argonMemory, argonLanes, argonKey)
	return fmt.Sprintf("%s%s$%s", argonHead(), encodeArgon(salt), encodeArgon(key)), nil
}

// argonHead returns the start of every hash that Make returns.
func argonHead() string {
	return fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$", ArgonPrefix, argonVersion, argonMemory, argonPasses, argonLanes)
}

// Current reports whether stored has the parameters of new hashes.
func (Argon2id) Current(stored string) bool { return strings.HasPrefix(stored, argonHead()) }

// Matches reports whether stored was made from password. It bounds the work that stored asks for.
func (Argon2id) Matches(stored string, password []byte) bool {
	legal := len(password) > 0 && len(password) <= MaxPassword
	if !legal {
		password = []byte("x") // the time of a refusal must not reveal why
	}
	h, ok := parseArgon(stored)
	if !ok {
		return false
	}
	key := argon2.IDKey(password, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1 && legal
}

type argonHash struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

// parseArgon reads a PHC string: $argon2id$v=19$m=M,t=T,p=P$SALT$KEY.
func parseArgon(stored string) (h argonHash, ok bool) {
	parts := strings.Split(stored, "$")
	if strings.ContainsAny(stored, "\r\n") || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argonVersion) {
		return h, false
	}
	var memory, passes, lanes uint32
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); n != 3 || err != nil {
		return h, false
	}
	if fmt.Sprintf("m=%d,t=%d,p=%d", memory, passes, lanes) != parts[3] ||
		passes < 1 || passes > maxArgonPasses || lanes < 1 || lanes > maxArgonLanes ||
		memory < 8*lanes || memory > maxArgonMemory || memory*passes > maxArgonWork {
		return h, false
	}
	h = argonHash{memory: memory, passes: passes, lanes: uint8(lanes)}
	var err error
	if h.salt, err = argonBase64.DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return h, false
	}
	if h.key, err = argonBase64.DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return h, false
	}
	return h, true
}

var argonBase64 = base64.RawStdEncoding.Strict()

func encodeArgon(b []byte) string { return argonBase64.EncodeToString(b) }
