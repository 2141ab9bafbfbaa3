package route

import (
	"strings"
	"testing"

	"sidekey/internal/problem"
)

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
		if p.automaton != nil && (p.steps < 1 || p.steps > maxSteps) || p.steps > AtMostSteps(text) {
			t.Fatalf("%q: %d steps, at most %d are expected", text, p.steps, AtMostSteps(text))
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
		found, reason := apis.Find(Target{Host: []byte(host), URI: []byte(uri)})
		if (found != nil) != (reason == Found) {
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
