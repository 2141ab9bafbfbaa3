package admin

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"

	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

// No GET and no HEAD changes anything, whatever other method its headers name.
func TestNoChangeByGet(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/alice", aUser)
	l.ask("POST", "/tyk/policies", `{"id":"gold","org_id":"default"}`)
	before := l.users.Dump()
	tricks := [][]string{
		nil,
		{"X-HTTP-Method-Override: DELETE"}, {"X-HTTP-Method: DELETE"}, {"X-Method-Override: DELETE"},
		{"Content-Type: application/x-www-form-urlencoded"}, {"Upgrade: h2c", "Connection: Upgrade"},
	}
	for _, r := range routes {
		if r.pattern == "/tyk/reload" && r.method == "GET" {
			continue // reads the configuration again, as in Tyk
		}
		path := strings.NewReplacer("{username}", "alice", "{keyID}", "defaultalice", "{apiID}", "rest", "{id}", "gold").Replace(r.pattern)
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE"} {
			for _, query := range []string{"", "?_method=DELETE", "?method=DELETE&force=1", "?suppress_reset=1"} {
				for _, header := range tricks {
					l.ask(method, path+query, aUser, header...)
				}
			}
		}
	}
	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}
}

// Failures have the right status and message in both dialects, without details that only the log should
// have.
func TestFailures(t *testing.T) {
	l := start(t)
	l.contrived = true
	l.ask("POST", "/tyk/keys/alice", aUser)
	f := func(failure error, status int, text string) {
		t.Helper()
		l.users.Fail(failure)
		defer l.users.Fail(nil)
		for _, r := range []struct{ method, gateway, dashboard, body string }{
			{"POST", "/tyk/keys/alice", "/api/apis/keys/basic/alice", aUser},
			{"PUT", "/tyk/keys/alice", "/api/apis/keys/basic/alice", aUser},
			{"GET", "/tyk/keys/alice", "/api/apis/keys/basic/alice", ""},
			{"DELETE", "/tyk/keys/alice", "/api/apis/keys/basic/alice", ""},
			{"GET", "/tyk/keys", "/api/apis/keys", ""},
			{"POST", "/tyk/policies", "/api/portal/policies", `{"id":"gold"}`},
			{"DELETE", "/tyk/policies/gold", "/api/portal/policies/gold", ""},
		} {
			l.ask(r.method, r.gateway, r.body).want(t, r.method+" "+r.gateway, status, gatewayError(text))
			l.ask(r.method, r.dashboard, r.body).want(t, r.method+" "+r.dashboard, status, dashboardError(text))
		}
	}
	f(auth.ErrStoreDown, 503, "The store is not available; nothing was written")
	f(fmt.Errorf("%w: disk full", store.ErrOutcomeUnknown), 503, "The write failed and may or may not have been done: read the user again")
	f(fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, syscall.ENOSPC), 507, "The disk is full, and the write may or may not have been done: read the user again")
	f(password.ErrBusy, 503, "Too many passwords are being hashed; nothing was written")
	f(errors.New("of the inner kind"), 500, "internal error")
	if !strings.Contains(l.log.String(), "of the inner kind") || !strings.Contains(l.log.String(), "disk full") {
		t.Error("the log does not say what failed")
	}
	if strings.Contains(l.said.String(), "of the inner kind") || strings.Contains(l.said.String(), "disk full") {
		t.Error("an answer says what is for the log alone")
	}
}

// fleeting is a store that deletes users as soon as they are written.
type fleeting struct{ Users }

func (f fleeting) Update(org, user string, edit func(*session.Record) (*session.Record, error)) (session.Record, error) {
	stored, err := f.Users.Update(org, user, edit)
	f.Users.Update(org, user, func(*session.Record) (*session.Record, error) { return nil, nil })
	return stored, err
}

// A write that succeeded is answered with success, even if the user is deleted before the answer.
func TestDeletedBeforeTheAnswer(t *testing.T) {
	l := start(t, func(c *Config) { c.Users = fleeting{c.Users} })
	l.users.Update("default", "alice", func(*session.Record) (*session.Record, error) {
		return &session.Record{Org: "default", User: "alice"}, nil
	})
	if a := l.ask("PUT", "/tyk/keys/alice?suppress_reset=1", aUser); a.status != 200 {
		t.Errorf("got %v", a)
	}
}

