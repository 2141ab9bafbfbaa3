package auth

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// readerSteps are what programs do to a path before they use it, in whatever order.
var readerSteps = map[string]func(string) string{
	"decode": func(p string) string {
		if decoded, err := url.PathUnescape(p); err == nil {
			return decoded
		}
		return p
	},
	"end": func(p string) string { // at what looks like a query or a fragment
		if i := strings.IndexAny(p, "?#"); i >= 0 {
			return p[:i]
		}
		return p
	},
	"parameters": func(p string) string { return string(withoutParameters([]byte(p))) },
	"resolve":    func(p string) string { return resolve(p, true) },
	"absorb":     func(p string) string { return resolve(p, false) }, // as browsers and Node do
}

// resolve leaves out dot segments; .. takes the segment before with it, which may be an
// empty one unless those are collapsed first.
func resolve(p string, collapse bool) string {
	var out []string
	for segment := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		switch {
		case segment == "..":
			out = out[:max(0, len(out)-1)]
		case segment == "." || segment == "" && collapse:
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

// readers returns every order of every choice of steps in which escapes are decoded once.
func readers() (all [][]string) {
	var extend func(taken []string)
	extend = func(taken []string) {
		if slices.Contains(taken, "decode") {
			all = append(all, slices.Clone(taken))
		}
		for _, step := range []string{"decode", "end", "parameters", "resolve", "absorb"} {
			if !slices.Contains(taken, step) {
				extend(append(slices.Clone(taken), step))
			}
		}
	}
	extend(nil)
	return all
}

// What is let through to one API is that API's for everybody who reads the path, and what
// a right to some URLs lets through is one of them.
func TestEveryReaderOfAPath(t *testing.T) {
	apis := mustAPIs(t, api("root", "/"), api("orders", "/orders"), api("public", "/public"))
	owner := func(path string) string {
		for _, id := range []string{"orders", "public"} {
			if under([]byte(path), "/"+id) {
				return id
			}
		}
		return "root"
	}
	rules, _ := compileRight("public", Right{AllowedURLs: []AllowedURL{{URL: "/public/open(/.*)?", Methods: []string{"GET"}}}})
	g := &grant{paths: &paths{urls: rules}}

	pieces := []string{"orders", "public", "open", "x", "..", ".", "%2e%2e", "%2E", ".%2e", "/", "//", "/", "/", ";", ";v=1", "%3b", "%3f", "%23", "%6frders", "public/open", "/..", "/../", "a%20b"}
	all := readers()
	random := rand.New(rand.NewPCG(7, 21))
	passed, granted := 0, 0
	for range 5000 {
		var b strings.Builder
		b.WriteString([]string{"/", "/public/", "/orders/", "/public/open/"}[random.IntN(4)])
		for range 1 + random.IntN(8) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		uri := b.String()
		r := &Request{Method: []byte("GET"), Host: []byte("a.org"), URI: []byte(uri)}
		found, reason := findAPI(apis, r)
		if reason != Pass {
			continue
		}
		passed++
		open := found.ID == "public" && g.narrow(found, r, &charges{}) == Pass
		if open {
			granted++
		}
		for _, steps := range all {
			path := uri
			for _, step := range steps {
				path = readerSteps[step](path)
			}
			for strings.Contains(path, "//") {
				path = strings.ReplaceAll(path, "//", "/")
			}
			if got := owner(path); got != found.ID {
				t.Fatalf("%q passes as %s, and is %q, of %s, for who does %v", uri, found.ID, path, got, steps)
			}
			if open && !g.paths.allowsURL([]byte(path), r.Method, found) {
				t.Fatalf("%q is granted, and is %q for who does %v", uri, path, steps)
			}
		}
	}
	t.Logf("%d readers; %d of 5000 paths passed, %d of them with a right to some URLs", len(all), passed, granted)
	if passed < 1000 || granted < 300 {
		t.Error("too few paths pass: nothing is shown")
	}
}
