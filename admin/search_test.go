package admin

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"sidekey/auth"
	"sidekey/auth/session"
)

// moment matches what differs between runs in the answer about decisions.
var moment = regexp.MustCompile(`"at":[0-9]{13}`)

type searchAnswer struct {
	Users []struct {
		OrgID    string `json:"org_id"`
		Username string `json:"username"`
		State    string `json:"state"`
	} `json:"users"`
	Next   *string `json:"next"`
	Looked int     `json:"looked_at"`
}

func (l *listener) searchFor(query string) (a searchAnswer) {
	l.t.Helper()
	got := l.ask("GET", "/api/users/search?"+query, "")
	if got.status != 200 {
		l.t.Fatalf("%s: %v", query, got)
	}
	if err := json.Unmarshal([]byte(got.body), &a); err != nil {
		l.t.Fatal(err)
	}
	return a
}

// Users of all orgs whose name begins with the text come first, then those that have it elsewhere. No
// user is listed twice or left out, however small the parts are.
func TestSearchUsers(t *testing.T) {
	l := start(t)
	put := func(org, user, rest string) {
		t.Helper()
		body := fmt.Sprintf(`{"org_id":%q%s,"basic_auth_data":{"password":"pw"}}`, org, rest)
		if a := l.ask("POST", "/api/apis/keys/basic/"+url.PathEscape(user), body); a.status != 200 {
			t.Fatalf("%s/%s: %v", org, user, a)
		}
	}
	for _, user := range []string{"ak", "al", "al\U0010ffff", "alice", "alvin", "am", "bob", "é"} {
		for _, org := range []string{"acme", "default", "zeta"} {
			put(org, user, "")
		}
	}
	put("default", "sal", "")
	put("default", "other", `,"alias":"King AL"`)
	put("default", "third", `,"tags":["x","royal"]`)
	put("default", "late", `,"is_inactive":true`)

	find := func(query string, want ...string) {
		t.Helper()
		for _, limit := range []int{1, 2, 3, 100} {
			var got []string
			after, rounds := "", 0
			for {
				a := l.searchFor(fmt.Sprintf("%s&limit=%d&after=%s", query, limit, after))
				for _, u := range a.Users {
					got = append(got, u.OrgID+"/"+u.Username)
				}
				if rounds++; rounds > 200 {
					t.Fatalf("%s in parts of %d never ends", query, limit)
				}
				if a.Next == nil {
					break
				}
				after = *a.Next
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s in parts of %d:\ngot  %q\nwant %q", query, limit, got, want)
			}
		}
	}
	const last = "al\U0010ffff"
	find("q=al",
		"acme/al", "acme/alice", "acme/alvin", "acme/"+last, "default/al", "default/alice", "default/alvin", "default/"+last, "zeta/al", "zeta/alice", "zeta/alvin", "zeta/"+last,
		"default/other", "default/sal", "default/third")
	find("q=AL",
		"acme/al", "acme/alice", "acme/alvin", "acme/"+last, "default/al", "default/alice", "default/alvin", "default/"+last,
		"default/other", "default/sal", "default/third", "zeta/al", "zeta/alice", "zeta/alvin", "zeta/"+last)
	find("q=al&org_id=zeta", "zeta/al", "zeta/alice", "zeta/alvin", "zeta/"+last)
	find("q=al&org_id=default", "default/al", "default/alice", "default/alvin", "default/"+last, "default/other", "default/sal", "default/third")
	find("q=%C3%A9", "acme/é", "default/é", "zeta/é")
	find("q=ghost")
	find("q=%00")
	find("q=%FF")
	find("q=al&org_id=nothing")
	find("q=&org_id=acme", "acme/ak", "acme/al", "acme/alice", "acme/alvin", "acme/"+last, "acme/am", "acme/bob", "acme/é")
	if a := l.searchFor("q=late"); a.Users[0].State != "inactive" {
		t.Errorf("state: %+v", a)
	}
	l.ask("GET", "/api/users/search?limit=0", "").want(t, "limit=0", 400, dashboardError(`Request malformed: limit = "0": must be a whole number from 1 to 1000`))
	for _, after := range []string{"x", "%20", "YmVnaW5z", "AAAA"} {
		if a := l.ask("GET", "/api/users/search?q=a&after="+after, ""); a.status != 400 || !strings.Contains(a.body, `must be \"next\" of an earlier answer`) {
			t.Errorf("after=%s: %v", after, a)
		}
	}
}

