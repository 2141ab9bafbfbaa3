package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/store"
)

// T-75: no answer and no log line contains a password, a hash or the secret, whatever the request and
// however wrong it is.
func TestCanary(t *testing.T) {
	l := start(t)
	l.contrived = true
	// Each body has its own password, so that a leak shows where it comes from.
	var canaries []string
	canary := func() string {
		c := fmt.Sprintf("canary%04dcanary", len(canaries))
		canaries = append(canaries, c)
		return c
	}
	bodies := []string{
		`{"basic_auth_data":{"password":"%s"}}`,
		`{"basic_auth_data":{"password":"%s","hash_type":"bcrypt","user":"alice"}}`,
		`{"alias":"x","tags":["y"],"basic_auth_data":{"password":"%s"},"nonsense":1}`,
		`{"basic_auth_data":{"password":"%s"},"rate":"wrong"}`,
		`{"basic_auth_data":{"password":"%s"},"access_rights":{"nothing":{}}}`,
		`{"basic_auth_data":{"password":"%s"}`,
		`{"basic_auth_data":{"password":"%s"}}}`,
		`{"basic_auth_data":{"password":"%s","password":"%[1]s"}}`,
		`{"basic_auth_data":{"password":["%s"]}}`,
		`{"basic_auth_data":{"password":{"password":"%s"}}}`,
		`{"basic_auth_data":"%s"}`,
		`{"basic_auth_data":["%s"]}`,
		`{"basic_auth_data":{"password":%s}}`,
		`{"basic_auth_data":{"password":'%s'}}`,
		`{"basic_auth_data":{"password":"%s` + "\x00" + `"}}`,
		`{"basic_auth_data":{"password":"%s\u0000"}}`,
		`{"basic_auth_data":{"password":"\u0000%s"}}`,
		`{"basic_auth_data":{"password":"%s` + "\xff" + `"}}`,
		`{"basic_auth_data":{"password":"` + "\xff" + `%s"}}`,
		`{"basic_auth_data":{"password":"\q%s"}}`,
		`{"basic_auth_data":{"password":"\u12%s"}}`,
		`{"basic_auth_data":{"password":"\ud800%s"}}`,
		`{"basic_auth_data":{"password":"\ud800\u%s"}}`,
		`{"Basic_auth_data":{"password":"\ud800%s"}}`,
		`{"basic_auth_data":{"Password":"\ud800%s"}}`,
		`{"password":"\ud800%s"}`,
		`[{"basic_auth_data":{"password":"\ud800%s"}}]`,
		`{"data":{"basic_auth_data":{"password":"\ud800%s"}}}`,
		`"\ud800%s"`,
		`{"hmac_string":"\ud800%s"}`,
		`{"hmac_string":"%s"}`,
		`{"hmac_enabled":true,"hmac_string":"%s"}`,
		`{"hmac_enabled":true,"hmac_string":"%s","rate":"wrong"}`,
		`{"hmac_enabled":true,"hmac_string":"%s","hmac_string":"%[1]s"}`,
		`{"hmac_enabled":true,"hmac_string":"%[1]s` + strings.Repeat("x", 1024) + `"}`,
		`{"hmac_enabled":true,"hmac_string":["%s"]}`,
		`{"jwt_data":{"secret":"\ud800%s"}}`,
		`{"basic_auth_data":{"password":"%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s"}}`,
		`{"basic_auth_data":{"password":"%s"` + "\n",
		`[{"basic_auth_data":{"password":"%s"}}]`,
		`"%s"`,
		`{"Basic_auth_data":{"password":"%s"}}`,
		`{"basic_auth_data":{"Password":"%s"}}`,
		`{"password":"%s"}`,
		`{"basic_auth_data":{"password":"%s"},"org_id":"` + "\\u0000" + `"}`,
		`{"basic_auth_data":{"password":"%s"},"apply_policies":["nothing"]}`,
		`{"basic_auth_data":{"password":"%s"},"hmac_enabled":5}`,
		`{"username":"alice","hash":"%s"}`,
		`{"username":"alice","hash":"$2y$10$%s"}`,
		`{"username":"alice","hash":["%s"]}`,
		`{"username":"alice","hash":"\ud800%s"}`,
		`{"username":"alice","session":{"basic_auth_data":{"password":"%s"}}}`,
		`{"username":"alice","password":"%s"}`,
		`{"username":"alice","password":{"%s":1}}`,
	}
	l.ask("POST", "/tyk/policies", `{"id":"gold","org_id":"default"}`)
	targets := []string{
		"POST /api/apis/keys/basic/alice", "PUT /api/apis/keys/basic/alice", "POST /tyk/keys/alice", "PUT /tyk/keys/alice",
		"POST /api/apis/keys/basic/alice?strict=1", "POST /tyk/keys/create", "POST /tyk/keys", "POST /tyk/keys/preview", "POST /api/keys", "POST /api/keys/alice",
		"PUT /api/keys/defaultalice", "POST /api/keys/preview", "PUT /tyk/keys/policy/alice", "POST /tyk/policies", "PUT /tyk/policies/gold", "POST /api/portal/policies",
		"POST /tyk/keys/%zz", "POST /tyk/nothing", "PATCH /tyk/keys/alice", "PATCH /api/apis/keys/basic/alice",
		"POST /api/import?user=alice", "POST /api/import?user=alice&skip_bad=1", "POST /api/import?dry_run=1", "POST /api/verify", "DELETE /tyk/keys/ghost", "GET /tyk/keys/alice",
	}
	reads := []string{
		"/api/apis/keys/basic/alice", "/tyk/keys/alice", "/tyk/keys", "/api/apis/keys?p=-1", "/api/apis/rest/keys?p=-1", "/api/keys/detailed?p=-1", "/api/keys/detailed?q=canary",
		"/api/keys/defaultalice", "/api/keys/alice?username=true", "/tyk/policies", "/api/portal/policies", "/hello", "/readyz", "/healthz",
		"/api/users", "/api/users?raw=1", "/api/users?q=canary", "/api/apis/keys/basic/alice?raw=1", "/api/keys/defaultalice?raw=1", "/api/users/search?q=canary", "/api/users/alice/limits", "/api/apis", "/api/decisions", "/",
	}
	for _, failure := range []error{nil, auth.ErrDamaged, auth.ErrStoreDown, store.ErrOutcomeUnknown, fmt.Errorf("something else")} {
		for _, body := range bodies {
			for _, target := range targets {
				if failure != nil && !strings.Contains(target, "alice") {
					continue
				}
				c := canary()
				l.users.Fail(failure)
				method, path, _ := strings.Cut(target, " ")
				l.ask(method, path, fmt.Sprintf(body, c))
				l.askAs(method, path, fmt.Sprintf(body, c), "Authorization: "+c)
			}
		}
		for _, path := range reads {
			l.ask("GET", path, "")
		}
	}
	l.users.Fail(nil)
	// The last user that was stored has the password of one of the bodies.
	if !strings.Contains(l.users.Dump(), "HASH-") {
		t.Error("no password was ever stored")
	}
	for _, c := range canaries {
		if strings.Contains(l.users.Dump(), c) {
			t.Errorf("stored as it came: %s", c)
		}
	}
	// fasthttp logs errors of its own.
	for _, raw := range []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization : %s\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\x00\r\n\r\n",
		"POST /tyk/keys/alice HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\nAuthorization: %s\r\n\r\n",
		"POST /tyk/keys/%s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz%[1]s\r\n",
	} {
		before := strings.Count(l.log.String(), "\n")
		l.send(fmt.Sprintf(raw, canary()))
		// It logs after it has answered.
		for deadline := time.Now().Add(2 * time.Second); strings.Count(l.log.String(), "\n") == before && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}

	everything := l.said.String() + l.log.String()
	found := 0
	lookFor := func(what, text string) {
		t.Helper()
		if i := strings.Index(everything, text); i >= 0 && found < 10 {
			found++
			t.Errorf("%s is in an answer or the log: …%q…", what, everything[max(0, i-150):min(len(everything), i+80)])
		}
	}
	lookFor("the secret", secret)
	lookFor("a hash", "HASH-")
	lookFor("a sealed secret", "v1.")
	for _, c := range canaries {
		lookFor("a password", c)
		lookFor("a password in base64", base64.StdEncoding.EncodeToString([]byte(c)))
		lookFor("a password in hex", hex.EncodeToString([]byte(c)))
		lookFor("a password backwards", string(reversed([]byte(c))))
	}
	// A leak of a part of a password counts too.
	if i := bytes.Index([]byte(everything), []byte("canary")); i >= 0 {
		t.Errorf("a part of a password is in an answer or the log: …%q…", everything[max(0, i-150):min(len(everything), i+80)])
	}
}
