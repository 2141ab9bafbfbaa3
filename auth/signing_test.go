package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"testing"
	"time"

	"sidekey/auth/session"
)

// signing is a request as a client signs it. It is written from the draft and shares no code with package
// httpsig.
type signing struct {
	keyID, secret, algorithm string
	names                    []string // of what is signed, in order

	method, target, host string
	header               map[string][]string
}

// by is a request of a user, signed over target, host and date.
func (w *world) by(user, secret string) signing {
	return signing{
		keyID: "default" + user, secret: secret, algorithm: "hmac-sha256", names: []string{"(request-target)", "host", "date"},
		method: "GET", target: "/orders?x=1", host: "example.org",
		header: map[string][]string{"date": {w.date(0)}},
	}
}

// date is the world's time and some, as a header has it.
func (w *world) date(later time.Duration) string {
	return time.Unix(0, w.clock.now().Wall).Add(later).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
}

func (s signing) text() string {
	var lines []string
	for _, name := range s.names {
		lower := strings.ToLower(name)
		var value string
		switch lower {
		case "(request-target)":
			value = strings.ToLower(s.method) + " " + s.target
		case "host":
			value = s.host
		default:
			var values []string
			for _, v := range s.header[lower] {
				values = append(values, strings.Trim(v, " \t"))
			}
			value = strings.Join(values, ", ")
		}
		lines = append(lines, lower+": "+value)
	}
	return strings.Join(lines, "\n")
}

func (s signing) signature() string {
	hashes := map[string]func() hash.Hash{"hmac-sha256": sha256.New, "hmac-sha384": sha512.New384, "hmac-sha512": sha512.New}
	m := hmac.New(hashes[s.algorithm], []byte(s.secret))
	m.Write([]byte(s.text()))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func (s signing) authorization() string {
	return fmt.Sprintf(`Signature keyId="%s",algorithm="%s",headers="%s",signature="%s"`, s.keyID, s.algorithm, strings.Join(s.names, " "), s.signature())
}

func (s signing) request() *Request { return s.requestWith(s.authorization()) }

func (s signing) requestWith(authorization string) *Request {
	return &Request{
		Method: []byte(s.method), Host: []byte(s.host), URI: []byte(s.target),
		Authorization: []byte(authorization), AuthorizationCount: 1, Headers: fakeHeaders(s.header),
	}
}

// signingWorld has an API that takes signed requests, one that does not, and ann, who
// has to sign with "secret-of-ann".
func signingWorld(t testing.TB) *world {
	orders := api("orders", "/orders")
	orders.HMAC = true
	w := newWorld(t, orders, api("rest", "/"))
	w.signer("default", "ann", nil)
	return w
}

// signer writes a user who has to sign. The secret is that of the name.
func (w *world) signer(org, user string, change func(s *session.Session)) {
	w.t.Helper()
	w.put(org, user, "pw", func(s *session.Session) {
		s.HMACEnabled, s.HMACString = true, "sealed:"+org+"/"+user+":secret-of-"+user
		if change != nil {
			change(s)
		}
	})
}

func (w *world) wantSigned(what string, r *Request, want Reason) Verdict {
	w.t.Helper()
	v := w.check(r)
	if v.Reason != want {
		w.t.Errorf("%s: %v, want %v", what, v.Reason, want)
	}
	return v
}
