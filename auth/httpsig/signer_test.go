package httpsig

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"testing"
	"time"
)

// message is a request with headers, for tests.
func message(header map[string][]string) *Message {
	return &Message{Method: []byte("POST"), URI: []byte("/orders?x=Y"), Host: []byte(" example.com "), Headers: headers(header)}
}

type headers map[string][]string

func (h headers) Values(name []byte) (values [][]byte) {
	for _, value := range h[string(name)] {
		values = append(values, []byte(value))
	}
	return values
}

// The signing string is that of the draft (section 2.3), in every algorithm. Signatures are made
// here from the text alone.
func TestMatches(t *testing.T) {
	m := message(map[string][]string{"date": {"today"}, "x-note": {" a", "b\t"}})
	const names = "(request-target) host date X-Note"
	const text = "(request-target): post /orders?x=Y\nhost: example.com\ndate: today\nx-note: a, b"
	signer := NewSigner("default", "ann", []byte("secret"))
	sign := func(make func() hash.Hash, secret, text string) []byte {
		mac := hmac.New(make, []byte(secret))
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	f := func(what string, s Signature, want bool) {
		t.Helper()
		if got := signer.Matches(m, &s); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	for name, make := range map[string]func() hash.Hash{"hmac-sha256": sha256.New, "HMAC-SHA384": sha512.New384, "hmac-sha512": sha512.New} {
		s := Signature{Algorithm: []byte(name), Headers: []byte(names), MAC: sign(make, "secret", text)}
		f(name, s, true)
		s.MAC = sign(make, "other", text)
		f(name+", another secret", s, false)
		s.MAC = sign(make, "secret", text)[:8]
		f(name+", a part", s, false)
		s.MAC = sign(make, "secret", text+"\n")
		f(name+", another text", s, false)
	}
	f("a header that is not there", Signature{Algorithm: []byte("hmac-sha256"), Headers: []byte("x-none"), MAC: sign(sha256.New, "secret", "x-none: ")}, false)
	for name, want := range map[string]bool{"hmac-sha256": true, "hmac-sha1": false, "rsa-sha256": false, "hs2019": false, "": false} {
		if s := (Signature{Algorithm: []byte(name)}); s.Supported() != want {
			t.Errorf("%q: %v, want %v", name, !want, want)
		}
	}
}

// Which dates must be signed, and how far from now they may be.
func TestDate(t *testing.T) {
	const now, skew = 784111777, 300
	at := func(seconds int64) string {
		return time.Unix(seconds, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	}
	f := func(what, names string, header map[string][]string, created, expires, want int64) {
		t.Helper()
		s := Signature{Headers: []byte(names), Created: created, Expires: expires}
		got, ok := s.Date(message(header), now, skew)
		if ok != (want != 0) || ok && got != want {
			t.Errorf("%s: %d, %v, want %d", what, got, ok, want)
		}
	}
	date := func(seconds int64) map[string][]string { return map[string][]string{"date": {at(seconds)}} }
	const names = "(request-target) date"
	f("now", names, date(now), absent, absent, now)
	f("oldest", names, date(now-skew), absent, absent, now-skew)
	f("too old", names, date(now-skew-1), absent, absent, 0)
	f("newest", names, date(now+skew), absent, absent, now+skew)
	f("too new", names, date(now+skew+1), absent, absent, 0)
	f("no target", "date", date(now), absent, absent, 0)
	f("no date", "(request-target)", date(now), absent, absent, 0)
	f("two dates", names, map[string][]string{"date": {at(now), at(now)}}, absent, absent, 0)
	f("no date sent", names, nil, absent, absent, 0)
	f("for browsers", "(request-target) X-Aux-Date", map[string][]string{"x-aux-date": {at(now)}}, absent, absent, now)
	f("the earlier counts", "(request-target) date x-aux-date", map[string][]string{"date": {at(now)}, "x-aux-date": {at(now - 5)}}, absent, absent, now-5)
	f("created", names, date(now), now+skew, absent, now)
	f("created later", names, date(now), now+skew+1, absent, 0)
	f("expires", names, date(now), absent, now+1, now)
	f("expired", names, date(now), absent, now, 0)
}

// A decoy's secret is random. Signers have the same secret or not, independently of their users.
func TestSecrets(t *testing.T) {
	a, b := NewDecoy(), NewDecoy()
	if a.SameSecret(b) || len(a.secret) != 32 || !a.SameSecret(a) {
		t.Error("a decoy's secret can be known")
	}
	ann, bob := NewSigner("default", "ann", []byte("x")), NewSigner("default", "bob", []byte("x"))
	if !ann.SameSecret(bob) || ann.Owner() == bob.Owner() || ann.Owner() != NewSigner("default", "ann", nil).Owner() {
		t.Error("signers with one secret, of different users")
	}
}

// Dates in all forms of RFC 9110, and in the one of Tyk's documentation.
func TestParseDate(t *testing.T) {
	const want = 784111777
	for _, text := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC", " Sun, 06 Nov 1994 08:49:37 GMT\t",
	} {
		if got, ok := parseDate([]byte(text)); got != want || !ok {
			t.Errorf("%q: %d, %v", text, got, ok)
		}
	}
}
