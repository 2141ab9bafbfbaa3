package http

import (
	"bytes"
	"strings"
	"testing"

	"sidekey/auth"
	"sidekey/auth/session"
)

// FuzzSplitPath: the dialect and API are cut off the beginning of a target, and the rest begins
// with a path or a query.
func FuzzSplitPath(f *testing.F) {
	for _, seed := range append(targets()[:200:200], "/auth/envoy@a@b/c", "/auth/nginx@", "/auth/forward@x?y=/z", "/auth/envoyx", "/auth//envoy/") {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, target []byte) {
		d, api, rest := splitPath(target)
		if d == nil {
			if api != nil || rest != nil {
				t.Fatalf("%q: %q, %q", target, api, rest)
			}
			return
		}
		whole := "/auth/" + d.String()
		if api != nil {
			whole += "@" + string(api)
		}
		if whole+string(rest) != string(target) || bytes.ContainsAny(api, "/?") || len(rest) > 0 && rest[0] != '/' && rest[0] != '?' {
			t.Fatalf("%q: %s, %q, %q", target, d.String(), api, rest)
		}
	})
}

// FuzzRequest, T-12: bytes without a right password are never admitted and never cause an error
// that a proxy lets through.
func FuzzRequest(f *testing.F) {
	for _, dialect := range dialectNames {
		f.Add([]byte(request(dialect, "GET", "/orders?x", "Authorization: Basic YWxpY2U6eA==")))
		f.Add([]byte(request(dialect+"@rest", "POST", "/a/../b", "Content-Length: 5") + "hello"))
		f.Add([]byte(request(dialect, "GET", "/", "Transfer-Encoding: chunked", "Trailer: Authorization") + "0\r\nAuthorization: Basic YWxpY2U6eA==\r\n\r\n"))
	}
	f.Add([]byte("GET http://x/auth/envoy/ HTTP/1.1\r\nHost: y\r\nHost: z\r\n\r\n"))
	f.Add([]byte("* * HTTP/1.0\r\n\r\n"))
	l := start(f, func(o *options) {
		o.server.ReadTimeout, o.server.IdleTimeout = 20_000_000, 20_000_000
	})
	l.add("alice", session.Session{})
	defer func() { l.t = f }()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 4096 {
			return
		}
		l.t = t
		answer := l.send(string(raw))
		for answer != "" {
			a, rest := cutAnswer(t, answer)
			if a.status/100 == 2 || a.status/100 == 5 || strings.Contains(a.String(), "X-Auth-") {
				t.Fatalf("%q: %v", raw, a)
			}
			answer = rest
		}
	})
}

// FuzzExplain: a question is refused, or decided like the request that it is about.
func FuzzExplain(f *testing.F) {
	for _, body := range []string{
		`{"user":"alice","password":"pw","org":"default","api":"rest","method":"GET","host":"example.com","path":"/a?b","dialect":"envoy","headers":{"X-Api-Version":"v2"}}`,
		`{"user":"alice","password":"wrong","path":"/orders/%2e%2e","dialect":"forward"}`, `{"dialect":"nginx","headers":{"Host":"","X-Original-URI":"","x-original-method":"a\r\nb"}}`,
		`{"api":"a/b?c@d","path":"/\u0000"}`, `{"path":"*"}`, `{"dialect":"\u0000"}`, `{"host":"a\nb","method":"\u0000","user":"a:b","headers":{"Authorization":"Signature keyId=\"defaultalice\""}}`, `{}`,
	} {
		f.Add([]byte(body))
	}
	l := start(f, withSigned)
	l.add("alice", session.Session{})
	f.Fuzz(func(t *testing.T, body []byte) {
		q, _, err := auth.DecodeQuestion(body)
		if err != nil {
			return
		}
		e, err := Explain(l.handler, q)
		if err != nil {
			return
		}
		if e.Passed != (e.Reason == "pass") || e.Passed && e.User != "alice" || len(e.Steps) == 0 {
			t.Fatalf("%s: %+v", body, e)
		}
		for i, step := range e.Steps {
			if last := i == len(e.Steps)-1; !last && !step.Passed || last && step.Passed != e.Passed {
				t.Fatalf("%s: step %d of %+v", body, i, e)
			}
		}
	})
}
