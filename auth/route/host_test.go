package route

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func TestNormalHost(t *testing.T) {
	f := func(host, want string) {
		t.Helper()
		before := []byte(host)
		got, ok := normalHost(nil, before)
		if !ok || string(got) != want || string(before) != host {
			t.Errorf("%q: %q, %v; want %q", host, got, ok, want)
		}
	}
	f("a", "a")
	f("a.example.com", "a.example.com")
	f("A.Example.COM", "a.example.com")
	f("a.example.com:443", "a.example.com")
	f("a.example.com.", "a.example.com")
	f("A.example.com.:0", "a.example.com")
	f("my_service-1", "my_service-1")
	f("-a-.b", "-a-.b")
	f("xn--mnchen-3ya.de", "xn--mnchen-3ya.de")
	f("1a.2b", "1a.2b")
	f("1.a", "1.a")
	f("0xg", "0xg")
	f(strings.Repeat("a", 255)+".", strings.Repeat("a", 255))
	f("127.0.0.1", "127.0.0.1")
	f("255.255.255.255:65535", "255.255.255.255")
	f("0.0.0.0.", "0.0.0.0")
	f("[::1]", "[::1]")
	f("[::]:80", "[::]")
	f("[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]")
	f("[2001:0db8::0001]:443", "[2001:db8::1]")
	f("[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]")
	f("[1::]", "[1::]")
	f("[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]")
	f("[::FFFF:102:304]", "[::ffff:1.2.3.4]")
}

// T-101: a host that readers could take for different ones is refused.
func TestT101NoHost(t *testing.T) {
	for _, host := range []string{
		"", ":", ":80", ".", "..", ".a", "a..", "a..b", ".:80", "a.:", "a:", "a::", "a::80", "a:80:90", "a:80:", "a:b", "a:8o", "a: 80", "a:-1", "a:+1", "a:80.", "a:80/",
		"u@a", "u:p@a", "@a", "a@", "a,b", "a,", ",a", "a;b", "a b", " a", "a ", "\ta", "a\x00", "a\n", "a/", "/a", "a/b", `a\b`, "a?b", "a#b", "a%2eb", "%61", "a|b", "a^b", "a'b", `"a"`, "a(b)", "a+b", "a=b",
		"a&b", "a!b", "a$b", "a*b", "*", "*.a", "a~b", "a{b}", "a<b>", "a`b", "ä.de", "ａ.de", "a。b", "\xff", "http://a", "//a",
		"1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "a.0x", "a.1", "a.0X1f", "1.2.3.4.5", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1.2.3.4..", "1.2.3.1000", "0177.0.0.1",
		"[", "[]", "]", "[a]", "[::1", "::1", "::1]", "[::1]]", "[[::1]]", "[::1]x", "[::1].", "[::1]:", "[::1]::", "[::1]:80:90", "x[::1]", "[::1%25eth0]", "[::1%eth0]", "[v1.a]", "[1.2.3.4]", "[a.example.com]",
		"[a.example.com]:80", "[:1]", "[1:]", "[1::2::3]", "[:::]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7::8]x", "[::12345]", "[::g]", "[::1.2.3]", "[::1.2.3.4:5]", "[1:2:3:4:5:6:7:1.2.3.4]",
		strings.Repeat("a", 256), strings.Repeat("a.", 128) + "a",
	} {
		if got, ok := normalHost(nil, []byte(host)); ok {
			t.Errorf("%q is taken for %q", host, got)
		}
	}
}

// FuzzNormalHost: the result is a host in normal form, and two spellings have the same result only if they
// differ in case, a port or a trailing dot.
func FuzzNormalHost(f *testing.F) {
	for _, seed := range []string{"a.example.com", "A.B.:80", "127.0.0.1", "[::1]:80", "[1::1.2.3.4]", "a:80:90", "u@a", "a,b", "127.1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, host []byte) {
		got, ok := normalHost(nil, host)
		if !ok {
			return
		}
		again, ok := normalHost(nil, got)
		if !ok || !bytes.Equal(again, got) {
			t.Fatalf("%q is %q, and that is %q, %v", host, got, again, ok)
		}
		if got[0] == '[' {
			if _, err := netip.ParseAddr(string(got[1 : len(got)-1])); err != nil {
				t.Fatal(err)
			}
			return
		}
		rest, same := strings.CutPrefix(strings.ToLower(string(host)), string(got))
		rest = strings.TrimPrefix(rest, ".")
		if !same || rest != "" && (rest[0] != ':' || strings.Trim(rest[1:], "0123456789") != "") {
			t.Fatalf("%q is %q", host, got)
		}
	})
}