// One answer looks at a bounded number of users, and the next one continues from there.
func TestSearchUsersIsBounded(t *testing.T) {
	l := start(t)
	const many = 2*maxNames + 500
	names := make([]session.Name, many)
	for i := range names {
		names[i] = session.Name{Org: "default", User: fmt.Sprintf("user%05d", i)}
	}
	if err := l.users.UpdateMany(names, func(i int, _ *session.Record) (*session.Record, error) {
		return &session.Record{Org: names[i].Org, User: names[i].User}, nil
	}); err != nil {
		t.Fatal(err)
	}
	a := l.searchFor("q=user19999")
	if len(a.Users) != 1 || a.Next == nil || a.Looked != maxNames {
		t.Errorf("a name: %d users, %d looked at, next %v", len(a.Users), a.Looked, a.Next)
	}
	looked, rounds := 0, 0
	found := 0
	for after := ""; ; rounds++ {
		a := l.searchFor("q=ser204&after=" + after)
		looked += a.Looked
		found += len(a.Users)
		if a.Looked > maxNames {
			t.Errorf("%d looked at for one answer", a.Looked)
		}
		if a.Next == nil {
			break
		}
		after = *a.Next
	}
	if found != 100 || looked < many || rounds != 2 {
		t.Errorf("found %d, looked at %d of %d in %d answers", found, looked, many, rounds+1)
	}
}

// The routes that the page uses, each with its whole answer.
func TestPageRoutes(t *testing.T) {
	l := start(t, func(c *Config) {
		c.Decisions = func() map[string]uint64 { return map[string]uint64{"pass": 7, "rate": 2} }
	})
	get := func(target string, status int, want string) {
		t.Helper()
		a := l.ask("GET", target, "")
		if got := moment.ReplaceAllString(strings.TrimSuffix(a.body, "\n"), `"at":AT`); a.status != status || got != want {
			t.Errorf("%s:\ngot  %d %s\nwant %d %s", target, a.status, got, status, want)
		}
	}
	get("/api/decisions", 200, `{"at":AT,"decisions":{"ambiguous_path":0,"ambiguous_request":0,"api_not_granted":0,"api_rate":0,"bad_credentials":0,"busy":0,"expired":0,"inactive":0,"malformed_credentials":0,"no_credentials":0,"pass":7,"proxy_config":0,"quota":0,"rate":2,"too_many_failures":0,"unavailable":0,"unknown_api":0,"unknown_version":0,"url_not_granted":0}}`)
	get("/api/apis", 200, `{"apis":[{"id":"acme-api","name":"","org_id":"acme","hosts":["acme.example.com"],"listen_path":"/","versions":[],"active":true,"rate":0,"per":0},`+
		`{"id":"orders","name":"Orders","org_id":"default","hosts":[],"listen_path":"/orders","versions":[],"active":true,"rate":0,"per":0},`+
		`{"id":"rest","name":"","org_id":"default","hosts":[],"listen_path":"/","versions":[],"active":true,"rate":0,"per":0}]}`)

	const missing = `{"Status":"Error","Message":"Key not found","Meta":null}`
	get("/api/users/alice/limits", 404, missing)
	l.ask("POST", "/api/apis/keys/basic/alice", `{"rate":5,"per":1,"quota_max":100,"quota_renewal_rate":60,"basic_auth_data":{"password":"pw"},
		"access_rights":{"rest":{"limit":{"rate":2,"per":10}},"orders":{"endpoints":[{"path":"/x","methods":[{"name":"GET","limit":{"rate":0.5,"per":1}}]}]}}}`)
	const limits = `{"limits":[{"scope":"","rate":{"limit":5,"per":1,"remaining":5,"reset":0},"quota":{"limit":100,"period":60,"remaining":100,"renews":0}},` +
		`{"scope":"api:rest","rate":{"limit":2,"per":10,"remaining":2,"reset":0},"quota":{"limit":0,"period":0,"remaining":0,"renews":0}},` +
		`{"scope":"endpoint:orders:GET:/x","rate":{"limit":1,"per":2,"remaining":1,"reset":0},"quota":{"limit":0,"period":0,"remaining":0,"renews":0}}]}`
	get("/api/users/alice/limits", 200, limits)
	get("/api/users/"+aliceToken+"/limits", 200, limits)
	get("/api/users/alice/limits?org_id=acme", 404, missing)

	// With raw=1: policies are not applied, and no secret is shown.
	l.ask("POST", "/tyk/policies", `{"id":"gold","rate":9,"per":1,"access_rights":{"rest":{}}}`)
	l.ask("PUT", "/tyk/keys/policy/alice", `{"apply_policies":["gold"]}`)
	for _, target := range []string{"/api/apis/keys/basic/alice", "/api/keys/" + aliceToken} {
		if a := l.ask("GET", target, ""); !strings.Contains(a.body, `"rate":9,`) {
			t.Errorf("%s: %v", target, a)
		}
		if a := l.ask("GET", target+"?raw=1", ""); !strings.Contains(a.body, `"rate":5,`) || strings.Contains(a.body, "HASH") {
			t.Errorf("%s as it is stored: %v", target, a)
		}
	}

	// A new user does not replace another one.
	const body = `{"alias":"second","basic_auth_data":{"user":"alice","password":"pw"}}`
	before := l.users.Dump()
	l.ask("POST", "/api/keys?basic_auth=true", body, "If-None-Match: *").want(t, "a name that is taken", 412, dashboardError(`User "alice" exists in org_id "default"`))
	if l.users.Dump() != before {
		t.Error("a user was written over")
	}
	if a := l.ask("POST", "/api/keys?basic_auth=true", body); a.status != 200 {
		t.Errorf("without If-None-Match: %v", a)
	}
}

