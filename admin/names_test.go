package admin

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"sidekey/auth/session"
)

// T-73: whatever the name in a path, the user that is written, read, listed and deleted has exactly the
// same bytes as its name, or the request is refused and nothing happens.
func TestNamesInPaths(t *testing.T) {
	l := start(t)
	const user = `{"basic_auth_data":{"password":"pw"}}`
	good := func(segment, name string) {
		t.Helper()
		l.ask("POST", "/api/apis/keys/basic/bystander", user)
		stored := func() (names []string) {
			all, err := l.users.Names(session.Name{}, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range all {
				if n.User != "bystander" {
					names = append(names, n.User)
				}
			}
			return names
		}
		for _, path := range []string{"/api/apis/keys/basic/", "/tyk/keys/"} {
			if a := l.ask("POST", path+segment, user); a.status != 200 {
				t.Errorf("POST %s%s: %v", path, segment, a)
				return
			}
			if got := stored(); !slices.Equal(got, []string{name}) {
				t.Errorf("%s: stored as %q, want %q", segment, got, name)
			}
			for _, other := range []string{"/api/apis/keys/basic/", "/tyk/keys/"} {
				if a := l.ask("GET", other+segment, ""); a.status != 200 {
					t.Errorf("GET %s%s: %v", other, segment, a)
				}
				if a := l.ask("PUT", other+segment, user); a.status != 200 {
					t.Errorf("PUT %s%s: %v", other, segment, a)
				}
			}
			list := l.ask("GET", "/api/apis/keys", "")
			if quoted, _ := json.Marshal("default" + name); !strings.Contains(list.body, string(quoted)) {
				t.Errorf("%s: not in the list %v", segment, list)
			}
			if a := l.ask("DELETE", path+segment, ""); a.status != 200 {
				t.Errorf("DELETE %s%s: %v", path, segment, a)
			}
			if got := stored(); len(got) != 0 {
				t.Errorf("%s: %q is left", segment, got)
			}
			if a := l.ask("GET", "/tyk/keys/bystander", ""); a.status != 200 {
				t.Errorf("%s: the bystander is gone: %v", segment, a)
			}
		}
	}
	good("alice", "alice")
	good("a", "a")
	good("a%20b", "a b")
	good("a+b", "a+b")
	good("a%2Bb", "a+b")
	good("a%2fb", "a/b")
	good("a%2Fb", "a/b")
	good("%2e", ".")
	good(".", ".")
	good("..", "..")
	good("%2e%2e", "..")
	good("%2e%2e%2f%2e%2e%2fapi", "../../api")
	good("..%2f..%2fkeys", "../../keys")
	good("a%5cb", `a\b`)
	good("a;b", "a;b")
	good("a%3fb", "a?b")
	good("a%23b", "a#b")
	good("a%26b=c", "a&b=c")
	good("a%25b", "a%b")
	good("a%252fb", "a%2fb")
	good("alice@example.com", "alice@example.com")
	good("%22quoted%22", `"quoted"`)
	good("%3Cscript%3E", "<script>")
	good("%C3%BC", "ü")
	good("%c3%bc", "ü")
	good("basic", "basic")
	good("keys", "keys")
	good("{username}", "{username}")
	good("defaultalice", "defaultalice")
	good("%F0%9F%94%91", "🔑")
	good("alice?", "alice")
	good("alice?org_id=default&x=/../..", "alice")
	good("alice/", "alice")
	good(strings.Repeat("x", 255), strings.Repeat("x", 255))

	before := l.users.Dump()
	bad := func(segment string, statuses ...int) {
		t.Helper()
		for _, path := range []string{"/api/apis/keys/basic/", "/tyk/keys/"} {
			for _, method := range []string{"POST", "PUT", "GET", "DELETE"} {
				a := l.ask(method, path+segment, map[bool]string{true: user}[method[0] == 'P'])
				if !slices.Contains(statuses, a.status) {
					t.Errorf("%s %s%.100s: %v, want %v", method, path, segment, a, statuses)
				}
			}
		}
	}
	bad("a%00b", 400)
	bad("%00", 400)
	bad("a%0d%0aX:%20y", 400)
	bad("a%0a", 400)
	bad("a%7fb", 400)
	bad("a%1bb", 400)
	bad("%zz", 400)
	bad("a%", 400)
	bad("a%2", 400)
	bad("a%ff", 400)
	bad("%c0%ae", 400)
	bad("%ed%a0%80", 400)
	bad("%c2%85", 400)    // NEL
	bad("%e2%80%ae", 400) // right to left
	bad("%e2%80%a8", 400) // line separator
	bad("%ef%bb%bf", 400) // byte order mark
	bad("a:b", 400)       // RFC 7617 ends the name at the colon
	bad("a%3Ab", 400)
	bad("%20", 400)
	bad("%20a", 400)
	bad("a%20", 400)
	bad("a%09", 400)
	bad("a%c2%a0", 400) // a no-break space at the end
	bad(strings.Repeat("x", 256), 400)
	bad(strings.Repeat("x", 4096), 400)
	bad(strings.Repeat("%C3%BC", 128), 400) // 256 bytes
	bad("a/b", 404)
	bad("a//", 404)
	bad("a/../b", 404)
	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}
}

