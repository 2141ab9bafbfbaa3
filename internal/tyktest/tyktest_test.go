package tyktest

import (
	"net/http"
	"testing"

	"sidekey/internal/openapitest"
)

// Check finds the answers that differ from Tyk's description, and only those.
func TestCheck(t *testing.T) {
	f := func(method, target string, status int, body string, right bool) {
		t.Helper()
		err := Check(openapitest.Exchange{Method: method, Target: target, Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)})
		if (err == nil) != right {
			t.Errorf("%s %s %d %s: %v", method, target, status, body, err)
		}
	}
	const done = `{"Status":"OK","Message":"done","Meta":null}`
	f("DELETE", "/api/keys/x", 200, done, true)
	f("DELETE", "/api/keys/x/", 200, done, true)
	f("DELETE", "/api/keys/x?hashed=1", 200, done, true)
	f("DELETE", "/api/apis/keys/basic/x", 200, done, true)
	f("DELETE", "/api/keys/x", 200, `{"Status":"OK","Message":"done"}`, false)
	f("DELETE", "/api/keys/x", 200, `{"Status":"OK","Message":5,"Meta":null}`, false)
	f("DELETE", "/api/keys/x", 200, `{"Status":"OK","Message":"done","Meta":null,"more":1}`, false)
	f("DELETE", "/api/keys/x", 200, `{"status":"ok","message":"done"}`, false)
	f("DELETE", "/api/keys/x", 200, ``, false)
	f("DELETE", "/api/keys/x", 201, done, false)
	f("DELETE", "/api/keys/x", 418, done, false)
	f("GET", "/api/nothing", 404, done, true)
	f("GET", "/api/nothing", 404, `{"status":"error","message":""}`, false)
	f("GET", "/api/nothing", 200, done, false)
	f("GET", "/tyk/nothing", 404, `{"status":"error","message":""}`, true)
	f("GET", "/tyk/nothing", 404, done, false)
	f("GET", "/tyk/keys", 200, `{"keys":[]}`, true)
	f("GET", "/tyk/keys", 200, `{"keys":[1]}`, false)
	f("GET", "/tyk/keys", 200, `{}`, false)
	f("GET", "/tyk/keys", 401, `{"status":"error","message":""}`, false)
	f("GET", "/tyk/keys/x", 200, `{"rate":1,"access_rights":{"a":{"versions":["b"]}}}`, true)
	f("GET", "/tyk/keys/x", 200, `{"rate":"1"}`, false)
	f("GET", "/tyk/keys/x", 200, `{"rates":1}`, false)
	f("GET", "/tyk/keys/x", 200, `{"access_rights":{"a":{"version":["b"]}}}`, false)
	f("GET", "/tyk/keys/x", 200, `{"access_rights":{"a":{"versions":[5]}}}`, false)
	f("GET", "/hello", 200, `{"status":"well","version":"","description":"","details":{}}`, false)
	f("GET", "/healthz", 200, `anything`, true)

	err := Check(openapitest.Exchange{Method: "GET", Target: "/tyk/keys", Status: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(`{"keys":[]}`)})
	if err == nil {
		t.Error("a wrong content type is not noticed")
	}
}
