// Package vault seals secrets that are kept on disk and have to be read again, so that
// the database alone tells nobody what they are.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"sidekey/secretfile"
)

// Key seals and opens the secrets of users, with AES-256-GCM. A sealed secret opens for
// the user alone that it was sealed for: one that was copied into another's record does
// not. Of one key up to 2^32 seals are safe, since nonces are random.
type Key struct {
	id   string // says which key it is, and nothing about it
	aead cipher.AEAD
	raw  [KeySize]byte
}

// KeySize is the size of a key in bytes.
const KeySize = 32

// Load reads a key from a file, or generates one where the file does not exist (created
// is then true). The file must be readable by its owner alone.
func Load(path string) (key *Key, created bool, err error) {
	text, created, err := secretfile.Load(path, generate)
	if err != nil {
		return nil, false, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != KeySize {
		return nil, false, fmt.Errorf("%s: must be a key of %d hexadecimal digits", path, 2*KeySize)
	}
	return New([KeySize]byte(raw)), created, nil
}

func generate() string {
	var raw [KeySize]byte
	rand.Read(raw[:]) // never fails: crypto/rand ends the program before it does
	return hex.EncodeToString(raw[:])
}

// New returns the key of these bytes.
func New(raw [KeySize]byte) *Key {
	block, err := aes.NewCipher(raw[:])
	if err != nil {
		panic("BUG: AES-256 refuses a key of 32 bytes: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("BUG: GCM refuses AES: " + err.Error())
	}
	sum := sha256.Sum256(append([]byte("sidekey key id\x00"), raw[:]...))
	return &Key{id: hex.EncodeToString(sum[:4]), aead: aead, raw: raw}
}

// Derive returns a key for another purpose, from which neither this one nor that of a
// third purpose can be told.
func (k *Key) Derive(purpose string) []byte {
	mac := hmac.New(sha256.New, k.raw[:])
	mac.Write([]byte("sidekey purpose\x00" + purpose))
	return mac.Sum(nil)
}

// version begins what is sealed. What follows is the key's id, and nonce, ciphertext and
// tag in base64, separated by dots.
const version = "v1"

var encoding = base64.RawURLEncoding.Strict()

// Seal returns a user's secret in the form that is stored.
func (k *Key) Seal(org, user, secret string) (sealed string) {
	box := k.aead.Seal(nil, nil, []byte(secret), boundTo(org, user))
	return version + "." + k.id + "." + encoding.EncodeToString(box)
}

// ErrNotOpened says that a sealed secret is of another key, of another user, or damaged.
var ErrNotOpened = errors.New("the secret cannot be opened")

// Open returns the secret that was sealed for a user, or [ErrNotOpened] and why.
func (k *Key) Open(org, user, sealed string) (secret string, err error) {
	parts := strings.Split(sealed, ".")
	if len(parts) != 3 || parts[0] != version {
		return "", fmt.Errorf("%w: it is not in the form %s", ErrNotOpened, version)
	}
	if parts[1] != k.id {
		return "", fmt.Errorf("%w: it was sealed with another key than the one in force (%s)", ErrNotOpened, k.id)
	}
	box, err := encoding.DecodeString(parts[2])
	if err != nil {
		return "", fmt.Errorf("%w: it is damaged", ErrNotOpened)
	}
	plain, err := k.aead.Open(nil, nil, box, boundTo(org, user))
	if err != nil {
		return "", fmt.Errorf("%w: it is damaged, or was sealed for another user", ErrNotOpened)
	}
	return string(plain), nil
}

// boundTo is what a sealed secret is bound to. Names hold no NUL.
func boundTo(org, user string) []byte { return []byte("hmac_string\x00" + org + "\x00" + user) }