// T-81: names that look alike are different users or refused; none is confused with another.
func TestHomographs(t *testing.T) {
	l := start(t)
	names := []string{
		"admin", "Admin", "ADMIN", "аdmin" /* Cyrillic */, "ａｄｍｉｎ", "adm\u0131n", "admi\u0301n", "adm\u00edn",
		"admin\u200d", "admin\u200b", "admin\u00ad", "\u2060admin", "admin\u0340", "ad\u034fmin",
	}
	stored := make(map[string]bool)
	for i, name := range names {
		a := l.ask("POST", "/tyk/keys/"+url.PathEscape(name), `{"alias":"`+strings.Repeat("x", i+1)+`","basic_auth_data":{"password":"pw"}}`)
		switch a.status {
		case 200:
			stored[name] = true
		case 400:
		default:
			t.Errorf("%q: %v", name, a)
		}
	}
	if len(stored) != l.users.Count() {
		t.Errorf("%d names are %d users", len(stored), l.users.Count())
	}
	for i, name := range names {
		a := l.ask("GET", "/tyk/keys/"+url.PathEscape(name), "")
		if want := `"alias":"` + strings.Repeat("x", i+1) + `"`; stored[name] && !strings.Contains(a.body, want) {
			t.Errorf("%q: got %v, want %s", name, a, want)
		}
	}
}

// The org is part of the name everywhere.
func TestNamesInOrgs(t *testing.T) {
	l := start(t)
	ask := func(status int, method, target, body string) answer {
		t.Helper()
		a := l.ask(method, target, body)
		if a.status != status {
			t.Errorf("%s %s: %v, want %d", method, target, a, status)
		}
		return a
	}
	ask(200, "POST", "/tyk/keys/alice", `{"org_id":"acme","alias":"of acme","basic_auth_data":{"password":"pw"}}`)
	ask(404, "GET", "/tyk/keys/alice", "")
	ask(404, "GET", "/tyk/keys/alice?org_id=default", "")
	ask(404, "DELETE", "/tyk/keys/alice", "")
	ask(404, "PUT", "/tyk/keys/alice", `{}`)
	ask(404, "GET", "/tyk/keys/alice?org_id=ACME", "")
	ask(404, "GET", "/tyk/keys/acmealice", "")
	ask(404, "GET", "/tyk/keys/lice?org_id=acmea", "")
	if a := ask(200, "GET", "/tyk/keys/alice?org_id=acme", ""); !strings.Contains(a.body, "of acme") {
		t.Error(a)
	}
	if a := ask(200, "GET", "/api/apis/keys/basic/alice?org_id=acme", ""); !strings.Contains(a.body, `"key_id":"acmealice"`) {
		t.Error(a)
	}
	// A string that cannot be an org.
	for _, org := range []string{"%00", "%ff", "a%0ab", "%20", strings.Repeat("x", 256)} {
		ask(400, "GET", "/tyk/keys/alice?org_id="+org, "")
		ask(400, "DELETE", "/api/apis/keys/basic/alice?org_id="+org, "")
	}
	// Two users whose org and name together are the same string.
	ask(200, "POST", "/tyk/keys/xalice", `{"org_id":"a","alias":"a+xalice","basic_auth_data":{"password":"pw"}}`)
	ask(200, "POST", "/tyk/keys/alice", `{"org_id":"ax","alias":"ax+alice","basic_auth_data":{"password":"pw"}}`)
	if a := ask(200, "GET", "/tyk/keys/alice?org_id=ax", ""); !strings.Contains(a.body, "ax+alice") {
		t.Error(a)
	}
	ask(200, "DELETE", "/tyk/keys/alice?org_id=ax", "")
	ask(200, "GET", "/tyk/keys/xalice?org_id=a", "")
}
