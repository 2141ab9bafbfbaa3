// Package proof lets a listener prove that it knows the admin secret without sending it, so that a
// client can find out whether it talks to sidekey before it sends the secret.
//
// The client sends a nonce. The listener answers with an HMAC-SHA-256 over the nonce, the Host header
// and its own address. The key is derived from the secret and used for nothing else. Because the proof
// contains the address, a listener of another user cannot get it from a sidekey that has the same
// secret and listens elsewhere.
//
// Every client that can reach the listener can request a proof and try secrets on it offline. A
// generated secret has 130 bits. For a secret that a person chose, the key is derived slowly (PBKDF2,
// RFC 8018): each guess costs 100,000 rounds.
package proof

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Path is the prefix of the path under which the admin listener answers a nonce: GET /api/proof/NONCE.
const Path = "/api/proof"

const (
	purpose = "sidekey: proof of the admin secret, version 1" // the salt, so that this key differs from all others
	rounds  = 100_000
	size    = sha256.Size
)

// Key is the key of proofs. It is derived from one secret.
type Key []byte

// NewKey derives the key from a secret. That takes about 20 ms of processor time.
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

// NonceLength is the length of a nonce in hexadecimal digits.
const NonceLength = 2 * size

// IsNonce reports whether a text has the form of a nonce.
func IsNonce(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == NonceLength
}

// Of returns the proof, in hexadecimal digits, for a nonce, the Host header of the request and the
// listener's own address of the connection ("127.0.0.1:9192", or the path of a unix socket).
func (k Key) Of(nonce, host, address string) string {
	mac := hmac.New(sha256.New, k)
	for _, part := range []string{nonce, host, address} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // so that parts cannot be shifted into one another
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// IsProof reports whether text is the right proof. It compares in constant time.
func (k Key) IsProof(text, nonce, host, address string) bool {
	return hmac.Equal([]byte(text), []byte(k.Of(nonce, host, address)))
}
