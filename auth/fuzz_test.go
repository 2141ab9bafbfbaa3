package auth

import (
	"bytes"
	"strings"
	"testing"

	"sidekey/internal/problem"
)

// FuzzDecodePolicy, T-80: whatever is read as a policy can be written and read again, and
// checked and applied without a panic.
func FuzzDecodePolicy(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"id":"gold","org_id":"default","rate":5,"per":1,"active":true}`, `{"id":"a","id":"b"}`, `{"_id":"x","name":"ü","partitions":{"acl":true,"per_api":true}}`,
		`{"id":"p","access_rights":{"orders":{"allowed_urls":[{"url":"/a{2}","methods":["GET"]}],"limit":{"rate":1e9}}},"tags":["a","b"]}`, `{"key_expires_in":9223372036854775807,"meta_data":{"a":{}}}`,
		`{"smoothing":{"enabled":true,"threshold":1,"step":1,"trigger":0.5,"delay":9223372036854775807},"rate":1,"per":1}`, `{"graphql_access_rights":{"a":[1, 2]},"shadow":true,"unknown":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, _, err := DecodePolicy(body)
		if err != nil {
			if _, ok := err.(problem.List); !ok {
				t.Fatalf("%q: %T %v", body, err, err)
			}
			return
		}
		first := mustEncode(t, p)
		again, unknown, err := DecodePolicy(first)
		if err != nil || unknown != nil {
			t.Fatalf("%q is stored as %s, which is read as: %v, unknown %q", body, first, err, unknown)
		}
		if second := mustEncode(t, again); !bytes.Equal(second, first) {
			t.Fatalf("%q is stored as %s and then as %s", body, first, second)
		}
		p.Validate(Rules{APIs: new(APIs), Policies: NewPolicies(nil), MaxPassword: 72})
		Apply(&Session{OrgID: p.OrgID}, []*Policy{&p}, false)
	})
}

// FuzzPattern: a pattern that is taken matches only whole paths, and nothing that lies
// outside of the expression that was written.
func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"/a", "/{id}/*", "/a|/b", "(?m)^/x$", `/\{x}`, "/.{0,400}", "/a)|(?:/b", "/[", "rel", "*", "/*/*/", `\p{Greek}`, "/(?i:A)", "^$", "|", "(?s).*"} {
		f.Add(seed, "/a/b")
	}
	f.Fuzz(func(t *testing.T, text, uri string) {
		path, ok := normalPath(nil, []byte(uri))
		if !ok || len(path) > 200 {
			return
		}
		p, err := compilePattern(text)
		if err != nil {
			if !strings.HasSuffix(err.Error(), ": "+text) && strings.ContainsFunc(err.Error(), problem.Control) && !strings.ContainsFunc(text, problem.Control) {
				t.Fatalf("%q: %q", text, err)
			}
			return
		}
		if p.automaton != nil && (p.steps < 1 || p.steps > maxSteps) || p.steps > atMostSteps(text) {
			t.Fatalf("%q: %d steps, at most %d are expected", text, p.steps, atMostSteps(text))
		}
		if p.matches(path, "/") != p.matches(path, "") {
			t.Fatalf("%q: the root has another slash for %q", text, path)
		}
	})
}

// FuzzFindAPI: an API is found for the host that it has and for the path that lies under
// it, and a request that leads to none is refused.
func FuzzFindAPI(f *testing.F) {
	apis, err := NewAPIs([]API{
		api("own", "/", "a.example.com"), api("orders", "/orders", "a.example.com"), api("below", "/x", "*.example.com"), api("rest", "/orders"),
	}, nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, host := range []string{"a.example.com", "A.EXAMPLE.COM.:80", "b.example.com", "[::1]:80", "", ":", "x..", "a.example.com@b"} {
		f.Add(host, "/orders/../x//y;z%3f")
		f.Add(host, "//b.example.com/orders/a%2fb")
	}
	f.Fuzz(func(t *testing.T, host, uri string) {
		found, reason := findAPI(apis, &Request{Host: []byte(host), URI: []byte(uri)})
		if (found != nil) != (reason == Pass) {
			t.Fatalf("%q %q: %v, %v", host, uri, found, reason)
		}
		if found == nil {
			return
		}
		if _, ok := normalHost(nil, []byte(host)); !ok {
			t.Fatalf("%q is no host, and %s is found", host, found.ID)
		}
		path, clear := normalPath(nil, []byte(uri))
		if found.ListenPath != "/" && clear && !under(path, found.ListenPath) {
			t.Fatalf("%q %q: %s at %s", host, uri, found.ID, path)
		}
		lower := strings.ToLower(host)
		if named := len(found.Hosts) > 0; named && !strings.Contains(lower, "example.com") {
			t.Fatalf("%q: %s", host, found.ID)
		}
	})
}

// FuzzParseToken: a token is that of one name alone.
func FuzzParseToken(f *testing.F) {
	for _, name := range []Name{{"default", "alice"}, {"", ""}, {`a"b`, `c","id":"d`}, {"ü", "密码"}} {
		f.Add(name.Token())
	}
	f.Add("e30=")
	f.Fuzz(func(t *testing.T, token string) {
		name, ok := ParseToken(token)
		if !ok {
			return
		}
		if err := CheckNames(name.Org, name.User); err != nil {
			t.Fatalf("%q: %q: %v", token, name, err)
		}
		// What a decoder skips (line ends) is in no token that we write.
		if again, ok := ParseToken(name.Token()); !ok || again != name {
			t.Fatalf("%q is %q, and its token %q", token, name, again)
		}
	})
}
