package session

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sidekey/auth/route"

	"github.com/go-json-experiment/json/jsontext"
)

// testRules know two APIs and some policies of the org "default", and one of each of
// another org.
func testRules(t testing.TB) Rules {
	theirs := api("theirs", "/theirs")
	theirs.Org = "other"
	orders := map[string]Right{"orders": {}}
	return Rules{
		APIs: mustAPIs(t, api("orders", "/orders"), api("shop", "/shop"), theirs),
		Policies: NewPolicies([]Policy{
			{ID: "acl", OrgID: "default", Partitions: Partitions{ACL: true}, AccessRights: orders},
			{ID: "each", OrgID: "default", Partitions: Partitions{PerAPI: true}, AccessRights: orders},
			{ID: "gold", OrgID: "default", AccessRights: orders},
			{ID: "quota", OrgID: "default", Partitions: Partitions{Quota: true}},
			{ID: "theirs", OrgID: "other", AccessRights: orders},
		}),
		AllowEmptyRights: true,
		MetaHeaders:      map[string]string{"dev": "X-Dev"},
		MaxPassword:      72,
	}
}

// validate reads a session as the admin API does.
func validate(t testing.TB, body string, rules Rules, now int64) (warnings []string, err error) {
	t.Helper()
	s, _, err := DecodeSession([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	s.OrgID = "default"
	s.Normalise()
	return s.Validate(rules, now)
}

func TestValidateBad(t *testing.T) {
	rules := testRules(t)
	f := func(body, want string) {
		t.Helper()
		_, err := validate(t, body, rules, 1000)
		if err == nil || err.Error() != want {
			t.Errorf("%.100s\ngot  %v\nwant %s", body, err, want)
		}
	}
	// Passwords: never shown, whatever is wrong.
	const password = `basic_auth_data.password: `
	const control = password + `must not contain control characters (a line end at its end?): RFC 7617 allows none`
	f(`{"basic_auth_data":{"password":"`+strings.Repeat("p", 73)+`"}}`, password+`must be at most 72 bytes, not 73: the hash reads no further`)
	f(`{"basic_auth_data":{"password":"`+strings.Repeat("ä", 37)+`"}}`, password+`must be at most 72 bytes, not 74: the hash reads no further`)
	f(`{"basic_auth_data":{"password":"pw\u0000"}}`, control)
	f(`{"basic_auth_data":{"password":"\u0000pw"}}`, control)
	f(`{"basic_auth_data":{"password":"pw\n"}}`, control)
	f(`{"basic_auth_data":{"password":"pw\r\n"}}`, control)
	f(`{"basic_auth_data":{"password":"p\tw"}}`, control)
	f(`{"basic_auth_data":{"password":"\u007f"}}`, control)
	f(`{"basic_auth_data":{"password":"pw\u0085"}}`, control)
	for _, hash := range []string{
		"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "$2y$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"$2$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA",
	} {
		f(`{"basic_auth_data":{"password":"`+hash+`"}}`, password+`must be the password itself, not a hash of it`)
	}
	// Texts that go into headers and logs (T-83).
	f(`{"alias":"a\u0000b"}`, `alias = "a\x00b": must not contain the control character U+0000`)
	f(`{"alias":"a\r\nX-Admin: 1"}`, `alias = "a\r\nX-Admin: 1": must not contain the control character U+000D`)
	f(`{"alias":"\u007f"}`, `alias = "\x7f": must not contain the control character U+007F`)
	f(`{"alias":"\u0085"}`, `alias = "\u0085": must not contain the control character U+0085`)
	f(`{"alias":"a\u202eb"}`, `alias = "a\u202eb": must not contain the control character U+202E`)
	f(`{"alias":"\ufeff"}`, `alias = "\ufeff": must not contain the invisible character U+FEFF`)
	f(`{"alias":"a\u2028b"}`, `alias = "a\u2028b": must not contain the control character U+2028`)
	f(`{"alias":"`+strings.Repeat("a", 1025)+`"}`, `alias = "`+strings.Repeat("a", 79)+`…: must be at most 1024 bytes, not 1025`)
	f(`{"tags":["a","b\n"]}`, `tags[1] = "b\n": must not contain the control character U+000A`)
	f(`{"tags":[""]}`, `tags[0] = "": must not be empty`)
	f(`{"tags":["a",null]}`, `tags[1] = "": must not be empty`)
	f(`{"tags":["`+strings.Repeat("a", 256)+`"]}`, `tags[0] = "`+strings.Repeat("a", 79)+`…: must be at most 255 bytes, not 256`)
	f(`{"tags":["`+strings.Repeat(`aaaaaaaaa","`, 500)+`a"]}`, `tags: must be at most 4096 bytes in all, not 5002`)
	f(`{"meta_data":{"dev":"a\r\nX-Admin: 1"}}`, `meta_data.dev = "a\r\nX-Admin: 1": must not contain the control character U+000D`)
	f(`{"meta_data":{"dev":"\u0000"}}`, `meta_data.dev = "\x00": must not contain the control character U+0000`)
	f(`{"meta_data":{"dev":{"a":`+"\n"+`1}}}`, `meta_data.dev = "{\"a\":\n1}": must not contain the control character U+000A`)
	f(`{"meta_data":{"dev":"`+strings.Repeat("x", 1025)+`"}}`, `meta_data.dev = "`+strings.Repeat("x", 79)+`…: must be at most 1024 bytes, not 1025`)
	f(`{"meta_data":{"`+strings.Repeat("n", 256)+`":1}}`,
		`meta_data.`+strings.Repeat("n", 80)+`… = "`+strings.Repeat("n", 79)+`…: must be at most 255 bytes, not 256`)
	// Rights.
	f(`{"access_rights":{"nope":{}}}`, `access_rights.nope = "nope": must be a configured API: orders, shop`)
	f(`{"access_rights":{"Orders":{}}}`, `access_rights.Orders = "Orders": must be a configured API: orders, shop`)
	f(`{"access_rights":{"":{}}}`, `access_rights.: must be a configured API: orders, shop`)
	f(`{"access_rights":{"theirs":{}}}`, `access_rights.theirs = "theirs": must be an API of org_id "default": orders, shop`)
	f(`{"access_rights":{"orders":{"api_name":"a\tb"}}}`, `access_rights.orders.api_name = "a\tb": must not contain the control character U+0009`)
	f(`{"access_rights":{"orders":{"versions":["v1",""]}}}`, `access_rights.orders.versions[1] = "": must not be empty`)
	f(`{"access_rights":{"orders":{"versions":["v\u0000"]}}}`, `access_rights.orders.versions[0] = "v\x00": must not contain the control character U+0000`)
	const urls = `access_rights.orders.allowed_urls[0].`
	url := func(url, methods string) string {
		return `{"access_rights":{"orders":{"allowed_urls":[{"url":"` + url + `","methods":` + methods + `}]}}}`
	}
	f(url("", `["GET"]`), urls+`url: must be a path or a regular expression`)
	f(url(strings.Repeat("a", 1025), `["GET"]`), urls+`url = "`+strings.Repeat("a", 79)+`…: must have at most 1024 bytes, not 1025`)
	f(url("/a", `[]`), urls+`methods: must have at least one method, such as GET`)
	f(url("/a", `null`), urls+`methods: must have at least one method, such as GET`)
	f(url("/a", `["GET",""]`), urls+`methods = "": must be a request method, such as GET`)
	f(url("/a", `["GET "]`), urls+`methods = "GET ": must be a request method, such as GET`)
	f(url("/a", `["G\u0000"]`), urls+`methods = "G\x00": must be a request method, such as GET`)
	f(url("/a", `["`+strings.Repeat("G", 33)+`"]`), urls+`methods = "`+strings.Repeat("G", 33)+`": must be a request method, such as GET`)
	// Policies.
	f(`{"apply_policies":["nope"]}`, `apply_policies[0] = "nope": must be a policy that exists: acl, each, gold, quota`)
	f(`{"apply_policy_id":"nope"}`, `apply_policies[0] = "nope": must be a policy that exists: acl, each, gold, quota`)
	f(`{"apply_policies":["gold","theirs"]}`, `apply_policies[1] = "theirs": must be a policy of org_id "default": acl, each, gold, quota`)
	f(`{"apply_policies":["acl","each"]}`, `apply_policies: must not combine policies with partitions.per_api and others that are partitioned`)
	f(`{"apply_policies":["quota"]}`, `access_rights: missing rights, of the session or of one of its policies (partitions.acl): without any, nothing is granted`)
	// All at once: of several policies that do not exist, each.
	f(`{"apply_policies":["nope","gold","nada"]}`,
		`apply_policies[0] = "nope": must be a policy that exists: acl, each, gold, quota; `+
			`apply_policies[2] = "nada": must be a policy that exists: acl, each, gold, quota`)
	// The rest.
	f(`{"post_expiry_action":"burn"}`, `post_expiry_action = "burn": must be "delete" or "retain"`)
	f(`{"post_expiry_grace_period":-2}`, `post_expiry_grace_period = -2: must be at least 0 seconds, or -1 for no limit`)
	// All at once, in one order.
	f(`{"alias":"\u0000","tags":["\u0001"],"access_rights":{"nope":{},"nada":{}},"basic_auth_data":{"password":"\u0000"}}`,
		`access_rights.nada = "nada": must be a configured API: orders, shop; `+
			`access_rights.nope = "nope": must be a configured API: orders, shop; `+
			`alias = "\x00": must not contain the control character U+0000; `+control+`; `+
			`tags[0] = "\x01": must not contain the control character U+0001`)

	rules.AllowEmptyRights = false
	f(`{}`, `access_rights: must have at least one API (rights.allow_empty_rights = false)`)
}

// JSON has no NaN, but a configuration file has, and so has a program that builds a
// session itself.
func TestT60ValidateNumbers(t *testing.T) {
	f := func(change func(s *Session), want string) {
		t.Helper()
		s := Session{OrgID: "default"}
		change(&s)
		_, err := s.Validate(testRules(t), 0)
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(func(s *Session) { s.Rate = math.NaN() }, `rate = NaN: must be a finite number`)
	f(func(s *Session) { s.Rate = math.Inf(1) }, `rate = +Inf: must be a finite number`)
	f(func(s *Session) { s.Per = math.Inf(-1) }, `per = -Inf: must be a finite number`)
	f(func(s *Session) { s.ThrottleInterval = math.NaN() }, `throttle_interval = NaN: must be a finite number`)
	f(func(s *Session) { s.AccessRights = map[string]Right{"orders": {Limit: &Limit{Rate: math.NaN()}}} },
		`access_rights.orders.limit.rate = NaN: must be a finite number`)
	f(func(s *Session) {
		s.AccessRights = map[string]Right{"orders": {Endpoints: []Endpoint{{Path: "/a", Methods: []EndpointMethod{{Name: "GET", Limit: EndpointLimit{Per: math.Inf(1)}}}}}}}
	}, `access_rights.orders.endpoints[0].methods[0].limit.per = +Inf: must be a finite number`)
}

// A pattern that does not compile alone must not compile because of the group around it: a)|(b would lose
// the anchors at both ends and match far more.
func TestValidatePatterns(t *testing.T) {
	rules := testRules(t)
	for _, pattern := range []string{
		"/a(", "/a)", "[", "/a[", "*", "+", "?", "/a**", "a)|(b", ")(", "/orders)|(?:/shop", "(?:/a))(?:", "/a{2,1}", "(?P<x", "/(?=a)", `/\\1`, `\\`, `/a\\`, `\\Q)|(`,
	} {
		for _, body := range []string{
			`{"access_rights":{"orders":{"allowed_urls":[{"url":"` + pattern + `","methods":["GET"]}]}}}`,
			`{"access_rights":{"orders":{"endpoints":[{"path":"` + pattern + `","methods":[{"name":"GET","limit":{"rate":1,"per":1}}]}]}}}`,
		} {
			_, err := validate(t, body, rules, 0)
			if pattern == `\\Q)|(` {
				// Quoted to its end, and nothing behind the end may be quoted with it.
				if err == nil {
					quoted := route.NewRules([]route.URLRule{{Pattern: `\Q)|(`, Methods: []string{"GET"}}}, nil)
					orders := api("orders", "/")
					_, other := quoted.Match(&orders, []byte("GET"), []byte("/x"))
					_, itself := quoted.Match(&orders, []byte("GET"), []byte("/)|("))
					if other != route.Unknown || itself != route.Found {
						t.Errorf("%s matches something else than )|(", body)
					}
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), "must be a regular expression (RE2): ") {
				t.Errorf("%s: %v", body, err)
			}
			if err != nil && strings.Contains(err.Error(), "^(?:") {
				t.Errorf("%s: the problem quotes what the writer did not write: %v", body, err)
			}
		}
	}
}

func TestValidateGood(t *testing.T) {
	rules := testRules(t)
	f := func(body string, warnings ...string) {
		t.Helper()
		got, err := validate(t, body, rules, 1000)
		if err != nil || !slices.Equal(got, warnings) {
			t.Errorf("%.100s: %v, warnings %q, want %q", body, err, got, warnings)
		}
	}
	f(`{}`)
	f(`{"rate":-1,"per":-1,"quota_max":-1,"quota_renewal_rate":-1,"expires":-1}`)
	f(`{"rate":1e300,"per":1e-300,"quota_max":9223372036854775807,"quota_renewal_rate":9223372036854775807,"expires":9223372036854775807}`)
	f(`{"basic_auth_data":{"password":"` + strings.Repeat("p", 72) + `"}}`)
	f(`{"basic_auth_data":{"password":" pass:wörd 密码 "}}`)
	f(`{"basic_auth_data":{"password":"$2a$10$short"}}`)
	f(`{"alias":"Ann \u00e4 密码 🔑","tags":["a b","ä"]}`)
	f(`{"alias":"` + strings.Repeat("a", 1024) + `","tags":["` + strings.Repeat("a", 255) + `"]}`)
	f(`{"meta_data":{"dev":"x","other":"a\r\nb","list":[1,2]}}`) // only values that go into a header must fit one
	f(`{"access_rights":{"orders":{"versions":["v1"],"allowed_urls":[{"url":"/a/{id}/*","methods":["get","M-SEARCH"]}],"limit":{"rate":1,"per":1}},"shop":{}}}`)
	f(`{"apply_policies":["gold"]}`)
	f(`{"apply_policies":["quota"],"access_rights":{"orders":{}}}`)
	f(`{"expires":1001}`)
	// Accepted, with a word of warning.
	const past = `: is in the past, so the user is refused as expired`
	f(`{"expires":1000}`, `expires = 1000`+past)
	f(`{"expires":1}`, `expires = 1`+past)
}

func TestCheckNames(t *testing.T) {
	f := func(org, user, want string) {
		t.Helper()
		err := CheckNames(org, user)
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%.40q, %.40q:\ngot  %v\nwant %s", org, user, err, want)
		}
	}
	f("default", "", `username = "": must be a name of 1 to 255 bytes`)
	f("", "ann", `org_id = "": must be a name of 1 to 255 bytes`)
	f("default", "a:b", `username = "a:b": must not contain a colon: RFC 7617 ends the name at the first one`)
	f("default", ":", `username = ":": must not contain a colon: RFC 7617 ends the name at the first one`)
	f("default", "a\nb", `username = "a\nb": must not contain the control character U+000A`)
	f("default", "a\x00", `username = "a\x00": must not contain the control character U+0000`)
	f("de\x00fault", "ann", `org_id = "de\x00fault": must not contain the control character U+0000`)
	f("default", "a\xff", `username = "a\xff": must be valid UTF-8`)
	f("default", "\xc0\xae", `username = "\xc0\xae": must be valid UTF-8`)
	f("default", " ann", `username = " ann": must not begin or end with white space`)
	f("default", "ann\u00a0", `username = "ann\u00a0": must not begin or end with white space`)
	f("default", "\u202enna", `username = "\u202enna": must not contain the control character U+202E`)
	f("default", strings.Repeat("u", 256), `username = "`+strings.Repeat("u", 79)+`…: must be at most 255 bytes, not 256`)
	f("", "a:b", `org_id = "": must be a name of 1 to 255 bytes; username = "a:b": must not contain a colon: RFC 7617 ends the name at the first one`)
	// Anything else is a name.
	for _, user := range []string{"a", "ann@example.com", "Ann Müller", "a/b", "..", "'; --", "密码", "a\u0308", strings.Repeat("u", 255), "{\"a\"}", "%2e", "<b>"} {
		f("default", user, "")
		f("org:1", user, "")
	}
}

// T-81, T-83: characters that are invisible, or change the direction of the text around them, are refused
// by name in stored texts, alone and in the middle of a word; visible ones are not.
func TestT81InvisibleText(t *testing.T) {
	refused := func(kind string, from, to rune) {
		t.Helper()
		for r := from; r <= to; r++ {
			text := "ad" + string(r) + "min"
			want := fmt.Sprintf("must not contain the %s character %U", kind, r)
			if err := CheckNames("default", text); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("a name with %U: %v", r, err)
			}
			if err := CheckNames(text, "admin"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("an org with %U: %v", r, err)
			}
			for field, s := range map[string]Session{
				"alias": {Alias: text}, "tags[0]": {Tags: []string{text}}, "meta_data": {MetaData: map[string]jsontext.Value{text: jsontext.Value("1")}},
			} {
				_, err := s.Validate(Rules{APIs: mustAPIs(t, api("orders", "/")), Policies: NewPolicies(nil), AllowEmptyRights: true}, 0)
				if err == nil || !strings.HasPrefix(err.Error(), field) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s with %U: %v", field, r, err)
				}
				if err != nil && strings.ContainsRune(err.Error(), r) {
					t.Errorf("the error shows %U as it is", r)
				}
			}
		}
	}
	refused("control", 0x00, 0x1f)
	refused("control", 0x7f, 0x9f)
	refused("control", 0x202a, 0x202e) // embeddings and overrides of the direction
	refused("control", 0x2066, 0x2069) // isolates
	refused("control", 0x2028, 0x2029)
	refused("control", 0x200e, 0x200f)
	refused("control", 0x061c, 0x061c)
	refused("invisible", 0x200b, 0x200d) // zero-width space, non-joiner and joiner
	refused("invisible", 0x2060, 0x2064)
	refused("invisible", 0x00ad, 0x00ad) // soft hyphen
	refused("invisible", 0x034f, 0x034f) // grapheme joiner
	refused("invisible", 0x180e, 0x180e)
	refused("invisible", 0x3164, 0x3164) // Hangul filler
	refused("invisible", 0xfeff, 0xfeff)
	refused("invisible", 0xfe00, 0xfe0f) // variation selectors
	refused("invisible", 0xe0001, 0xe0001)
	refused("invisible", 0xe0020, 0xe007f) // tags
	for _, text := range []string{"Ann Müller", "密码", "علي", "अनु", "a\u0308nn", "\u0600", "🙂", "ſ", "Å", "a\u00a0x", "日本 語"} {
		if err := CheckNames("default", text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNormalise(t *testing.T) {
	s := Session{
		QuotaRenews: 5, QuotaRemaining: 6, DateCreated: "x", LastUpdated: "y", ApplyPolicyID: "gold",
		BasicAuth: BasicAuth{Password: "pw", HashType: "plain", User: "eve"},
		OrgID:     "default", Rate: 5,
	}
	s.Normalise()
	// State and fields that sidekey sets cannot be sent: neither the quota nor the kind of the hash.
	if s.QuotaRenews != 0 || s.QuotaRemaining != 0 || s.DateCreated != "" || s.LastUpdated != "" || s.BasicAuth.HashType != "" || s.BasicAuth.User != "" {
		t.Errorf("%+v", s)
	}
	if s.BasicAuth.Password != "pw" || s.Rate != 5 || s.OrgID != "default" {
		t.Errorf("%+v", s)
	}
	f := func(policies []string, id string, want []string, wantID string) {
		t.Helper()
		s := Session{ApplyPolicies: policies, ApplyPolicyID: id}
		s.Normalise()
		if !slices.Equal(s.ApplyPolicies, want) || s.ApplyPolicyID != wantID {
			t.Errorf("%q and %q: %q and %q", policies, id, s.ApplyPolicies, s.ApplyPolicyID)
		}
	}
	f(nil, "", nil, "")
	f(nil, "a", []string{"a"}, "a")
	f([]string{"a"}, "", []string{"a"}, "a")
	f([]string{"a", "b"}, "b", []string{"a", "b"}, "a")
	f([]string{"a"}, "c", []string{"a"}, "a")
}

// api is an active route.API of the org "default" at a path on hosts.
func api(id, path string, hosts ...string) route.API {
	return route.API{ID: id, Name: id, Org: "default", ListenPath: path, Hosts: hosts, DefaultVersion: "Default", Realm: "sidekey", Active: true}
}

func mustAPIs(t testing.TB, list ...route.API) *route.APIs {
	t.Helper()
	apis, err := route.NewAPIs(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	return apis
}

// A hash of any kind is refused as a password: it was copied by mistake, and all readers of the file it
// comes from could log in.
func TestCheckPasswordRefusesHashes(t *testing.T) {
	for _, hash := range []string{
		"$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo",
		"$apr1$abcdefgh$0123456789abcdefghijk.", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "$5$saltstring$4a8CDk87bikypj3fG6uvv1B2PiTGDM3/6gcduDRcbv7",
	} {
		if CheckPassword(hash, 1024) == nil {
			t.Errorf("%s: is taken for a password", hash)
		}
	}
}