// The page's files are served only under their exact names, with a policy that forbids a browser to run
// anything else.
func TestPageFiles(t *testing.T) {
	l := start(t)
	a := l.askAs("GET", "/", "")
	header := []string{
		"Cache-Control: no-store",
		"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		"Content-Type: text/html; charset=utf-8",
		"Cross-Origin-Opener-Policy: same-origin",
		"Cross-Origin-Resource-Policy: same-origin",
		"Referrer-Policy: no-referrer",
		"X-Content-Type-Options: nosniff",
	}
	if a.status != 200 || !slices.Equal(a.header, header) || !strings.HasPrefix(a.body, "<!doctype html>") {
		t.Errorf("/: %v", a)
	}
	for target, want := range map[string]string{"/page/app.js": "text/javascript; charset=utf-8", "/page/style.css": "text/css; charset=utf-8", "/page/icon.svg": "image/svg+xml"} {
		a := l.askAs("GET", target, "")
		header[2] = "Content-Type: " + want
		if a.status != 200 || !slices.Equal(a.header, header) {
			t.Errorf("%s: %d %q", target, a.status, a.header)
		}
	}
	if a := l.askAs("HEAD", "/", ""); a.status != 200 || a.body != "" {
		t.Errorf("HEAD /: %v", a)
	}
	for _, target := range []string{"/page/", "/page/index.html", "/page/APP.JS", "/page/../page/app.js", "/page/%61pp.js", "/page/app.js%00", "/page/..%2fapp.js", "/page/web.go", "/page/web_test.go", "/index.html", "//page/app.js"} {
		if a := l.ask("GET", target, ""); a.status != 404 {
			t.Errorf("%s: %v", target, a)
		}
	}
	if a := l.ask("POST", "/", ""); a.status != 405 {
		t.Errorf("POST /: %v", a)
	}
}

// unreadable is a store that lists names but cannot read records.
type unreadable struct{ Users }

func (unreadable) Read(string, string) (session.Record, []auth.KeptQuota, error) {
	return session.Record{}, nil, auth.ErrStoreDown
}

// If a record cannot be read, it may contain the text. So the search fails instead of leaving its user
// out.
func TestSearchUnreadable(t *testing.T) {
	l := start(t, func(c *Config) {
		for _, user := range []string{"alice", "bob"} {
			_, err := c.Users.Update("default", user, func(*session.Record) (*session.Record, error) {
				return &session.Record{Org: "default", User: user}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		c.Users = unreadable{c.Users}
	})
	for _, target := range []string{"/api/users?q=king", "/api/users/search?q=king", "/api/keys/detailed?q=king"} {
		if got := l.ask("GET", target, ""); got.status != 503 {
			t.Errorf("%s: %v", target, got)
		}
	}
}