// A damaged user can be overwritten and deleted, and hides no other user.
func TestDamagedUser(t *testing.T) {
	l := start(t)
	for _, user := range []string{"alice", "bob", "carol"} {
		l.ask("POST", "/tyk/keys/"+user, aUser)
	}
	damage := func() {
		l.users.Damage(session.Name{Org: "default", User: "bob"}, true)
	}
	damage()
	const text = "The record is damaged: write it again (POST) or restore a backup"
	l.ask("GET", "/tyk/keys/bob", "").want(t, "GET", 409, gatewayError(text))
	l.ask("GET", "/api/apis/keys/basic/bob", "").want(t, "GET", 409, dashboardError(text))
	if a := l.ask("GET", "/api/apis/keys?p=-1", ""); a.status != 200 || !strings.Contains(a.body, "defaultbob") {
		t.Errorf("list: %v", a)
	}
	if a := l.ask("GET", "/api/keys/detailed?p=-1", ""); a.status != 200 || !strings.Contains(a.body, "defaultalice") || !strings.Contains(a.body, "defaultcarol") {
		t.Errorf("detailed list: %v", a)
	}
	if a := l.ask("GET", "/api/apis/rest/keys?p=-1", ""); a.status != 200 || strings.Contains(a.body, "defaultbob") {
		t.Errorf("list of an API: %v", a)
	}
	// A damaged record cannot be replaced, but "not found" would be wrong.
	if a := l.ask("PUT", "/tyk/keys/bob", `{}`); a.status != 409 {
		t.Errorf("PUT: %v, want 409", a)
	}
	if a := l.ask("POST", "/tyk/keys/bob", aUser); a.status != 200 {
		t.Errorf("written again: %v", a)
	}
	if a := l.ask("GET", "/tyk/keys/bob", ""); a.status != 200 {
		t.Errorf("after that: %v", a)
	}
	damage()
	if a := l.ask("DELETE", "/tyk/keys/bob", ""); a.status != 200 {
		t.Errorf("DELETE: %v", a)
	}
	if a := l.ask("GET", "/api/apis/keys?p=-1", ""); strings.Contains(a.body, "defaultbob") {
		t.Errorf("is still listed: %v", a)
	}
}

// A damaged user can be deleted under all its keys. It can be read or replaced under none.
func TestDamagedUserByEachName(t *testing.T) {
	// The name of a user may be the token or key hash of another.
	plain := session.Name{Org: "default", User: "bob"}
	for _, name := range []session.Name{plain, {Org: "acme", User: "bob"}, {Org: "default", User: plain.Token()}} {
		org := "?org_id=" + name.Org
		segment := url.PathEscape(name.User)
		keyID, token, hash := url.PathEscape(name.KeyID()), url.PathEscape(name.Token()), name.KeyHash()
		for _, target := range []string{
			"/api/apis/keys/basic/" + segment + org,
			"/api/keys/" + keyID,
			"/api/keys/" + token,
			"/api/keys/" + hash + "?hashed=1",
			"/api/keys/" + hash + "?auto_guess=true",
			"/api/keys/" + segment + org + "&username=true",
			"/api/apis/rest/keys/" + keyID,
			"/api/apis/rest/keys/" + hash + "?hashed=1",
			"/tyk/keys/" + segment + org,
			"/tyk/keys/" + token,
			"/tyk/keys/" + hash + "?hashed=1",
		} {
			t.Run(target, func(t *testing.T) {
				t.Parallel()
				l := start(t)
				if a := l.ask("POST", "/api/apis/keys/basic/"+segment, `{"org_id":"`+name.Org+`"}`); a.status != 200 {
					t.Fatal(a)
				}
				l.users.Damage(name, true)
				if a := l.ask("GET", target, ""); a.status != 409 {
					t.Errorf("GET: %v", a)
				}
				if a := l.ask("PUT", target, `{"org_id":"`+name.Org+`"}`); a.status != 409 {
					t.Errorf("PUT: %v", a)
				}
				if a := l.ask("DELETE", target, ""); a.status != 200 || l.users.Count() != 0 {
					t.Errorf("DELETE: %v, and %d users are left", a, l.users.Count())
				}
				if a := l.ask("DELETE", target, ""); a.status != 404 {
					t.Errorf("DELETE once more: %v", a)
				}
			})
		}
	}
}

