package admin

import (
	"strings"
	"testing"

	"sidekey/auth/session"
)

// Hashes of "right" with the configuration of the tests, which never computes them.
const (
	aHash       = "$2y$10$abcdefghijklmnopqrstuuecqym2B0RFt2AIb1390eUqiZadJbevW"
	anotherHash = "$apr1$abcd1234$8AcyZdB0zCPyX6bGhBZ4H/"
)

func imports(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

// stored returns the stored record of a user as text.
func (l *listener) stored(user string) session.Record {
	l.t.Helper()
	r, _, err := l.users.Load("default", user)
	if err != nil {
		l.t.Fatalf("%s: %v", user, err)
	}
	return r
}

func TestImport(t *testing.T) {
	l := start(t)
	l.ask("POST", "/api/apis/keys/basic/alice", `{"alias":"Alice","quota_max":5,"access_rights":{"orders":{}},"basic_auth_data":{"password":"old"}}`)
	before := l.stored("alice")

	// A line with only a hash changes the password of an existing user, and nothing else.
	l.ask("POST", "/api/import", imports(`{"username":"alice","hash":"`+aHash+`"}`, "", `{"username":"bob","hash":"`+anotherHash+`","org_id":"default"}`)).
		want(t, "import", 200, `{"valid":2,"added":1,"changed":1,"refused":[],"warnings":[]}`+"\n")
	alice := l.stored("alice")
	if s := alice.Session; s.BasicAuth.Password != aHash || s.BasicAuth.HashType != "bcrypt" || s.Alias != "Alice" || len(s.AccessRights) != 1 || s.QuotaMax != 5 ||
		s.DateCreated != before.Session.DateCreated || alice.Generation != before.Generation {
		t.Errorf("alice: %+v", alice)
	}
	if s := l.stored("bob").Session; s.BasicAuth.Password != anotherHash || s.BasicAuth.HashType != "apr1" || s.OrgID != "default" || s.DateCreated == "" || s.LastUpdated == "" {
		t.Errorf("bob: %+v", s)
	}

	// A session overwrites; without a hash the stored one stays; a password in it is hashed.
	l.ask("POST", "/api/import", imports(
		`{"username":"alice","session":{"alias":"new","rate":3,"per":1,"nonsense":1}}`,
		`{"username":"bob","session":{"basic_auth_data":{"password":"plain"}}}`,
		`{"username":"carol","session":{"tags":["x"]},"hash":"`+aHash+`"}`,
	)).want(t, "sessions", 200, `{"valid":3,"added":1,"changed":2,"refused":[],"warnings":[{"line":1,"username":"alice","message":"nonsense: unknown, ignored"}]}`+"\n")
	if s := l.stored("alice").Session; s.BasicAuth.Password != aHash || s.Alias != "new" || len(s.AccessRights) != 0 || s.Rate != 3 {
		t.Errorf("alice: %+v", s)
	}
	if s := l.stored("bob").Session; s.BasicAuth.Password != "HASH-6e69616c70" {
		t.Errorf("bob: %+v", s)
	}
	if s := l.stored("carol").Session; s.BasicAuth.Password != aHash || len(s.Tags) != 1 {
		t.Errorf("carol: %+v", s)
	}
}

func TestImportRefuses(t *testing.T) {
	l := start(t)
	l.ask("POST", "/api/apis/keys/basic/alice", aUser)
	bad := imports(
		`{"username":"good","hash":"`+aHash+`"}`,
		`{"username":"a:b","hash":"`+aHash+`"}`,
		`{"username":"plain","hash":"secret"}`,
		`{"username":"costly","hash":"`+strings.Replace(aHash, "$10$", "$31$", 1)+`"}`,
		`{"username":"good","hash":"`+anotherHash+`"}`,
		`{"username":"nothing"}`,
		`{"username":"rights","hash":"`+aHash+`","session":{"access_rights":{"nowhere":{}}}}`,
		`{"username":"org","hash":"`+aHash+`","session":{"org_id":"acme"}}`,
		`{"username":"both","hash":"`+aHash+`","session":{"basic_auth_data":{"password":"x"}}}`,
		`{"username":"hashed","session":{"basic_auth_data":{"password":"`+aHash+`"}}}`,
		`{"username":"member","password":"x"}`,
		`not json`,
		`{"hash":"`+aHash+`"}`,
	)
	const refused = `"refused":[` +
		`{"line":2,"username":"a:b","message":"username = \"a:b\": must not contain a colon: RFC 7617 ends the name at the first one"},` +
		`{"line":3,"username":"plain","message":"hash: must be a hash of bcrypt, argon2id, apr1, {SHA} or SHA-crypt: plain text, crypt(3) with DES or MD5 and others are not accepted"},` +
		`{"line":4,"username":"costly","message":"hash: must be a bcrypt hash ($2a$, $2b$ or $2y$) with a cost of 4 to 14 and 53 characters"},` +
		`{"line":5,"username":"good","message":"must not repeat the user of line 1"},` +
		`{"line":6,"username":"nothing","message":"hash: missing hash or session"},` +
		`{"line":7,"username":"rights","message":"access_rights.nowhere = \"nowhere\": must be a configured API: orders, rest"},` +
		`{"line":8,"username":"org","message":"session.org_id = \"acme\": must be the org of the line, \"default\", or missing"},` +
		`{"line":9,"username":"both","message":"hash: must not be given together with a password"},` +
		`{"line":10,"username":"hashed","message":"basic_auth_data.password: must be the password itself, not a hash of it"},` +
		`{"line":11,"username":"","message":"password: a line of an import has no such member"},` +
		`{"line":12,"username":"","message":"invalid character 'o' in literal null (expecting 'u') at byte 1"},` +
		`{"line":13,"username":"","message":"username = \"\": must be a name of 1 to 255 bytes"}]`
	before := l.users.Dump()
	l.ask("POST", "/api/import", bad).want(t, "bad lines", 400, `{"valid":1,"added":0,"changed":0,`+refused+`,"warnings":[]}`+"\n")
	l.ask("POST", "/api/import?dry_run=1", bad).want(t, "dry run", 200, `{"valid":1,"added":0,"changed":0,`+refused+`,"warnings":[]}`+"\n")
	l.ask("POST", "/api/import?dry_run=1&skip_bad=1", imports(`{"username":"alice","hash":"`+aHash+`"}`)).want(t, "dry run", 200, `{"valid":1,"added":0,"changed":0,"refused":[],"warnings":[]}`+"\n")
	if after := l.users.Dump(); after != before {
		t.Errorf("something was written:\n%s", after)
	}
	l.ask("POST", "/api/import?skip_bad=1", bad).want(t, "skip bad", 200, `{"valid":1,"added":1,"changed":0,`+refused+`,"warnings":[]}`+"\n")
	if l.users.Count() != 2 {
		t.Errorf("%d users are there", l.users.Count())
	}
	if strings.Contains(l.said.String(), aHash[8:]) {
		t.Error("an answer holds a hash")
	}

	// A damaged record has nothing to which a password could be added.
	l.users.Damage(session.Name{Org: "default", User: "alice"}, true)
	l.ask("POST", "/api/import", imports(`{"username":"good","hash":"`+anotherHash+`"}`, `{"username":"alice","hash":"`+aHash+`"}`)).
		want(t, "damaged", 409, dashboardError(`line 2: the record of "alice" is damaged: write it again (POST) or restore a backup`))
	l.ask("POST", "/api/import", imports(`{"username":"alice","hash":"`+aHash+`","session":{}}`)).
		want(t, "overwritten", 200, `{"valid":1,"added":0,"changed":1,"refused":[],"warnings":[]}`+"\n")
}

// If empty rights grant nothing, a password for a user that does not exist yet is refused.
func TestImportWithoutRights(t *testing.T) {
	l := start(t, func(c *Config) {
		rules := c.Rules
		c.Rules = func() session.Rules {
			r := rules()
			r.AllowEmptyRights = false
			return r
		}
	})
	l.ask("POST", "/api/apis/keys/basic/alice", `{"access_rights":{"orders":{}}}`)
	l.ask("POST", "/api/import?skip_bad=1", imports(`{"username":"alice","hash":"`+aHash+`"}`, `{"username":"bob","hash":"`+aHash+`"}`)).
		want(t, "import", 200, `{"valid":1,"added":0,"changed":1,"refused":[{"line":2,"username":"bob","message":"access_rights: missing for a new user, which would have no rights (rights.allow_empty_rights = false)"}],"warnings":[]}`+"\n")
}

// Only an import accepts a hash.
func TestHashIsNoPassword(t *testing.T) {
	l := start(t)
	l.ask("POST", "/api/apis/keys/basic/alice", aUser)
	for _, hash := range []string{aHash, anotherHash, "{SHA}syXLcnHQzjJw4wkzdPf2s6oVlws="} {
		for _, target := range []string{
			"POST /api/apis/keys/basic/alice", "PUT /api/apis/keys/basic/alice", "PATCH /api/apis/keys/basic/alice", "POST /tyk/keys/alice", "PUT /tyk/keys/alice", "POST /tyk/keys/create", "POST /api/keys",
		} {
			method, path, _ := strings.Cut(target, " ")
			if a := l.ask(method, path, `{"basic_auth_data":{"password":"`+hash+`","hash_type":"bcrypt"}}`); a.status != 400 {
				t.Errorf("%s with %s: %v", target, hash, a)
			}
		}
	}
}
