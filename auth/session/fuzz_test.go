package session

import (
	"bytes"
	"testing"

	"sidekey/auth/route"
	"sidekey/internal/problem"
)

// FuzzDecodePolicy, T-80: whatever is read as a policy can be written and read again, and
// checked and applied without a panic.
func FuzzDecodePolicy(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"id":"gold","org_id":"default","rate":5,"per":1,"active":true}`, `{"id":"a","id":"b"}`, `{"_id":"x","name":"ü","partitions":{"acl":true,"per_api":true}}`,
		`{"id":"p","access_rights":{"orders":{"allowed_urls":[{"url":"/a{2}","methods":["GET"]}],"limit":{"rate":1e9}}},"tags":["a","b"]}`, `{"key_expires_in":9223372036854775807,"meta_data":{"a":{}}}`,
		`{"smoothing":{"enabled":true,"threshold":1,"step":1,"trigger":0.5,"delay":9223372036854775807},"rate":1,"per":1}`, `{"graphql_access_rights":{"a":[1, 2]},"shadow":true,"unknown":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, _, err := DecodePolicy(body)
		if err != nil {
			if _, ok := err.(problem.List); !ok {
				t.Fatalf("%q: %T %v", body, err, err)
			}
			return
		}
		first := mustEncode(t, p)
		again, unknown, err := DecodePolicy(first)
		if err != nil || unknown != nil {
			t.Fatalf("%q is stored as %s, which is read as: %v, unknown %q", body, first, err, unknown)
		}
		if second := mustEncode(t, again); !bytes.Equal(second, first) {
			t.Fatalf("%q is stored as %s and then as %s", body, first, second)
		}
		p.Validate(Rules{APIs: new(route.APIs), Policies: NewPolicies(nil), MaxPassword: 72})
		Apply(&Session{OrgID: p.OrgID}, []*Policy{&p}, false)
	})
}

// FuzzParseToken: a token is that of one name alone.
func FuzzParseToken(f *testing.F) {
	for _, name := range []Name{{"default", "alice"}, {"", ""}, {`a"b`, `c","id":"d`}, {"ü", "密码"}} {
		f.Add(name.Token())
	}
	f.Add("e30=")
	f.Fuzz(func(t *testing.T, token string) {
		name, ok := ParseToken(token)
		if !ok {
			return
		}
		if err := CheckNames(name.Org, name.User); err != nil {
			t.Fatalf("%q: %q: %v", token, name, err)
		}
		// Line ends, which a decoder skips, are in no token that Token returns.
		if again, ok := ParseToken(name.Token()); !ok || again != name {
			t.Fatalf("%q is %q, and its token %q", token, name, again)
		}
	})
}

// FuzzDecodeSession, T-80, looks for panics, and for sessions that are another one when they
// are stored and read again.
func FuzzDecodeSession(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"rate":5,"per":1,"quota_max":-1}`, `{"rate":1,"rate":2}`, `{"absent":{"a":[1]}}`, `{"alias":"a\ud83d\ude00"}`,
		`{"access_rights":{"orders":{"versions":["v1"],"limit":{"rate":0.5},"mcp_x":{"a":1},"endpoints":[{"path":"/x","methods":[{"name":"GET","limit":{"rate":1,"per":1}}]}]}}}`,
		`{"meta_data":{"a":1e400,"b":"x","c":null,"d":{"e":[]}},"jwt_data":{"secret":""},"oauth_keys":null}`, `{"tags":["a",null],"smoothing":null,"monitor":{"trigger_limits":[80,1e2]}}`,
		`{"basic_auth_data":{"password":"pw","hash_type":"x","user":"ann"}}`, `{"rate":-0,"quota_max":-0,"expires":9223372036854775807}`, "{\"alias\":\"\xff\"}", `{"a":`,
		`{"access_rights":{"":{},"\u0000":{"allowed_urls":[{"url":"","methods":[]}]}}}`, `{"unknown":1,"Unknown":{"x":2}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		s, unknown, err := DecodeSession(body)
		if !bytes.Equal(body, before) {
			t.Fatalf("%q was changed", before)
		}
		if err != nil {
			if _, ok := err.(problem.List); !ok || unknown != nil {
				t.Fatalf("%q: %T %v, %q", body, err, err, unknown)
			}
			return
		}
		first := mustEncode(t, s)
		again, unknown, err := DecodeSession(first)
		if err != nil || unknown != nil {
			t.Fatalf("%q is stored as %s, which is read as: %v, unknown %q", body, first, err, unknown)
		}
		if second := mustEncode(t, again); !bytes.Equal(second, first) {
			t.Fatalf("%q is stored as %s and then as %s", body, first, second)
		}
		s.Normalise()
		s.Validate(Rules{APIs: new(route.APIs), Policies: NewPolicies(nil), MaxPassword: 72}, 0)
	})
}
