package route

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// seen is a request target as one reader sees it.
type seen struct {
	authority string // "": none
	path      string
	steps     string // what the reader did, in its order
	decoded   bool
}

// readerSteps are the steps that programs take with a path before they use it, in any order. A reader
// takes one of the steps that decode, and each of the others at most once.
var readerSteps = []struct {
	name    string
	decodes bool
	take    func(seen) seen
}{
	{"decode", true, onBoth(unescape)},
	{"decode all but slashes", true, onBoth(func(p string) string { return unescapeBut(p, "2f", "2F") })},
	{"decode all but backslashes", true, onBoth(func(p string) string { return unescapeBut(p, "5c", "5C") })},
	{"decode all but percent signs", true, onBoth(func(p string) string { return unescapeBut(p, "25", "25") })},
	{"decode twice", true, onBoth(func(p string) string { return unescape(unescape(p)) })},
	{"backslashes", false, onPath(func(p string) string { return strings.ReplaceAll(p, `\`, "/") })},
	{"end", false, onPath(func(p string) string { // at what looks like a query or a fragment
		if i := strings.IndexAny(p, "?#"); i >= 0 {
			return p[:i]
		}
		return p
	})},
	{"parameters", false, onPath(func(p string) string { return string(withoutParameters([]byte(p))) })},
	{"resolve", false, onPath(func(p string) string { return resolve(p, true) })},
	{"absorb", false, onPath(func(p string) string { return resolve(p, false) })}, // as browsers and Node do
	{"authority", false, func(s seen) seen { // T-102: see TestT102RealReaders
		rest := strings.TrimLeft(s.path, "/")
		if !strings.HasPrefix(s.path, "//") || rest == "" {
			return s
		}
		end := strings.IndexAny(rest+"/", "/?#")
		s.authority, s.path = rest[:end], rest[end:]
		if !strings.HasPrefix(s.path, "/") {
			s.path = "/" + s.path
		}
		return s
	}},
}

func onPath(f func(string) string) func(seen) seen {
	return func(s seen) seen {
		s.path = f(s.path)
		return s
	}
}

func onBoth(f func(string) string) func(seen) seen {
	return func(s seen) seen {
		s.authority, s.path = f(s.authority), f(s.path)
		return s
	}
}

func unescape(p string) string {
	if decoded, err := url.PathUnescape(p); err == nil {
		return decoded
	}
	return p
}

// unescapeBut leaves the escape of one byte, spelled in two ways, as it is.
func unescapeBut(p, lower, upper string) string {
	const mark = "\x00"
	p = strings.NewReplacer("%"+lower, mark+lower, "%"+upper, mark+upper).Replace(p)
	return strings.ReplaceAll(unescape(p), mark, "%")
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

// everyReading returns the readings of uri for readers that take any steps in any order. It skips steps
// that change nothing, because they lead to the same readings.
func everyReading(uri string) (all []seen) {
	known := make(map[seen]bool) // without steps
	var extend func(s seen, taken []bool)
	extend = func(s seen, taken []bool) {
		if s.decoded || !strings.Contains(s.authority+s.path, "%") {
			collapsed := s
			for strings.Contains(collapsed.path, "//") {
				collapsed.path = strings.ReplaceAll(collapsed.path, "//", "/")
			}
			for _, result := range []seen{s, collapsed} {
				if key := (seen{authority: result.authority, path: result.path}); !known[key] {
					known[key] = true
					all = append(all, result)
				}
			}
		}
		for i, step := range readerSteps {
			if taken[i] || step.decodes && s.decoded {
				continue
			}
			after := step.take(s)
			if after.path == s.path && after.authority == s.authority {
				continue
			}
			after.decoded = s.decoded || step.decodes
			after.steps += ", " + step.name
			now := slices.Clone(taken)
			now[i] = true
			extend(after, now)
		}
	}
	extend(seen{path: uri}, make([]bool, len(readerSteps)))
	return all
}

// readersWorld is a set of APIs and a right to some URLs of one of them.
type readersWorld struct {
	apis  *APIs
	right *Rules // of a right to the API "public"
}

func newReadersWorld(t testing.TB, list ...API) readersWorld {
	return readersWorld{mustAPIs(t, list...), NewRules([]URLRule{{Pattern: "/public/open(/.*)?", Methods: []string{"GET"}}}, nil)}
}

// readersWorlds are by path; by host alone, so that no path matters but one that names a
// host; and by both.
func readersWorlds(t testing.TB) []readersWorld {
	return []readersWorld{
		newReadersWorld(t, api("root", "/"), api("orders", "/orders"), api("public", "/public")),
		newReadersWorld(t, api("public", "/"), api("orders", "/", "orders", "*.orders")),
		newReadersWorld(t, api("root", "/"), api("orders", "/orders", "a.org", "public"), api("public", "/public"), api("x", "/", "x")),
	}
}

// check finds the API of a URI and matches the rules of a right, and fails if a URI passes in which a
// reader sees another API or a URL that is not allowed.
func (w readersWorld) check(t testing.TB, uri string) (passed, granted bool) {
	t.Helper()
	get := []byte("GET")
	found, outcome := w.apis.Find(Target{Host: []byte("a.org"), URI: []byte(uri)})
	if outcome != Found {
		return false, false
	}
	_, outcome = w.right.Match(found, get, []byte(uri))
	granted = found.ID == "public" && outcome == Found
	for _, s := range everyReading(string(withoutQuery([]byte(uri)))) {
		hosts := []string{"a.org"}
		if s.authority != "" {
			hosts = append(hosts, s.authority)
		}
		for _, host := range hosts {
			name, ok := w.apis.host(nil, []byte(host))
			if !ok {
				t.Fatalf("%q passes as %s, and names the host %q for a reader that does%s", uri, found.ID, host, s.steps)
			}
			if owner, _ := w.apis.find(name, []byte(s.path)); owner != found {
				t.Fatalf("%q passes as %s, and is %q of %q for a reader that does%s", uri, found.ID, s.path, host, s.steps)
			}
		}
		if granted && !w.right.allowsURL([]byte(s.path), get, found) {
			t.Fatalf("%q is granted, and is %q for a reader that does%s", uri, s.path, s.steps)
		}
	}
	return true, granted
}

// T-102: a request that passes to an API belongs to that API for all readers of its path, and one that
// passes a right to some URLs is at one of them.
func TestEveryReaderOfAPath(t *testing.T) {
	pieces := []string{
		"orders", "public", "open", "x", "..", ".", "%2e%2e", "%2E", ".%2e", "/", "//", "/", "/", ";", ";v=1", "%3b", "%3f", "%23", "%6frders", "public/open", "/..", "/../", "a%20b",
		"%2f", "%2F", "%25", "%252f", "%5c", "%252e", `\`, "@", ":80",
	}
	begins := []string{"/", "/public/", "/orders/", "/public/open/", "//", "//x/", "//orders/", "/;/", "/./", "///a.org/"}
	for _, w := range readersWorlds(t) {
		random := rand.New(rand.NewPCG(7, 21))
		passed, granted := 0, 0
		for range 5000 {
			var b strings.Builder
			b.WriteString(begins[random.IntN(len(begins))])
			for range 1 + random.IntN(6) {
				b.WriteString(pieces[random.IntN(len(pieces))])
			}
			p, g := w.check(t, b.String())
			if p {
				passed++
			}
			if g {
				granted++
			}
		}
		t.Logf("%d of 5000 paths passed, %d of them with a right to some URLs", passed, granted)
		if passed < 700 || granted < 100 {
			t.Error("too few paths pass: nothing is shown")
		}
	}
}

// FuzzReaders, T-102: no target that passes leads elsewhere for some reader.
func FuzzReaders(f *testing.F) {
	for _, seed := range []string{
		"/public/open", "//x/orders", "/;/x/orders", "/%3b/orders;a", "/public/open/a%2fb", "/orders/100%25", "/orders/a%5cb", "///x//orders", "/x/../orders", "//x%3f/orders",
		"/;%3f/orders%3fx", `/\x/orders`, "//orders@x:80/", "http://x/orders", "*", "", "/a//..//orders", "/%2e/orders", "/%09/orders",
	} {
		f.Add(seed)
	}
	worlds := readersWorlds(f)
	f.Fuzz(func(t *testing.T, uri string) {
		if len(uri) > 60 || !strings.HasPrefix(uri, "/") {
			return // the readers here know of paths alone; and each ; and % multiplies them
		}
		for _, w := range worlds {
			w.check(t, uri)
		}
	})
}

// Each reading of a path is listed once, and their number is bounded.
func TestPathReadings(t *testing.T) {
	f := func(uri string, want ...string) {
		t.Helper()
		raw := []byte(uri)
		normal, clear := normalPath(nil, raw)
		list, ok := readings(raw, normal, clear)
		var got []string
		for _, r := range list {
			text := string(r.path)
			if r.authority != nil {
				text = string(r.authority) + " " + text
			}
			got = append(got, text)
		}
		if !ok {
			got = nil
		}
		if !slices.Equal(got, want) {
			t.Errorf("%.80q: %q, want %q", uri, got, want)
		}
	}
	f("/a%20b", "/a b")
	f("/a//b", "/a/b", "/a//b")
	f("/a/../b", "/b", "/a/../b")
	f("/a;b/c", "/a;b/c", "/a/c")
	f("/a%3bb;c/d", "/a;b;c/d", "/a/d", "/a;b/d")
	f("/a%3fb", "/a?b", "/a")
	f("//", "/", "//")
	f("//a", "/a", "//a", "a /")
	f("//a/b", "/a/b", "//a/b", "a /b")
	f("///a//b", "/a/b", "///a//b", "a /b", "a //b")
	f("//a%3fb/c", "/a?b/c", "//a?b/c", "/a", "//a", "a /", "a?b /c")
	f("/;x/a/b", "/;x/a/b", "/a/b", "//a/b", "a /b")
	f("//%61/%62", "/a/b", "//a/b", "a /b")
	f("/a%2fb", "/a/b", "/a%2fb")
	f("/a%2Fb%20c", "/a/b c", "/a%2Fb c")
	f("/a%5cb", `/a\b`, "/a%5cb", "/a/b")
	f("/a%25", "/a%", "/a%25")
	f("/a%252fb", "/a%2fb", "/a%252fb", "/a/b")
	f("/a%255cb", "/a%5cb", "/a%255cb", `/a\b`, "/a/b")
	// Too many to be listed, or not known.
	f("/a//../b")
	f("/a;b/../c")
	f("/a/%2e%2e;x/b")
	f("//%3b%3f;a;%3b%3b/%3f%3b;b%23;c/%23d")
	f("/a%2fb%5c")
	f("/a%2f..")
	f("/a%2f/b")
	f("/a%252525")
	f("/a%00")
	f("/\xff")
	f("*")
	f("")
	f("/" + strings.Repeat("%2f", MaxPath))
}