// T-101: if any API has hosts, a Host header that is no host leads to no API, whatever the
// path; without hosts, and for an API that the proxy names, it does not matter.
func TestT101FindAPI(t *testing.T) {
	f := func(apis *APIs, r Target, want Outcome, wantID string) {
		t.Helper()
		got, outcome := apis.Find(r)
		if outcome != want || (got == nil) != (wantID == "") || got != nil && got.ID != wantID {
			t.Errorf("%q %q %q: %v, %v; want %v, %q", r.Named, r.Host, r.URI, got, outcome, want, wantID)
		}
	}
	q := func(host, uri string) Target { return Target{Host: []byte(host), URI: []byte(uri)} }
	bad := []string{"", ":", "admin.example.com:80:90", "u@admin.example.com", "[admin.example.com]:80", "admin.example.com,h", "h,admin.example.com", "admin.example.com..", "admin.example.com:"}

	hosts := mustAPIs(t, api("any", "/"), api("admin", "/", "admin.example.com"), api("six", "/", "[2001:db8::1]"), api("four", "/", "127.0.0.1"))
	paths := mustAPIs(t, api("any", "/"), api("orders", "/orders"))
	for _, host := range bad {
		f(hosts, q(host, "/"), Ambiguous, "")
		f(paths, q(host, "/"), Found, "any")
		f(paths, q(host, "/orders"), Found, "orders")
		named := q(host, "/")
		named.Named = []byte("admin")
		f(hosts, named, Found, "admin")
	}
	f(hosts, q("ADMIN.example.com.:8080", "/"), Found, "admin")
	f(hosts, q("other.example.com", "/"), Found, "any")
	f(hosts, q("[2001:DB8:0::1]:80", "/"), Found, "six")
	f(hosts, q("[2001:db8::2]", "/"), Found, "any")
	f(hosts, q("127.0.0.1:80", "/"), Found, "four")
	f(hosts, q("127.1", "/"), Ambiguous, "")
	f(hosts, q("0x7f000001", "/"), Ambiguous, "")

	// T-102: the target may name a host as well.
	f(hosts, q("a.org", "//admin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", "//admin.example.com:80/x"), Ambiguous, "")
	f(hosts, q("a.org", "//u@admin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", "//%61dmin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", "/;/admin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", "/%2fadmin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", "/\t/admin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", `/\admin.example.com/x`), Ambiguous, "")
	f(hosts, q("a.org", "/.//admin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", "/x/..;//admin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", "http://admin.example.com/x"), Ambiguous, "")
	f(hosts, q("a.org", "admin.example.com:443"), Ambiguous, "")
	f(hosts, q("admin.example.com", "//a.org/x"), Ambiguous, "")
	f(hosts, q("admin.example.com", "//admin.example.com/x"), Found, "admin")
	f(hosts, q("a.org", "//b.org/x"), Found, "any")
	f(hosts, q("a.org", "/x//admin.example.com/x"), Found, "any")
	// A Host header that names no host does not matter if no API has hosts.
	f(hosts, q("a.org", "/a%2fb"), Found, "any")
	f(hosts, q("a.org", "/%e4"), Found, "any")
	f(hosts, q("a.org", "/a%00b"), Found, "any")
	f(hosts, q("a.org", "/a%zz"), Found, "any")
	f(hosts, q("a.org", "/a/../b"), Found, "any")
	f(mustAPIs(t, api("any", "/")), q("a.org", "//admin.example.com/x"), Found, "any")
	f(mustAPIs(t, api("any", "/")), q("a.org", "http://admin.example.com/x"), Found, "any")
}

func TestFindAPIWithHostsAllocatesNothing(t *testing.T) {
	apis := mustAPIs(t, api("any", "/"), api("admin", "/", "admin.example.com"), api("six", "/", "[2001:db8::1]"), api("below", "/x", "*.example.com"))
	for _, host := range []string{"admin.example.com", "Admin.Example.com:443", "[2001:DB8::1]:80", "[::ffff:1.2.3.4]", "127.0.0.1:80", "a,b"} {
		r := Target{Host: []byte(host), URI: []byte("/x/1?y")}
		if n := testing.AllocsPerRun(100, func() { apis.Find(r) }); n != 0 {
			t.Errorf("%s: %v allocations", host, n)
		}
	}
}
