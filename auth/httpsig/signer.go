package httpsig

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"sync"
	"time"
)

// Message is the request that was signed. Its bytes are borrowed.
type Message struct {
	Method []byte
	URI    []byte // path and query as the client sent them
	Host   []byte
	Headers
}

// Headers are the headers of a message.
type Headers interface {
	// Values returns all headers with that name, valid until the next call.
	Values(name []byte) [][]byte
}

// algorithms are those that a signature may be made with.
var algorithms = [...]struct {
	name string
	new  func() hash.Hash
}{
	{"hmac-sha256", sha256.New},
	{"hmac-sha384", sha512.New384},
	{"hmac-sha512", sha512.New},
}

// algorithmOf returns the index of an algorithm, or -1 if it is not supported.
func algorithmOf(name []byte) int {
	for i, a := range algorithms {
		if bytes.EqualFold(name, []byte(a.name)) {
			return i
		}
	}
	return -1
}

// Supported reports whether the algorithm is one that a signature may be made with.
func (s *Signature) Supported() bool { return algorithmOf(s.Algorithm) >= 0 }

// Names with a meaning of their own in a list of signed headers.
var (
	requestTarget = []byte("(request-target)")
	hostName      = []byte("host")
	dateName      = []byte("date")
	auxDateName   = []byte("x-aux-date") // for browsers, which do not let a script set Date
)

// Date returns the earliest of the dates that are signed, in Unix seconds. ok is false if the
// signature leaves out what must be signed, or has a time that is more than skew seconds from
// now. It looks at nothing but the request, so an answer reveals nothing about users.
func (s *Signature) Date(m *Message, now, skew int64) (date int64, ok bool) {
	if s.Created != absent && s.Created > now+skew || s.Expires != absent && s.Expires <= now {
		return 0, false
	}
	if !hasName(s.Headers, requestTarget) {
		return 0, false
	}
	for _, name := range [...][]byte{dateName, auxDateName} {
		if !hasName(s.Headers, name) {
			continue
		}
		values := m.Values(name)
		if len(values) != 1 {
			return 0, false
		}
		said, readable := parseDate(values[0])
		if !readable || said < now-skew || said > now+skew {
			return 0, false
		}
		if !ok || said < date {
			date = said
		}
		ok = true
	}
	return date, ok
}

// dateLayouts are those of RFC 9110, 5.6.7, and the one that Go programs write if they follow
// Tyk's documentation. No other zone has a name that means one thing.
var dateLayouts = [...]string{
	"Mon, 02 Jan 2006 15:04:05 GMT",
	"Mon, 02 Jan 2006 15:04:05 UTC",
	"Monday, 02-Jan-06 15:04:05 GMT",
	time.ANSIC,
}

func parseDate(text []byte) (seconds int64, ok bool) {
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, string(trim(text))); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}

// Signer makes the signatures of one secret. It is safe for concurrent use.
type Signer struct {
	secret []byte
	owner  Owner
	macs   [len(algorithms)]sync.Pool // of *mac
}

// Owner identifies the user that a signature is of: the first half of SHA-256 over org and
// user.
type Owner [sha256.Size / 2]byte

// mac is one HMAC being computed. It is reused: hmac.New allocates.
type mac struct {
	hash.Hash
	sum  [sha512.Size]byte
	text []byte // room for a name in lower case
}

// NewSigner returns a signer with the secret of a user.
func NewSigner(org, user string, secret []byte) *Signer {
	s := &Signer{secret: secret}
	sum := sha256.Sum256([]byte(org + "\x00" + user)) // names hold no NUL
	copy(s.owner[:], sum[:])
	for i, a := range algorithms {
		s.macs[i].New = func() any { return &mac{Hash: hmac.New(a.new, secret)} }
	}
	return s
}

// NewDecoy returns a signer with a random secret, which is known to no one.
func NewDecoy() *Signer {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		panic("BUG: the system's random source failed: " + err.Error())
	}
	return NewSigner("", "", secret[:])
}

// Owner returns the user whose signatures s makes.
func (s *Signer) Owner() Owner { return s.owner }

// SameSecret reports, in constant time, whether two signers have one secret.
func (s *Signer) SameSecret(other *Signer) bool {
	return subtle.ConstantTimeCompare(s.secret, other.secret) == 1
}

// Matches reports, in constant time, whether the secret has signed the message. The
// signature's algorithm must be supported.
func (s *Signer) Matches(m *Message, given *Signature) bool {
	pool := &s.macs[algorithmOf(given.Algorithm)]
	c := pool.Get().(*mac)
	defer pool.Put(c)
	c.Reset()
	complete := c.writeHeaders(m, given.Headers)
	return hmac.Equal(c.Sum(c.sum[:0]), given.MAC) && complete
}

// Parts of a signing string.
var (
	colon    = []byte(": ")
	comma    = []byte(", ")
	space    = []byte{' '}
	lineFeed = []byte{'\n'}
)

// writeHeaders writes the signing string (section 2.3): a line "name: value" for each name in
// the list, without a line end after the last. complete is false if the message lacks one.
func (c *mac) writeHeaders(m *Message, names []byte) (complete bool) {
	complete = true
	for first := true; len(names) > 0; first = false {
		var name []byte
		name, names = nextName(names)
		if !first {
			c.Write(lineFeed)
		}
		name = c.lower(name)
		c.Write(name)
		c.Write(colon)
		switch {
		case bytes.Equal(name, requestTarget):
			c.Write(c.lower(m.Method))
			c.Write(space)
			c.Write(m.URI)
		case bytes.Equal(name, hostName):
			c.Write(trim(m.Host))
		default:
			values := m.Values(name)
			complete = complete && len(values) > 0
			for i, value := range values {
				if i > 0 {
					c.Write(comma)
				}
				c.Write(trim(value))
			}
		}
	}
	return complete
}

// lower returns text in lower case. The result is valid until the next call.
func (c *mac) lower(text []byte) []byte {
	c.text = append(c.text[:0], text...)
	for i, b := range c.text {
		if b >= 'A' && b <= 'Z' {
			c.text[i] = b + 'a' - 'A'
		}
	}
	return c.text
}

// trim removes the white space around a header's value (RFC 9110, 5.6.3).
func trim(value []byte) []byte { return bytes.Trim(value, " \t") }