// A panic in a request is answered like any other failure, and the next request is served.
func TestPanic(t *testing.T) {
	l := start(t, func(c *Config) { c.Health = func() Health { panic("in the health") } })
	l.ask("GET", "/readyz", "").want(t, "readyz", 500, gatewayError("internal error"))
	if !strings.Contains(l.log.String(), "BUG: an admin request panicked") {
		t.Error("the log does not say so")
	}
	if a := l.ask("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("the next: %v", a)
	}
}

func TestHealth(t *testing.T) {
	health := Health{}
	l := start(t, func(c *Config) { c.Health = func() Health { return health } })
	f := func(target string, status int, texts ...string) {
		t.Helper()
		a := l.ask("GET", target, "")
		for _, text := range texts {
			if a.status != status || !strings.Contains(a.body, text) {
				t.Errorf("%s: %v, want %d with %s", target, a, status, text)
			}
		}
	}
	f("/healthz", 200, `"status":"alive"`)
	f("/readyz", 200, `"status":"ready"`, `"store":"ok"`, `"config":"ok"`)
	f("/hello", 200, `"status":"pass"`, `"version":"v0"`)
	health.Reload = errors.New("rate = -1: wrong")
	f("/readyz", 200, `"status":"ready"`, `the file is not in force: rate = -1: wrong`)
	health.Damaged = []string{"default/alice"}
	f("/readyz", 200, `"damaged":["default/alice"]`)
	health.Store = auth.ErrStoreDown
	f("/readyz", 503, `"status":"not ready"`, `"store":"the store is not available"`)
	f("/hello", 200, `"status":"fail"`) // as in Tyk, the answer itself is well
	f("/healthz", 200, `"status":"alive"`)
}

func TestReload(t *testing.T) {
	var err error
	l := start(t, func(c *Config) { c.Reload = func() error { return err } })
	l.ask("GET", "/tyk/reload", "").want(t, "good", 200, `{"status":"ok","message":""}`+"\n")
	err = errors.New("rate = -1: wrong")
	l.ask("GET", "/tyk/reload", "").want(t, "bad", 400, gatewayError("The configuration was not reloaded: rate = -1: wrong"))
}

// The password of a PUT: if it is missing, null or empty, the stored one stays; the stored hash is not a
// password.
func TestPasswordOfPut(t *testing.T) {
	l := start(t)
	hash := func() string {
		r, _, err := l.users.Load("default", "alice")
		if err != nil {
			t.Fatal(err)
		}
		return r.Session.BasicAuth.Password
	}
	l.ask("POST", "/tyk/keys/alice", `{"basic_auth_data":{"password":"first"}}`)
	first := hash()
	for _, body := range []string{`{}`, `{"basic_auth_data":null}`, `{"basic_auth_data":{}}`, `{"basic_auth_data":{"password":""}}`, `{"basic_auth_data":{"password":null}}`, `{"basic_auth_data":{"hash_type":"md5"}}`} {
		for _, target := range []string{"/tyk/keys/alice", "/api/apis/keys/basic/alice", "/api/keys/defaultalice", "/api/apis/rest/keys/defaultalice"} {
			if a := l.ask("PUT", target, body); a.status != 200 || hash() != first {
				t.Errorf("PUT %s %s: %v, stored %s, want %s", target, body, a, hash(), first)
			}
		}
	}
	r, _, _ := l.users.Load("default", "alice")
	if r.Session.BasicAuth.HashType != "bcrypt" {
		t.Errorf("hash_type %q", r.Session.BasicAuth.HashType)
	}
	l.ask("PUT", "/tyk/keys/alice", `{"basic_auth_data":{"password":"second"}}`)
	if hash() == first {
		t.Error("another password was not taken")
	}
	// After a POST without a password, no login succeeds.
	l.ask("POST", "/tyk/keys/alice", `{}`)
	if hash() != "" {
		t.Errorf("POST without a password kept %q", hash())
	}
}

