package admin

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/store"
)

var secretPattern = regexp.MustCompile(`"hmac_string":"([^"]+)"`)

// A generated secret is in one answer and nowhere else: in no other answer, no log line, and in records
// only sealed. The sealed form is in no answer either.
func TestGeneratedSecretIsShownOnce(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/policies", `{"id":"gold","access_rights":{"rest":{}},"hmac_enabled":true}`)
	var shown []string
	f := func(method, target, body string, want bool) {
		t.Helper()
		a := l.ask(method, target, body)
		if a.status != 200 {
			t.Fatalf("%s %s: %v", method, target, a)
		}
		found := secretPattern.FindStringSubmatch(a.body)
		if (found != nil) != want {
			t.Errorf("%s %s %s: %v", method, target, body, a)
		}
		if found != nil {
			shown = append(shown, found[1])
		}
	}
	const sign, plain = `{"hmac_enabled":true}`, `{}`
	f("POST", "/api/apis/keys/basic/ann", sign, true)
	f("POST", "/api/apis/keys/basic/ann", sign, true) // overwritten
	f("POST", "/tyk/keys/bob", sign, true)
	f("POST", "/api/keys/carl", sign, true)
	f("POST", "/api/keys", sign, true)
	f("POST", "/tyk/keys/create", sign, true)
	f("POST", "/tyk/keys/dora", `{"apply_policies":["gold"]}`, true)
	f("PUT", "/tyk/keys/dora", `{"apply_policies":["gold"]}`, false)

	// An existing secret stays; a missing one is generated.
	f("PUT", "/tyk/keys/ann", sign, false)
	f("PUT", "/api/keys/defaultann", plain, false)
	f("PUT", "/api/apis/keys/basic/ann", sign, false)
	f("POST", "/tyk/keys/emil", plain, false)
	f("PUT", "/tyk/keys/emil", sign, true)
	f("POST", "/tyk/keys/fred", plain, false)
	f("PUT", "/api/apis/keys/basic/fred", sign, true)
	f("POST", "/tyk/keys/gina", plain, false)
	f("PUT", "/tyk/keys/policy/gina", `{"apply_policies":["gold"]}`, true)
	f("PUT", "/tyk/keys/policy/gina", `{"apply_policies":["gold"]}`, false)
	f("POST", "/tyk/keys/reset/gina", "", false)
	f("POST", "/tyk/keys/preview", sign, false)
	f("POST", "/api/keys/preview", sign, false)
	// A secret from the request is not shown.
	f("POST", "/api/apis/keys/basic/hans", `{"hmac_enabled":true,"hmac_string":"hans-has-a-secret"}`, false)
	f("PUT", "/tyk/keys/hans", `{"hmac_enabled":true,"hmac_string":"hans-has-another"}`, false)
	f("PUT", "/tyk/keys/hans", `{"hmac_string":"hans-does-not-sign-"}`, false)
	for _, user := range []string{"ann", "bob", "carl", "dora", "emil", "fred", "gina", "hans"} {
		f("GET", "/api/apis/keys/basic/"+user, "", false)
		f("GET", "/tyk/keys/"+user, "", false)
		f("GET", "/api/keys/default"+user, "", false)
	}
	f("GET", "/api/keys/detailed?p=-1", "", false)

	said, kept := l.said.String(), l.users.Dump()
	for i, secret := range shown {
		if len(secret) < 26 || strings.Count(said, secret) != 1 || strings.Contains(kept, secret) || strings.Contains(l.log.String(), secret) {
			t.Errorf("secret %d of %d bytes: in %d answers, in the store: %v", i, len(secret), strings.Count(said, secret), strings.Contains(kept, secret))
		}
	}
	if !strings.Contains(kept, `"hmac_string":"v1.`) || strings.Contains(said, "v1.") || strings.Contains(kept+said+l.log.String(), "hans-") {
		t.Errorf("not sealed, or shown: %s", kept)
	}
}

// A sealed secret cannot be opened in the record of another user. A user whose secret cannot be opened
// gets a new one with the next write.
func TestSecretOfAnother(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/ann", `{"hmac_enabled":true}`)
	l.ask("POST", "/tyk/keys/bob", `{"hmac_enabled":true}`)
	ann, _, err := l.users.Load("default", "ann")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.users.Update("default", "bob", func(old *session.Record) (*session.Record, error) {
		old.Session.HMACString = ann.Session.HMACString
		return old, nil
	}); err != nil {
		t.Fatal(err)
	}
	if a := l.ask("PUT", "/tyk/keys/bob", `{"hmac_enabled":true}`); !secretPattern.MatchString(a.body) {
		t.Errorf("bob keeps ann's secret: %v", a)
	}
}

// A write that fails shows no secret.
func TestNoSecretOfAFailedWrite(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/ann", `{}`)
	for _, failure := range []error{auth.ErrStoreDown, store.ErrOutcomeUnknown, errors.New("something else")} {
		l.users.Fail(failure)
		for _, target := range []string{"POST /tyk/keys/ann", "PUT /tyk/keys/ann", "POST /api/apis/keys/basic/ann"} {
			method, path, _ := strings.Cut(target, " ")
			if a := l.ask(method, path, `{"hmac_enabled":true}`); a.status < 500 || strings.Contains(a.body, "hmac_string") {
				t.Errorf("%s, %v: %v", target, failure, a)
			}
		}
	}
}

func TestSecretWarnings(t *testing.T) {
	l := start(t)
	f := func(body string, want ...string) {
		t.Helper()
		a := l.ask("POST", "/tyk/keys/ann", body)
		var got []string
		for _, line := range a.header {
			if w, found := strings.CutPrefix(line, "X-Sidekey-Warning: "); found {
				got = append(got, w)
			}
		}
		if a.status != 200 || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: %v", body, a)
		}
	}
	const nowhere = "hmac_enabled: no API of the org accepts signed requests (apis.hmac), so the user cannot log in"
	f(`{"hmac_enabled":true}`, nowhere)
	f(`{"hmac_enabled":true,"hmac_string":"fifteen-bytes-x"}`, nowhere, "hmac_string: 15 bytes can be guessed; leave it empty to have one generated")
	f(`{"hmac_enabled":true,"hmac_string":"sixteen-bytes-xy"}`, nowhere)
	f(`{"hmac_enabled":true,"basic_auth_data":{"password":"pw"}}`, "basic_auth_data.password: kept, and of no use while hmac_enabled", nowhere)
	tooLong := l.ask("POST", "/tyk/keys/ann", `{"hmac_string":"`+strings.Repeat("x", 1025)+`"}`)
	tooLong.want(t, "1025 bytes", 400, gatewayError("Request malformed: hmac_string: must be at most 1024 bytes, not 1025"))
}
