package route

import (
	"strings"
	"testing"
	"time"
)

// Patterns are anchored at both ends and compared with the path as it is, without the
// listen path, and each of them without its first slash.
func TestPattern(t *testing.T) {
	const listenPath = "/basic"
	for _, c := range []struct {
		pattern string
		matches []string
		not     []string
	}{
		// The patterns of Tyk, read as it reads them with prefix and suffix matching.
		{"/a", []string{"/a", "/basic/a"}, []string{"/a/", "/ab", "/x/a", "/a/b", "/A", "/basic//a", "/basic/ab", "/basic/x/a", "/basic"}},
		{"/get.*", []string{"/basic/get", "/basic/getting", "/basic/get/x/y"}, []string{"/basic/x/get", "/basic/ge"}},
		{"^/strict$", []string{"/basic/strict"}, []string{"/basic/strict/", "/basic/x/strict", "/basic/strictly"}},
		{"/id/{id}", []string{"/basic/id/7", "/basic/id/a-b.c"}, []string{"/basic/id/7/8", "/basic/id/", "/basic/id", "/basic/x/id/7"}},
		{"/w/*", []string{"/basic/w/", "/basic/w/x", "/basic/w/x/y"}, []string{"/basic/w", "/basic/ww/x", "/basic/x/w/y"}},
		{"/basic/full", []string{"/basic/full", "/basic/basic/full"}, []string{"/basic/full/", "/basic/x/full", "/basic"}},
		{"rel", []string{"/basic/rel"}, []string{"/basic/xrelx", "/basic/rel/x", "/basic/x/rel"}},
		{"/e$", []string{"/basic/e"}, []string{"/basic/ee", "/basic/e/", "/basic/x/e"}},

		{"/", []string{"/basic/"}, []string{"/basic", "/basic/x"}},
		{"/basic", []string{"/basic", "/basic/basic"}, []string{"/basic/", "/basic/x"}},
		{"/*", []string{"/basic", "/basic/", "/basic/x/y"}, nil},
		{".*", []string{"/basic", "/basic/", "/basic/x/y"}, nil},
		{"/{a}/{b_2}/c", []string{"/basic/1/2/c"}, []string{"/basic/c", "/basic/1/2/3/c", "/basic//2/c"}},
		{"/v[12]/(users|groups)", []string{"/basic/v1/users", "/basic/v2/groups"}, []string{"/basic/v3/users", "/basic/v1/usersgroups"}},
		// Without the group of our own the first half would have no end, the second no beginning.
		{"/one|/two", []string{"/basic/one", "/basic/two"}, []string{"/basic/onerous", "/basic/x/two", "/basic/one/two"}},
		{"(?i)/case", []string{"/basic/CASE", "/basic/case"}, []string{"/basic/CASES"}},
		{"(?m)^/line$", []string{"/basic/line"}, []string{"/basic/line/x"}},
		{`/file\.txt`, []string{"/basic/file.txt"}, []string{"/basic/fileXtxt"}},
		{"/a{2}", []string{"/basic/aa"}, []string{"/basic/a", "/basic/aaa", "/basic/a{2}"}},
		{"/w/*/x", []string{"/basic/w/1/x"}, []string{"/basic/w/x", "/basic/w//x", "/basic/w/1/2/x", "/basic/w/1/x/y"}},
		{"/w/*/*/x/*", []string{"/basic/w/1/2/x/", "/basic/w/1/2/x/y/z"}, []string{"/basic/w/1/x/", "/basic/w/1/2/3/x/"}},
		{`/\p{L}+`, []string{"/basic/abc", "/basic/ä"}, []string{"/basic/1", "/basic/a/b"}},
		{`/\P{Greek}\p{Greek}`, []string{"/basic/aα"}, []string{"/basic/αα"}},
		{`/\{id}`, []string{"/basic/{id}"}, []string{"/basic/7"}},
		{`/\d{2}{rest}`, []string{"/basic/12a"}, []string{"/basic/12", "/basic/1a"}},
		{"/ä", []string{"/basic/ä"}, []string{"/basic/a"}},
	} {
		p, err := compilePattern(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		for _, path := range c.matches {
			if !under([]byte(path), listenPath) {
				path = listenPath + path
			}
			if !p.matches([]byte(path), listenPath) {
				t.Errorf("%q does not match %s", c.pattern, path)
			}
		}
		for _, path := range c.not {
			if !under([]byte(path), listenPath) {
				path = listenPath + path
			}
			if p.matches([]byte(path), listenPath) {
				t.Errorf("%q matches %s", c.pattern, path)
			}
		}
	}
}

// With the listen path / nothing is taken off.
func TestPatternAtRoot(t *testing.T) {
	p, err := compilePattern("/a")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/a": true, "/": false, "/a/": false, "/x/a": false} {
		if got := p.matches([]byte(path), "/"); got != want {
			t.Errorf("/a matches %s: %v, want %v", path, got, want)
		}
	}
}

