package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"sync"
	"time"

	"sidekey/limiter"
)

// algorithms are those that a signature can be made with.
var algorithms = [...]struct {
	name string
	new  func() hash.Hash
}{
	{"hmac-sha256", sha256.New},
	{"hmac-sha384", sha512.New384},
	{"hmac-sha512", sha512.New},
}

// algorithmOf returns the index of an algorithm, or -1 where it is not offered.
func algorithmOf(name []byte) int {
	for i, a := range algorithms {
		if bytes.EqualFold(name, []byte(a.name)) {
			return i
		}
	}
	return -1
}

// Names with a meaning of their own in a list of signed headers.
var (
	requestTarget = []byte("(request-target)")
	hostName      = []byte("host")
	dateName      = []byte("date")
	auxDateName   = []byte("x-aux-date") // for browsers, which do not let a script set Date
)

const tooManySignatures = "Too many signed requests to remember"

// authenticateSigned returns the account whose secret has signed the request, or why not
// and when asking again makes sense. message is "" where the reason's own serves. spent is
// set when the signature has been used up, so that a request that asks again, because
// its account was replaced meanwhile, is not taken for its own replay.
//
// What depends on the request alone is looked at first, and is no guess. Then a key that
// does not exist costs what one that exists does. Wrong signatures count as wrong
// passwords do. A right signature passes at any time from a network that an earlier one came
// from, as a remembered password does; from any other one it is refused unseen while that
// origin has to wait.
func (c *Checker) authenticateSigned(now limiter.Now, s *Settings, api *API, r *Request, spent *bool, t *trace) (_ *Account, refusal Reason, message string, retry time.Duration) {
	var buf SignatureBuffer
	given, malformed := ParseSignature(r.Authorization, &buf)
	if malformed != "" {
		return nil, MalformedCredentials, string(malformed), 0
	}
	seconds, skew := now.Wall/int64(time.Second), int64(s.SignatureSkew/time.Second)
	algorithm := algorithmOf(given.Algorithm)
	date, timely := given.date(r, seconds, skew)
	if algorithm < 0 || !timely {
		return nil, BadCredentials, "", 0
	}
	user, ofOrg := bytes.CutPrefix(given.KeyID, []byte(api.Org))
	account, err := c.findKey(api.Org, user, ofOrg)
	if err != nil && !errors.Is(err, ErrNoUser) && !errors.Is(err, ErrDamaged) {
		return nil, Unavailable, "", time.Second
	}
	signer := s.Signatures.decoy
	if account != nil && account.signer != nil {
		signer = account.signer
	}
	matches := signer.matches(algorithm, r, &given) && signer != s.Signatures.decoy
	var tried attempt
	outcome := attempt.undecided
	from := originOf(r.Client)
	if !matches || s.VerifiedTTL <= 0 || !signer.from.has(from.network()) {
		made := claim{at: now.Mono, from: from, org: api.Org, Credentials: Credentials{User: user}}
		var wait time.Duration
		if t != nil {
			wait = s.Failures.wait(made)
		} else {
			tried, wait = s.Failures.begin(made)
		}
		if wait > 0 {
			return nil, TooManyFailures, "", wait
		}
		defer func() { outcome(tried) }()
	}
	if !matches {
		outcome = attempt.failed
		return account, BadCredentials, "", 0
	}
	if !*spent {
		switch s.Signatures.spend(seconds, skew, date, signer.owner, given.MAC) {
		case spentBefore:
			return account, BadCredentials, "", 0
		case noRoom:
			return nil, Busy, tooManySignatures, time.Second
		}
		*spent = true
	}
	outcome = attempt.succeeded
	if t == nil && s.VerifiedTTL > 0 {
		signer.from.add(from.network())
	}
	return account, Pass, "", 0
}

// findKey returns the account that a key id names: the org's id with the user's name
// behind it.
func (c *Checker) findKey(org string, user []byte, ofOrg bool) (*Account, error) {
	if !ofOrg || len(user) == 0 {
		return nil, ErrNoUser
	}
	return c.directory.Find(org, user)
}

