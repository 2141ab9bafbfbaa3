package admin

import (
	"errors"
	"strings"
	"testing"

	"sidekey/auth/session"
)

func TestPatch(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/policies", `{"id":"gold","org_id":"default","rate":100,"per":1,"access_rights":{"orders":{}}}`)
	l.ask("POST", "/api/apis/keys/basic/alice", `{"alias":"Alice","rate":1,"per":2,"quota_max":5,"tags":["a","b"],"apply_policies":["gold"],
		"meta_data":{"team":"x","room":"y"},"access_rights":{"rest":{"versions":["v1"],"allowed_urls":[{"url":"/a","methods":["GET"]}]}},"basic_auth_data":{"password":"old"}}`)
	before := l.stored("alice")
	patch := func(body string) answer {
		t.Helper()
		return l.ask("PATCH", "/api/apis/keys/basic/alice", body)
	}

	// Only the given members change. Values of the policy are not written into the session.
	if a := patch(`{"alias":"new","tags":["c"],"meta_data":{"team":"z","room":null},"access_rights":{"orders":{"versions":[]}}}`); a.status != 200 || !strings.Contains(a.body, `"rate":100`) {
		t.Fatalf("%v", a)
	}
	after := l.stored("alice")
	s := after.Session
	if s.Alias != "new" || len(s.Tags) != 1 || string(s.MetaData["team"]) != `"z"` || len(s.MetaData) != 1 || len(s.AccessRights) != 2 || len(s.AccessRights["rest"].AllowedURLs) != 1 {
		t.Errorf("after: %+v", s)
	}
	if s.Rate != 1 || s.Per != 2 || s.QuotaMax != 5 || s.BasicAuth.Password != before.Session.BasicAuth.Password || s.DateCreated != before.Session.DateCreated || after.Generation != before.Generation {
		t.Errorf("what was not named: %+v, before %+v", after, before)
	}

	// A password is hashed, and nothing else changes.
	patch(`{"basic_auth_data":{"password":"new"}}`)
	if b := l.stored("alice").Session.BasicAuth; b.Password != "HASH-77656e" || b.HashType == "" {
		t.Errorf("password: %+v", b)
	}

	// Impossible values are refused.
	f := func(body string, status int, text string) {
		t.Helper()
		state := l.users.Dump()
		patch(body).want(t, body, status, dashboardError(text))
		if l.users.Dump() != state {
			t.Errorf("%s: something was written", body)
		}
	}
	f(`[]`, 400, "Request malformed: must be an object, not an array")
	f(`null`, 400, "Request malformed: null: must be a JSON object")
	f(`{"rate":"x"}`, 400, `Request malformed: rate = "x": must be a finite number, not a string`)
	f(`{"org_id":"acme"}`, 400, `Request malformed: org_id = "acme": must be the user's org, "default"`)
	f(`{"alias":"a","alias":"b"}`, 400, "Request malformed: alias: duplicate object member name at byte 13")
	f(`{"access_rights":{"nowhere":{}}}`, 400, `Request malformed: access_rights.nowhere = "nowhere": must be a configured API: orders, rest`)
	l.ask("PATCH", "/api/apis/keys/basic/alice?strict=1", `{"aliass":"x"}`).want(t, "strict", 400, dashboardError("Request malformed: aliass: a session has no such member"))
	l.ask("PATCH", "/api/apis/keys/basic/ghost", `{}`).want(t, "ghost", 404, dashboardError("Key not found"))

	// The stored session, unchanged.
	if a := l.ask("GET", "/api/apis/keys/basic/alice?raw=1", ""); !strings.Contains(a.body, `"rate":1,`) || strings.Contains(a.body, "HASH") {
		t.Errorf("raw: %v", a)
	}
}

// If another write interferes, the change is applied again to the new record.
func TestPatchMeanwhile(t *testing.T) {
	l := start(t)
	l.ask("POST", "/api/apis/keys/basic/alice", `{"alias":"Alice"}`)
	meets := &meeting{Users: l.users}
	l.handler.Users = meets
	meets.times = 1
	if a := l.ask("PATCH", "/api/apis/keys/basic/alice", `{"tags":["x"]}`); a.status != 200 {
		t.Errorf("%v", a)
	}
	if s := l.stored("alice").Session; s.Alias != "other" || len(s.Tags) != 1 {
		t.Errorf("one of the changes is lost: %+v", s)
	}
	meets.times = 100
	l.ask("PATCH", "/api/apis/keys/basic/alice", `{"tags":["y"]}`).want(t, "never", 409, dashboardError("The user is being changed by other requests: try again"))
}

// meeting is a store that changes a user just before each write.
type meeting struct {
	Users
	times int
}

func (m *meeting) Update(org, user string, edit func(*session.Record) (*session.Record, error)) (session.Record, error) {
	if m.times > 0 {
		m.times--
		m.Users.Update(org, user, func(old *session.Record) (*session.Record, error) {
			if old.Session.Alias = "other"; m.times > 0 {
				old.Session.Alias += strings.Repeat("r", m.times)
			}
			return old, nil
		})
	}
	return m.Users.Update(org, user, edit)
}

