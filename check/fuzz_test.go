package check

import (
	"bytes"
	"strings"
	"testing"

	"sidekey/auth"
)

// FuzzSplitPath: what is cut off a target is its beginning, and what is left begins where
// a path or a query does.
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
		whole := "/auth/" + d.name
		if api != nil {
			whole += "@" + string(api)
		}
		if whole+string(rest) != string(target) || bytes.ContainsAny(api, "/?") || len(rest) > 0 && rest[0] != '/' && rest[0] != '?' {
			t.Fatalf("%q: %s, %q, %q", target, d.name, api, rest)
		}
	})
}

// FuzzRequest, T-12: bytes that hold no right password are never admitted, and never cause an
// error that a proxy lets through.
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
	l.add("alice", auth.Session{})
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
