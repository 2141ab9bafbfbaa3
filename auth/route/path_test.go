package route

import (
	"bytes"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNormalPath(t *testing.T) {
	f := func(uri, want string) {
		t.Helper()
		var buf [16]byte // shorter than some: what is appended must not lean on it
		got, ok := normalPath(buf[:0], []byte(uri))
		if !ok || string(got) != want {
			t.Errorf("%.80q: %.80q, %v; want %.80q", uri, got, ok, want)
		}
	}
	// As it stands.
	f("/", "/")
	f("/a", "/a")
	f("/a/", "/a/")
	f("/a/b.c/d-e_f~g", "/a/b.c/d-e_f~g")
	f("/a:b@c!d$e&f'g(h)i*j+k,l=m", "/a:b@c!d$e&f'g(h)i*j+k,l=m")
	f("/a b", "/a b")
	f("/A/B", "/A/B") // case counts
	f("/ä", "/ä")
	// Without the query, whatever is in it.
	f("/a?", "/a")
	f("/a?b=c", "/a")
	f("/a?../../b", "/a")
	f("/a?%zz%2f#\x00\\", "/a")
	f("/?/a", "/")
	f("/a?b?c", "/a")
	// Slashes.
	f("//", "/")
	f("//a", "/a")
	f("///a///b///", "/a/b/")
	f("//example.com/a", "/example.com/a")
	// Dot segments, spelled any way.
	f("/.", "/")
	f("/./", "/")
	f("/./a", "/a")
	f("/a/.", "/a/")
	f("/a/./b", "/a/b")
	f("/..", "/")
	f("/../", "/")
	f("/../a", "/a")
	f("/../../../a", "/a")
	f("/a/..", "/")
	f("/a/../", "/")
	f("/a/../b", "/b")
	f("/a/b/../c", "/a/c")
	f("/a/b/..", "/a/")
	f("/a/b/../..", "/")
	f("/a/b/../../..", "/")
	f("/a/./../b", "/b")
	f("/a//../b", "/b")
	f("/a/..//b", "/b")
	f("/%2e", "/")
	f("/%2E%2e/a", "/a")
	f("/a/%2e%2E/b", "/b")
	f("/a/.%2e/b", "/b")
	f("/a/%2e./b", "/b")
	f("/a/%2e/b", "/a/b")
	// Segments that only look like dot segments.
	f("/...", "/...")
	f("/a/.../b", "/a/.../b")
	f("/a/..b", "/a/..b")
	f("/a/b..", "/a/b..")
	f("/a/.b/c.", "/a/.b/c.")
	f("/a/. ./b", "/a/. ./b")
	f("/a/..%20/b", "/a/.. /b")
	f("/a/%2e%2e%2e/b", "/a/.../b")
	// Escapes, decoded once.
	f("/%61", "/a")
	f("/%41%5a%7A", "/AZz")
	f("/a%20b", "/a b")
	f("/%c3%a4", "/ä")
	f("/%C3%A4", "/ä")
	f("/a%3fb", "/a?b")
	f("/a%23b", "/a#b")
	f("/a%3bb", "/a;b")
	f("/a+b", "/a+b") // a plus is a plus in a path
	// Parameters that are not behind dots.
	f("/a;b", "/a;b")
	f("/a;b=c/d", "/a;b=c/d")
	f("/a;/b", "/a;/b")
	f("/;a", "/;a")
	f("/a/;../b", "/a/;../b")
	f("/a/b;../c", "/a/b;../c")
	f("/a;x/../b", "/b")
	// Long.
	f("/"+strings.Repeat("a", MaxPath-1), "/"+strings.Repeat("a", MaxPath-1))
	f("/"+strings.Repeat("a/../", 1638), "/")
	f("/"+strings.Repeat("%61", 2730), "/"+strings.Repeat("a", 2730))
	f("/a?"+strings.Repeat("b", 100_000), "/a")
}

func TestNormalPathAmbiguous(t *testing.T) {
	f := func(uri string) {
		t.Helper()
		if got, ok := normalPath(nil, []byte(uri)); ok {
			t.Errorf("%.80q is taken for %.80q", uri, got)
		}
	}
	// No path: other forms of a target, or nothing.
	f("")
	f("?")
	f("?/a")
	f("#")
	f("*")
	f("a")
	f("a/b")
	f("./a")
	f("../a")
	f(" /a")
	f("%2fa")
	f("http://example.com/a")
	f("example.com:443")
	f("\\a")
	f("@a")
	// Escaped slashes and backslashes (Envoy CVE-2021-29492, Heimdall CVE-2026-42272).
	f("/a%2fb")
	f("/a%2Fb")
	f("/%2f")
	f("/a/..%2fb")
	f("/a%2f..%2fb")
	f("/a%2f%2e%2e%2fb")
	f("/a%5cb")
	f("/a%5Cb")
	f("/a/..%5cb")
	f("/a\\b")
	f("/a\\..\\b")
	f("/\\a")
	// Paths that a second decoding would change.
	f("/%25")
	f("/a%252fb")
	f("/a%252e%252e/b")
	f("/%2525")
	f("/a%25zz")
	// Escapes that are none.
	f("/%")
	f("/%2")
	f("/%g0")
	f("/%0g")
	f("/%zz")
	f("/a%")
	f("/a%6")
	f("/a%%61")
	f("/%u002e")
	f("/% 20")
	f("/%+1")
	f("/%-1")
	// Control characters: the end of a string for some, of a line for others.
	f("/a%00")
	f("/a%00/../b")
	f("/a\x00b")
	f("/a%0a")
	f("/a%0d%0ab")
	f("/a\nb")
	f("/a\tb")
	f("/a%1f")
	f("/a%7f")
	f("/a\x7f")
	// Fragments (Envoy CVE-2021-32779).
	f("/a#b")
	f("/a#")
	f("/#/../a")
	f("/a#?b")
	f("/a/../b#/c")
	// Dots with parameters (Envoy CVE-2026-73551).
	f("/a/..;/b")
	f("/a/..;x=1/b")
	f("/a/..;")
	f("/a/.;/b")
	f("/..;/a")
	f("/a/...;/b")
	f("/a/%2e%2e;/b")
	f("/a/..%3b/b")
	f("/a/%2e%2e%3bx/b")
	f("/a/..;x;y/b")
	// Broken and overlong UTF-8.
	f("/\xff")
	f("/%ff")
	f("/a%c3")
	f("/%c0%ae%c0%ae/a")
	f("/a%c0%afb")
	f("/%ed%a0%80")
	f("/%c3\xa4%ff")
	// Also in a segment that a dot segment removes: a reader that takes %c0%ae for a dot does not
	// remove it.
	f("/\xff/../a")
	f("/%ff/..")
	f("/a/b/%c0%ae%c0%ae/../../c")
	// Too long.
	f("/" + strings.Repeat("a", MaxPath))
	f("/" + strings.Repeat("../", MaxPath/3+1))
}

// FuzzNormalPath holds normalPath against a reading put together from the standard
// library: unescape once, clean. Where it says ok, there is no other reading; where it
// does not, there is a reason.
func FuzzNormalPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b/", "//a//b", "/a/../b", "/a/./b", "/a/%2e%2e/b", "/a%2fb", "/a%5cb", "/a\\b", "/a/..;/b", "/a;b/c", "/a%3b/..", "/%25", "/%zz", "/%",
		"/a?b", "/a#b", "/a%3fb", "/a%23b", "/a%00", "/\xff", "/%c3%a4", "*", "http://h/a", "/..", "/.", "/a/..", "/.../..a/a..", "/a b", "/..%3bx", "/%2e;",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, uri []byte) {
		before := bytes.Clone(uri)
		var buf [64]byte
		got, ok := normalPath(buf[:0], uri)
		if !bytes.Equal(uri, before) {
			t.Fatalf("%q was changed", before)
		}
		want, clear := readPath(string(uri))
		if ok != clear || ok && string(got) != want {
			t.Fatalf("%q: %q, %v; want %q, %v", uri, got, ok, want, clear)
		}
		if !ok {
			return
		}
		if strings.Contains(want, "//") || !strings.HasPrefix(want, "/") {
			t.Fatalf("%q: %q", uri, got)
		}
		for segment := range strings.SplitSeq(want, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q: a dot segment in %q", uri, got)
			}
		}
		// The normal form of the normal form is itself. A ? and a # that stood there in
		// escapes have to be escaped again, or they would not be part of the path.
		again, ok := normalPath(nil, []byte(strings.NewReplacer("?", "%3f", "#", "%23").Replace(want)))
		if !ok || string(again) != want {
			t.Fatalf("%q: %q, and again %q, %v", uri, got, again, ok)
		}
	})
}

// readPath is normalPath, slowly.
func readPath(uri string) (normal string, clear bool) {
	raw, _, _ := strings.Cut(uri, "?")
	text, err := url.PathUnescape(raw)
	switch {
	case err != nil, len(raw) > MaxPath, !strings.HasPrefix(raw, "/"), !utf8.ValidString(text):
		return "", false
	case strings.Contains(raw, "#"), strings.Contains(strings.ToLower(raw), "%2f"), strings.ContainsAny(text, `\%`):
		return "", false
	case strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "", false
	}
	slash := strings.HasSuffix(text, "/")
	for segment := range strings.SplitSeq(text, "/") {
		name, _, parameters := strings.Cut(segment, ";")
		if parameters && name != "" && strings.Trim(name, ".") == "" {
			return "", false
		}
		slash = segment == "" || segment == "." || segment == ".."
	}
	normal = path.Clean(text)
	if slash && normal != "/" {
		normal += "/"
	}
	return normal, true
}