func TestIfNoneMatch(t *testing.T) {
	l := start(t)
	for _, path := range []string{"/api/apis/keys/basic/", "/tyk/keys/"} {
		name := "a" + strings.Trim(path, "/")[:3]
		if a := l.ask("POST", path+name, aUser, "If-None-Match: *"); a.status != 200 {
			t.Errorf("%s: %v", path, a)
		}
		state := l.users.Dump()
		if a := l.ask("POST", path+name, aUser, "If-None-Match: *"); a.status != 412 || !strings.Contains(a.body, "exists in org_id") || l.users.Dump() != state {
			t.Errorf("%s: %v", path, a)
		}
		if a := l.ask("POST", path+name, aUser); a.status != 200 {
			t.Errorf("%s: %v", path, a)
		}
	}
}

func TestVerify(t *testing.T) {
	l := start(t)
	l.ask("POST", "/api/apis/keys/basic/alice", `{"is_inactive":true,"basic_auth_data":{"password":"right"}}`)
	l.ask("POST", "/api/apis/keys/basic/none", `{}`)
	f := func(body string, status int, answer string) {
		t.Helper()
		l.ask("POST", "/api/verify", body).want(t, body, status, answer)
	}
	f(`{"username":"alice","password":"right"}`, 200, `{"right":true}`+"\n")
	f(`{"username":"alice","password":"right","org_id":"default"}`, 200, `{"right":true}`+"\n")
	f(`{"username":"alice","password":"right","org_id":"acme"}`, 200, `{"right":false}`+"\n")
	f(`{"username":"alice","password":"wrong"}`, 200, `{"right":false}`+"\n")
	f(`{"username":"alice","password":""}`, 200, `{"right":false}`+"\n")
	f(`{"username":"alice"}`, 200, `{"right":false}`+"\n")
	f(`{"username":"none","password":"right"}`, 200, `{"right":false}`+"\n")
	f(`{"username":"ghost","password":"right"}`, 200, `{"right":false}`+"\n")
	f(`{"password":"right"}`, 400, dashboardError(`Request malformed: username = "": must be a name of 1 to 255 bytes`))
	f(`{"username":"alice","password":5}`, 400, dashboardError(`Request malformed: password: must be a string, not a number`))
	l.users.Fail(errors.New("something"))
	f(`{"username":"alice","password":"right"}`, 500, dashboardError("internal error"))
}

func TestListUsers(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/policies", `{"id":"gold","org_id":"default","rate":100,"per":1,"access_rights":{"orders":{}}}`)
	for _, user := range []string{"alice", "bob", "carol"} {
		l.ask("POST", "/api/apis/keys/basic/"+user, `{"alias":"of `+user+`","apply_policies":["gold"],"basic_auth_data":{"password":"x"}}`)
	}
	l.ask("POST", "/api/apis/keys/basic/dave?org_id=acme", `{"org_id":"acme","is_inactive":true}`)
	f := func(query, names string) {
		t.Helper()
		body := l.ask("GET", "/api/users"+query, "").body
		var got []string
		for _, part := range strings.Split(body, `"username":"`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			got = append(got, name)
		}
		if _, next, _ := strings.Cut(body, `"next":{`); next != "" {
			got[len(got)-1] = "…"
		}
		if text := strings.Join(got, " "); text != names {
			t.Errorf("%s: got %s, want %s\n%s", query, text, names, body)
		}
	}
	f("", "dave alice bob carol")
	f("?limit=2", "dave alice …")
	f("?limit=2&after_org=default&after=alice", "bob carol")
	f("?limit=4", "dave alice bob carol")
	f("?org_id=acme", "dave")
	f("?q=BOB", "bob")
	f("?q=of%20c", "carol")
	f("?q=ghost", "")
	for _, limit := range []string{"0", "-1", "1001", "x"} {
		if a := l.ask("GET", "/api/users?limit="+limit, ""); a.status != 400 {
			t.Errorf("limit %s: %v", limit, a)
		}
	}
	body := l.ask("GET", "/api/users?q=alice&limit=1", "").body
	if !strings.Contains(body, `"state":"active"`) || !strings.Contains(body, `"rate":100`) || !strings.Contains(body, `"key_hash":"92ac0f0f241412ec"`) {
		t.Error(body)
	}
	if body := l.ask("GET", "/api/users?q=alice&raw=1", "").body; strings.Contains(body, `"rate":100`) || !strings.Contains(body, `"apply_policies":["gold"]`) {
		t.Error(body)
	}
	l.ask("GET", "/api/apis", "").want(t, "apis", 200, `{"apis":[`+
		`{"id":"acme-api","name":"","org_id":"acme","hosts":["acme.example.com"],"listen_path":"/","versions":[],"active":true,"rate":0,"per":0},`+
		`{"id":"orders","name":"Orders","org_id":"default","hosts":[],"listen_path":"/orders","versions":[],"active":true,"rate":0,"per":0},`+
		`{"id":"rest","name":"","org_id":"default","hosts":[],"listen_path":"/","versions":[],"active":true,"rate":0,"per":0}]}`+"\n")
}
