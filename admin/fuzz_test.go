package admin

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMatch, T-73: the parameters of a path are its segments, each decoded once and by itself.
func FuzzMatch(f *testing.F) {
	for _, target := range []string{
		"/tyk/keys/alice", "/tyk/keys/a%2fb?x=/y", "/api/apis/orders/keys/alice/", "/tyk/keys/%zz", "/tyk/keys/%ff", "/tyk/keys/..", "//tyk/keys", "/tyk/keys/%00", "/healthz", "", "?", "/tyk/keys/reset/a%2Fb",
	} {
		f.Add("GET", target)
		f.Add("POST", target)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		found, params, allow, err := match(method, []byte(target))
		if (found == nil) != (err != nil) || found != nil && len(allow) > 0 {
			t.Fatalf("%s %q: %v, %v, %q", method, target, found, err, allow)
		}
		if found == nil {
			return
		}
		path, _, _ := strings.Cut(target, "?")
		segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
		for i, part := range strings.Split(strings.TrimSuffix(found.pattern, "/"), "/") {
			name, isParam := strings.CutPrefix(part, "{")
			if !isParam {
				if segments[i] != part {
					t.Fatalf("%q is no %s", target, found.pattern)
				}
				continue
			}
			value := params[strings.TrimSuffix(name, "}")]
			if decoded, err := url.PathUnescape(segments[i]); err != nil || decoded != value || value == "" || !utf8.ValidString(value) {
				t.Fatalf("%q: %s is %q", target, name, value)
			}
		}
	})
}

// FuzzAdmin, T-75 and T-80: whatever the path, the query and the body, the answer is JSON, is not an
// internal error, and does not contain the hash of a password.
func FuzzAdmin(f *testing.F) {
	const user = `{"alias":"a","tags":["x"],"basic_auth_data":{"password":"pw"},"access_rights":{"orders":{"api_id":"orders"}}}`
	for _, seed := range [][3]string{
		{"POST", "/api/import?dry_run=1", `{"username":"bob","hash":"$2a$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"}` + "\n\n" + `{"org_id":"acme","username":"eve","session":{"alias":"e","basic_auth_data":{"password":"x"}}}`},
		{"POST", "/api/import?skip_bad=1", `{"username":"alice","session":{"rate":1e309}}` + "\n{\n" + `{"username":"a:b","hash":"{SHA}x"}`},
		{"POST", "/api/verify", `{"username":"alice","password":"pw","org_id":"default"}`},
		{"POST", "/api/keys/preview", user}, {"POST", "/tyk/keys/preview", user},
		{"PATCH", "/api/apis/keys/basic/alice", `{"alias":null,"tags":["y"],"basic_auth_data":{"password":"new"},"access_rights":{"orders":null,"rest":{}}}`},
		{"PATCH", "/api/apis/keys/basic/alice?strict=1", `{"meta_data":{"a":{"b":{}}},"x":1}`},
		{"POST", "/api/keys/default%61lice?suppress_reset=1", user},
		{"PUT", "/tyk/keys/alice?org_id=default", user},
		{"POST", "/tyk/keys/policy/alice", `{"policy":"gold","policies":["gold"]}`},
		{"POST", "/api/portal/policies", `{"name":"gold","rate":1,"per":1,"access_rights":{"orders":{"allowed_urls":[{"url":"/{x}","methods":["get"]}]}}}`},
		{"GET", "/api/apis/keys?p=-1", ""}, {"GET", "/api/apis/orders/keys?p=99999999999999999999", ""},
		{"GET", "/api/keys/detailed?q=%61&p=2&q=b", ""}, {"GET", "/api/users?limit=1&after=%ff&after_org=%00&raw=1&q=X", ""},
		{"GET", "/api/users/search?q=%00&limit=1000&after=YmVnaW5zAABh", ""}, {"GET", "/api/users/search?q=A&org_id=acme", ""},
		{"GET", "/api/apis/orders/keys/search?q=%zz", ""}, {"GET", "/tyk/keys?filter=a&api_id=orders", ""},
		{"GET", "/api/portal/policies/search?sort=state&state=deny&api_id=,orders,&policy_ids=gold&active=1", ""},
		{"GET", "/api/decisions?limit=0&user=alice", ""}, {"GET", "/api/keys/x?hashed=1&username=true", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	l := start(f)
	f.Fuzz(func(t *testing.T, method, target, body string) {
		if len(target)+len(body) > 8192 || strings.ContainsAny(method+target, " \t\r\n\x00") || method == "" || !strings.HasPrefix(target, "/") || strings.Contains(body, "HASH-") {
			return
		}
		l.t = t
		defer func() { l.t = f }()
		if n := l.users.Count(); n < 3 || n > 100 {
			l.users.Clear()
			l.ask("POST", "/api/apis/keys/basic/alice", user)
			l.ask("POST", "/api/apis/keys/basic/bob", user)
			l.ask("POST", "/tyk/keys/eve", `{"org_id":"acme"}`)
		}
		raw := string(l.exchange(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + secret + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\nConnection: close\r\n\r\n" + body))
		a := parse(t, raw, true)
		if a.status >= 500 || strings.Contains(raw, "HASH-") {
			t.Fatalf("%s %q %q: %v", method, target, body, a)
		}
		for _, line := range a.header {
			if strings.HasPrefix(line, "Content-Type: application/json") && a.body != "" && !json.Valid([]byte(a.body)) {
				t.Fatalf("%s %q %q: no JSON: %v", method, target, body, a)
			}
		}
	})
}
