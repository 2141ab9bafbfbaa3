// Package proof lets a listener show that it knows the admin secret without sending it, so
// that a client can find out whether a listener is sidekey's before it sends the secret.
//
// The client sends a nonce, the listener answers HMAC-SHA-256 over nonce, Host and address
// under a key that is derived from the secret and used for nothing else. Because the answer
// depends on the address, a listener of another user cannot have it made by a sidekey that
// has the same secret and listens elsewhere.
//
// Anybody who can reach the listener can ask, and try secrets on the answer at leisure. A
// generated secret has 130 bits. For one that a person chose the key is derived slowly
// (PBKDF2, RFC 8018): each guess costs 100,000 rounds.
package proof

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Path is where the admin listener answers a nonce: GET /api/proof?nonce=NONCE.
const Path = "/api/proof"

const (
	purpose = "sidekey: proof of the admin secret, version 1" // the salt: it keeps this key apart from all others
	rounds  = 100_000
	size    = sha256.Size
)

// Key is derived from one secret.
type Key []byte

// NewKey derives the key of a secret. It takes some 20 ms of processor time.
func NewKey(secret string) Key {
	key, err := pbkdf2.Key(sha256.New, secret, []byte(purpose), rounds, size)
	if err != nil {
		panic("BUG: " + err.Error()) // the parameters are constants
	}
	return key
}

// NewNonce returns 32 random bytes in hexadecimal digits.
func NewNonce() string {
	var nonce [size]byte
	rand.Read(nonce[:])
	return hex.EncodeToString(nonce[:])
}

// NonceLength is how many hexadecimal digits a nonce has.
const NonceLength = 2 * size

// IsNonce reports whether a text is a nonce.
func IsNonce(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == NonceLength
}

// Of returns the proof that a listener knows the secret of the key, in hexadecimal digits:
// for a nonce, the Host that was asked for, and the listener's own address of the connection
// ("127.0.0.1:9192", or the path of a unix socket).
func (k Key) Of(nonce, host, address string) string {
	mac := hmac.New(sha256.New, k)
	for _, part := range []string{nonce, host, address} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // so that no part runs into the next
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// IsProof compares a proof with the right one in constant time.
func (k Key) IsProof(text, nonce, host, address string) bool {
	return hmac.Equal([]byte(text), []byte(k.Of(nonce, host, address)))
}