// date_created stays and last_updated changes; state is never taken from a body.
func TestWhatABodyCannotSet(t *testing.T) {
	l := start(t)
	get := func() (s session.Session) {
		t.Helper()
		a := l.ask("GET", "/tyk/keys/alice", "")
		if err := json.Unmarshal([]byte(a.body), &s); err != nil {
			t.Fatalf("%v: %v", a, err)
		}
		return s
	}
	const body = `{"date_created":"2001-02-03T04:05:06Z","last_updated":"42","quota_max":10,"quota_remaining":1000,"quota_renews":42,
		"access_rights":{"rest":{"limit":{"quota_max":5,"quota_remaining":99,"quota_renews":42}}},"basic_auth_data":{"password":"pw","hash_type":"plain","user":"mallory"}}`
	l.ask("POST", "/tyk/keys/alice", body)
	created := get()
	if strings.HasPrefix(created.DateCreated, "2001") || created.LastUpdated == "42" || created.QuotaRemaining != 10 || created.QuotaRenews == 42 ||
		created.BasicAuth.HashType != "bcrypt" || created.BasicAuth.User == "mallory" || created.AccessRights["rest"].Limit.QuotaRemaining != 5 {
		t.Errorf("taken from the body: %+v", created)
	}
	l.ask("PUT", "/tyk/keys/alice", body)
	if replaced := get(); replaced.DateCreated != created.DateCreated {
		t.Errorf("date_created %s, was %s", replaced.DateCreated, created.DateCreated)
	}
	l.ask("POST", "/tyk/keys/alice", body)
	if again := get(); again.DateCreated == created.DateCreated {
		t.Error("a POST keeps date_created")
	}
}

// The answer to a write shows the current quota, whether or not the user has been active since the
// start.
func TestWriteShowsLiveQuota(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/alice", `{"quota_max":10,"basic_auth_data":{"password":"pw"}}`)
	r, _, err := l.users.Load("default", "alice")
	if err != nil {
		t.Fatal(err)
	}
	l.users.SetQuota(limiter.QuotaKey{Org: "default", User: "alice"}, limiter.Reservation{Generation: r.Generation, Start: 1, Reserved: 4})
	f := func(method, target, body, want string) {
		t.Helper()
		if a := l.ask(method, target, body); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s %s: %v, want %s", method, target, a, want)
		}
	}
	f("GET", "/api/apis/keys/basic/alice", "", `"quota_remaining":6,`)
	f("PUT", "/api/apis/keys/basic/alice?suppress_reset=1", `{"quota_max":10}`, `"quota_remaining":6,`)
	f("GET", "/api/apis/keys/basic/alice", "", `"quota_remaining":6,`)
	f("PUT", "/api/apis/keys/basic/alice?suppress_reset=1", `{"quota_max":12}`, `"quota_remaining":8,`)
	f("PUT", "/api/apis/keys/basic/alice?suppress_reset=1", `{"quota_max":2}`, `"quota_remaining":0,`)
	f("PUT", "/api/apis/keys/basic/alice", `{"quota_max":12}`, `"quota_remaining":12,`)
}

// A key id is the org followed by the name. A name that begins with its org means the same user only
// where a key id is expected.
func TestKeyIDs(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/alice", `{"alias":"the first","basic_auth_data":{"password":"pw"}}`)
	l.ask("POST", "/tyk/keys/bob", `{"org_id":"acme","alias":"of acme","basic_auth_data":{"password":"pw"}}`)
	f := func(target, want string) {
		t.Helper()
		a := l.ask("GET", target, "")
		if want == "" && a.status != 404 || want != "" && !strings.Contains(a.body, want) {
			t.Errorf("%s: %v, want %q", target, a, want)
		}
	}
	f("/api/keys/defaultalice", "the first")
	f("/api/keys/alice", "the first")
	f("/api/apis/rest/keys/defaultalice", "the first")
	f("/api/keys/alice?username=true", "the first")
	f("/api/keys/defaultalice?username=true", "")
	f("/api/keys/92ac0f0f241412ec?hashed=1", "the first")
	f("/api/keys/92ac0f0f241412ec", "")
	f("/api/keys/acmebob", "of acme")
	f("/api/keys/bob", "")
	f("/api/keys/bob?username=true&org_id=acme", "of acme")
	f("/tyk/keys/defaultalice", "")
	f("/api/apis/keys/basic/defaultalice", "")
	if a := l.ask("PUT", "/api/keys/acmebob", `{"org_id":"default"}`); a.status != 400 {
		t.Errorf("another org in the body: %v", a)
	}
	if a := l.ask("PUT", "/api/keys/acmebob", `{"org_id":"acme","alias":"changed"}`); a.status != 200 || !strings.Contains(a.body, "changed") {
		t.Errorf("PUT: %v", a)
	}
	l.ask("DELETE", "/api/keys/acmebob", "").want(t, "DELETE", 200, `{"Status":"OK","Message":"Key deleted successfully","Meta":null}`+"\n")
	f("/api/keys/acmebob", "")
	if l.users.Count() != 1 {
		t.Errorf("%d users are left", l.users.Count())
	}
}
