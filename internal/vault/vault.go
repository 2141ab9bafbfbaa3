// Package vault seals secrets that are stored on disk and must be read again, so that the database
// alone does not reveal them.
//
// # Choices
//
// We seal the secrets of signed requests and do not hash them, because computing a MAC needs the secret
// itself. The key is a file of its own, and org and user are part of what is sealed, so a record with the
// secret of another user admits no request. It costs one more file in every backup.
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

	"sidekey/internal/secretfile"
)

// Key seals and opens the secrets of users, with AES-256-GCM. A sealed secret opens only for the
// user it was sealed for, and not in the record of another user. One key can safely seal 2^32
// secrets, because nonces are random.
type Key struct {
	id   string // identifies the key and reveals nothing about it
	aead cipher.AEAD
	raw  [KeySize]byte
}

// KeySize is the size of a key in bytes.
const KeySize = 32

// Load reads a key from a file. If the file does not exist, Load generates a key and writes it
// (created is then true). Only the owner may be able to read the file.
func Load(path string) (key *Key, created bool, err error) {
	text, created, err := secretfile.Load(path, generate)
	if err != nil {
		return nil, false, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != KeySize {
		return nil, false, fmt.Errorf("%s: must be %d hexadecimal digits", path, 2*KeySize)
	}
	return New([KeySize]byte(raw)), created, nil
}

func generate() string {
	var raw [KeySize]byte
	rand.Read(raw[:]) // never fails: crypto/rand ends the program before it does
	return hex.EncodeToString(raw[:])
}

// New returns the key with these bytes.
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

// Derive returns a key for another purpose. It reveals neither this key nor the key of a third
// purpose.
func (k *Key) Derive(purpose string) []byte {
	mac := hmac.New(sha256.New, k.raw[:])
	mac.Write([]byte("sidekey purpose\x00" + purpose))
	return mac.Sum(nil)
}

// version is the first part of a sealed secret. The others, separated by dots, are the id of the
// key, and in base64 the nonce, the ciphertext and the tag.
const version = "v1"

var encoding = base64.RawURLEncoding.Strict()

// Seal returns a user's secret in the form to store.
func (k *Key) Seal(org, user, secret string) (sealed string) {
	box := k.aead.Seal(nil, nil, []byte(secret), boundTo(org, user))
	return version + "." + k.id + "." + encoding.EncodeToString(box)
}

// ErrNotOpened means that a secret was sealed with another key or for another user, or is damaged.
var ErrNotOpened = errors.New("the secret cannot be opened")

// Open returns the secret that was sealed for a user. Its error is an [ErrNotOpened] with the reason.
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

// boundTo returns the additional data that a sealed secret is bound to. Names contain no NUL.
func boundTo(org, user string) []byte { return []byte("hmac_string\x00" + org + "\x00" + user) }