func TestPatternRefused(t *testing.T) {
	for _, bad := range []string{
		"",
		"/a(",
		"/a)",
		"/[a",
		"*",
		"/a{2,1}",
		`/a\`,
		`(?<=a)b`,
		`/(a)\1`,
		"/a{1001}",
		// Invalid alone: only the group around them would make them valid, without the anchors.
		"/a)|(?:/b",
		")|(",
		"/" + strings.Repeat("a", maxPattern),
	} {
		if p, err := compilePattern(bad); err == nil {
			t.Errorf("%.40q compiles, to %v", bad, p)
		}
	}
	if _, err := compilePattern("/" + strings.Repeat("a", maxPattern-1)); err != nil {
		t.Error(err)
	}
}

func TestMethods(t *testing.T) {
	for _, c := range []struct {
		list   methods
		method string
		want   bool
	}{
		{methods{"GET"}, "GET", true},
		{methods{"get"}, "GET", true},
		{methods{"Get"}, "gET", true},
		{methods{"GET"}, "HEAD", false},
		{methods{"GET"}, "OPTIONS", false},
		{methods{"GET", "POST"}, "POST", true},
		{methods{"GET"}, "GETS", false},
		{methods{"GETS"}, "GET", false},
		{methods{"GET"}, "", false},
		{methods{}, "GET", false},
		{nil, "GET", false},
		// Equal in Unicode's eyes, and another method.
		{methods{"LINK"}, "LIN\u212a", false},
	} {
		if got := c.list.include([]byte(c.method)); got != c.want {
			t.Errorf("%q include %q: %v, want %v", c.list, c.method, got, c.want)
		}
	}
}

// Patterns that would take long to match, or much memory to compile, are refused without being compiled.
func TestPatternSteps(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		p, err := compilePattern(text)
		switch {
		case (err == nil) != want:
			t.Errorf("%.60q: %v", text, err)
		case err != nil && !strings.Contains(err.Error(), "must have at most 1000 steps as a regular expression, not "):
			t.Errorf("%.60q: %v", text, err)
		}
		if err != nil {
			return
		}
		path := []byte("/" + strings.Repeat("ac", MaxPath/2-1))
		began := time.Now()
		p.matches(path, "/")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%.60q takes %v", text, took)
		}
	}
	f("/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", true)
	f("/x{1,255}/[a-z]{0,99}.*", true)
	f("/(a|ac|aca|c|ca)*b", true)
	f("/.*a.*c.*a.*c.*b", true)
	f("/.{0,490}", true)
	f("/.{0,1000}", false)
	f("/[^/]+(.{1000})", false)
	f("/(a{31}){32}", false)
	f("/"+strings.Repeat("(.{0,1000})", 90), false)
	f("/"+strings.Repeat("(a{1000})", 90), false)
}