// date returns the earliest of the dates that are signed, in Unix seconds. ok is false
// where the signature leaves out what has to be signed, or where a time that it tells is
// further than skew seconds from now.
func (s *Signature) date(r *Request, now, skew int64) (date int64, ok bool) {
	if s.Created != notSaid && s.Created > now+skew || s.Expires != notSaid && s.Expires <= now {
		return 0, false
	}
	if !hasName(s.Headers, requestTarget) {
		return 0, false
	}
	for _, name := range [...][]byte{dateName, auxDateName} {
		if !hasName(s.Headers, name) {
			continue
		}
		values := r.Headers.Values(name)
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

// dateLayouts are those of RFC 9110, 5.6.7, and what Go programs write that follow Tyk's
// documentation. No other zone has a name that means one thing.
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

// signer makes the signatures of one secret. It is safe for concurrent use.
type signer struct {
	secret []byte
	owner  owner
	macs   [len(algorithms)]sync.Pool // of *mac

	from networks // that signatures were right from
}

// owner is whose a signature is: the first half of SHA-256 over org and user.
type owner [sha256.Size / 2]byte

// mac is one HMAC being computed. It is kept to be used again: hmac.New allocates.
type mac struct {
	hash.Hash
	sum  [sha512.Size]byte
	text []byte // room for a name in lower case
}

func newSigner(n Name, secret []byte) *signer {
	s := &signer{secret: secret}
	sum := sha256.Sum256([]byte(n.Org + "\x00" + n.User)) // names hold no NUL
	copy(s.owner[:], sum[:])
	for i, a := range algorithms {
		s.macs[i].New = func() any { return &mac{Hash: hmac.New(a.new, secret)} }
	}
	return s
}

// newDecoy returns a signer with a secret that nobody knows.
func newDecoy() *signer {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		panic("BUG: the system's random source failed: " + err.Error())
	}
	return newSigner(Name{}, secret[:])
}

// matches reports, in constant time, whether the secret has signed the request.
func (s *signer) matches(algorithm int, r *Request, given *Signature) bool {
	m := s.macs[algorithm].Get().(*mac)
	defer s.macs[algorithm].Put(m)
	m.Reset()
	complete := m.writeHeaders(r, given.Headers)
	return hmac.Equal(m.Sum(m.sum[:0]), given.MAC) && complete
}

// Parts of a signing string.
var (
	colon    = []byte(": ")
	comma    = []byte(", ")
	space    = []byte{' '}
	lineFeed = []byte{'\n'}
)

// writeHeaders writes the signing string (section 2.3): a line "name: value" for each
// name in the list, without a line end behind the last. It reports whether the request
// has all of them.
func (m *mac) writeHeaders(r *Request, names []byte) (complete bool) {
	complete = true
	for first := true; len(names) > 0; first = false {
		var name []byte
		name, names = nextName(names)
		if !first {
			m.Write(lineFeed)
		}
		name = m.lower(name)
		m.Write(name)
		m.Write(colon)
		switch {
		case bytes.Equal(name, requestTarget):
			m.Write(m.lower(r.Method))
			m.Write(space)
			m.Write(r.URI)
		case bytes.Equal(name, hostName):
			m.Write(trim(r.Host))
		default:
			values := r.Headers.Values(name)
			complete = complete && len(values) > 0
			for i, value := range values {
				if i > 0 {
					m.Write(comma)
				}
				m.Write(trim(value))
			}
		}
	}
	return complete
}

// lower returns text in lower case until it is called again.
func (m *mac) lower(text []byte) []byte {
	m.text = append(m.text[:0], text...)
	for i, c := range m.text {
		if c >= 'A' && c <= 'Z' {
			m.text[i] = c + 'a' - 'A'
		}
	}
	return m.text
}

// trim takes off the white space around a header's value (RFC 9110, 5.6.3).
func trim(value []byte) []byte { return bytes.Trim(value, " \t") }
