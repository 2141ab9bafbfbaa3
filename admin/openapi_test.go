package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"sidekey/admin/web"
	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/check"
	checkhttp "sidekey/check/http"
	"sidekey/internal/openapitest"
	"sidekey/limiter"
	"sidekey/store"
	"sidekey/store/memstore"
)

// described calls f for every operation of openapi.json, in order.
func described(t *testing.T, f func(t *testing.T, method, pattern string, o *openapi3.Operation)) {
	t.Helper()
	paths := openapitest.Sidekey().Paths.Map()
	for _, pattern := range slices.Sorted(maps.Keys(paths)) {
		operations := paths[pattern].Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			t.Run(method+pattern, func(t *testing.T) { f(t, method, pattern, operations[method]) })
		}
	}
}

// exampleOf returns a path with the examples of its parameters.
func exampleOf(t *testing.T, pattern string, o *openapi3.Operation) string {
	t.Helper()
	for _, p := range o.Parameters {
		if p.Value.In == "path" {
			pattern = strings.ReplaceAll(pattern, "{"+p.Value.Name+"}", url.PathEscape(fmt.Sprint(p.Value.Example)))
		}
	}
	if strings.Contains(pattern, "{") {
		t.Errorf("%s: not every parameter has an example", pattern)
	}
	return pattern
}

// Every route is in the document, and every operation of the document has a route.
func TestDocumentIsComplete(t *testing.T) {
	document := openapitest.Sidekey()
	if err := document.Validate(context.Background()); err != nil {
		t.Error(err)
	}
	for _, r := range routes {
		pattern := r.pattern
		if _, ofPage := web.Files[pattern]; ofPage && strings.HasPrefix(pattern, "/page/") {
			pattern = "/page/{file}"
		}
		if item := document.Paths.Value(pattern); item == nil || item.GetOperation(r.method) == nil {
			t.Errorf("%s %s is not in openapi.json", r.method, r.pattern)
		}
	}
	described(t, func(t *testing.T, method, pattern string, o *openapi3.Operation) {
		target := exampleOf(t, pattern, o)
		found, _, _, err := match(method, []byte(target))
		if err != nil {
			t.Fatalf("%s %s is not routed: %v", method, target, err)
		}
		if found.pattern != pattern && !strings.HasPrefix(found.pattern, "/page/") {
			t.Errorf("%s %s is routed to %s", method, pattern, found.pattern)
		}
	})
}

// documented starts a listener with the users and policies of the examples.
func documented(t *testing.T) *listener {
	t.Helper()
	l := start(t, func(c *Config) {
		checker := auth.NewChecker(c.Directory, c.Settings(), func() limiter.Now { return limiter.At(time.Now()) })
		h := check.NewHandler(checker, c.Log)
		failure, whole := c.Users.(*memstore.Store).Ready, c.Database
		c.Health = func() Health { return Health{Store: failure()} }
		c.Database.Check, c.Database.Compact = failing(failure, whole.Check), failing(failure, whole.Compact)
		c.Database.Backup = func() (*os.File, error) {
			if err := failure(); err != nil {
				return nil, err
			}
			return whole.Backup()
		}
		c.Explain = func(q auth.Question) (auth.Explanation, error) { return checkhttp.Explain(h, q) }
	})
	for target, body := range map[string]string{
		"/tyk/policies":   `{"id":"gold","rate":100,"per":1,"access_rights":{"orders":{}}}`,
		"/tyk/keys/alice": aUser,
	} {
		if a := l.ask("POST", target, body); a.status != 200 {
			t.Fatal(a)
		}
	}
	return l
}

// failing returns f, or the error of failure instead of its result.
func failing[T any](failure func() error, f func() (T, error)) func() (T, error) {
	return func() (T, error) {
		if err := failure(); err != nil {
			var none T
			return none, err
		}
		return f()
	}
}

// sentExample returns the example of the body of an operation; "" if it has none.
func sentExample(t *testing.T, o *openapi3.Operation) (text string, schema *openapi3.Schema) {
	t.Helper()
	if o.RequestBody == nil {
		return "", nil
	}
	for _, media := range o.RequestBody.Value.Content {
		if lines, ok := media.Example.(string); ok {
			return lines, openapitest.Sidekey().Components.Schemas["ImportLine"].Value
		}
		body, err := json.Marshal(media.Example)
		if err != nil || media.Example == nil {
			t.Fatalf("no example: %v", err)
		}
		text, schema = string(body), media.Schema.Value
	}
	return text, schema
}

// Each example in the document succeeds without a warning. The listener of the tests compares the answer
// with the document.
func TestDocumentedExamples(t *testing.T) {
	described(t, func(t *testing.T, method, pattern string, o *openapi3.Operation) {
		t.Parallel() // stopping a listener takes a moment
		l := documented(t)
		body, _ := sentExample(t, o)
		query := ""
		if o.RequestBody != nil && pattern != "/api/import" {
			query = "?strict=1"
		}
		a := l.ask(method, exampleOf(t, pattern, o)+query, body)
		if a.status != 200 || strings.Contains(strings.Join(a.header, "\n"), warningHeader) {
			t.Errorf("%s: %.1000v", body, a)
		}
	})
}

// Each failure in the document can be caused. That no others occur is checked by the listener of the
// tests. (TestDocumentedExamples has each 200.)
func TestDocumentedFailures(t *testing.T) {
	damage := func(l *listener, is bool) {
		l.users.Damage(session.Name{Org: "default", User: "alice"}, is)
	}
	described(t, func(t *testing.T, method, pattern string, o *openapi3.Operation) {
		t.Parallel()
		l := documented(t)
		target := exampleOf(t, pattern, o)
		body, _ := sentExample(t, o)
		if pattern == "/api/import" {
			body = `{"username":"alice","hash":"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"}`
		}
		fails := func(err error) answer {
			l.users.Fail(err)
			defer l.users.Fail(nil)
			return l.ask(method, target, body)
		}
		had := map[int]func() answer{
			400: func() answer { return l.ask(method, target, "", "Content-Length: many") },
			401: func() answer { return l.askAs(method, target, body, "Authorization: wrong") },
			403: func() answer { return l.ask(method, target, body, "Host: evil.com") },
			404: func() answer {
				if pattern == "/tyk/keys" {
					return l.ask(method, target+"?api_id=none", body)
				}
				return l.ask(method, inPath.ReplaceAllString(pattern, "none"), body)
			},
			409: func() answer {
				if pattern == "/api/compact" {
					return fails(ErrUnderWay)
				}
				if method == "DELETE" && (strings.HasSuffix(pattern, "/{keyID}") || pattern == "/tyk/keys/{username}") {
					alice := session.Name{Org: "default", User: "alice"}
					alike := alice.KeyID()
					if strings.HasPrefix(pattern, "/tyk") {
						alike = alice.Token()
					}
					l.ask("POST", "/api/apis/keys/basic/"+alike, aUser)
					defer l.ask("DELETE", "/api/apis/keys/basic/"+alike, "")
					return l.ask(method, inPath.ReplaceAllString(pattern, alike), "")
				}
				stored := l.policies
				l.policies = stored.WithFile([]session.Policy{{ID: "silver", OrgID: "default"}, {ID: "gold", OrgID: "default"}})
				defer func() { l.policies = stored }()
				damage(l, true)
				defer damage(l, false)
				return l.ask(method, target, body)
			},
			412: func() answer {
				if pattern == "/api/keys" {
					return l.ask(method, target+"?basic_auth=true", strings.Replace(body, "erin", "alice", 1), "If-None-Match: *")
				}
				return l.ask(method, target, body, "If-None-Match: *")
			},
			413: func() answer { return l.ask(method, target, "", "Content-Length: 2000000") },
			429: func() answer { // as many wrong secrets are being answered as may be
				l.handler.guard.awaiting.Add(maxAwaiting)
				defer l.handler.guard.awaiting.Add(-maxAwaiting)
				return l.askAs(method, target, body, "Authorization: wrong")
			},
			431: func() answer { return l.ask(method, target, body, "X-Much: "+strings.Repeat("x", 40<<10)) },
			500: func() answer { // whatever is called panics
				whole := l.handler.Config
				defer func() { l.handler.Config = whole }()
				l.handler.Config = Config{Org: whole.Org, Log: whole.Log, Decisions: func() map[string]uint64 { panic("broken") }}
				return l.ask(method, target, body)
			},
			503: func() answer { return fails(auth.ErrStoreDown) },
			507: func() answer {
				l.contrived = true // of a read
				defer func() { l.contrived = false }()
				return fails(fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, syscall.ENOSPC))
			},
		}
		for text := range o.Responses.Map() {
			if status, err := strconv.Atoi(text); err != nil || status != 200 && had[status] == nil {
				t.Errorf("%s is documented, but no test causes it", text)
			}
		}
		for _, status := range slices.Sorted(maps.Keys(had)) {
			a := had[status]()
			if o.Responses.Status(status) != nil && a.status != status {
				t.Errorf("%d is documented, and did not come: %.300v", status, a)
			}
		}
	})
}

var inPath = regexp.MustCompile(`\{[^}]*\}`)

// The comparison notices answers that differ from the document.
func TestDocumentNotices(t *testing.T) {
	l := documented(t)
	user := l.ask("GET", "/api/apis/keys/basic/alice", "").body
	f := func(right bool, method, target string, status int, body string, sent ...string) {
		t.Helper()
		err := openapitest.Check(openapitest.Exchange{
			Method: method, Target: target, Status: status, Body: []byte(body), Sent: []byte(strings.Join(sent, "")),
			Header: http.Header{"Content-Type": {"application/json"}},
		})
		if (err == nil) != right {
			t.Errorf("%s %s %d %.100s: %v", method, target, status, body, err)
		}
	}
	const one = "/api/apis/keys/basic/alice"
	f(true, "GET", one, 200, user)
	f(true, "GET", one+"/?raw=1", 200, user)
	f(true, "HEAD", one, 200, "")
	f(false, "HEAD", one, 204, "")
	f(false, "GET", one, 200, strings.Replace(user, `"rate":0,`, ``, 1))
	f(false, "GET", one, 200, strings.Replace(user, `"rate":`, `"more":1,"rate":`, 1))
	f(false, "GET", one, 200, strings.Replace(user, `"rate":`, `"rate":"5","rat":`, 1))
	f(false, "GET", one, 201, user)
	f(false, "GET", one, 418, dashboardError("x"))
	f(false, "GET", one, 412, dashboardError("x"))
	f(true, "GET", one, 404, dashboardError("x"))
	f(false, "GET", one, 404, gatewayError("x"))
	f(true, "POST", one, 200, user, `{"rate":5,"more":1,"alias":null}`)
	f(false, "POST", one, 200, user, `{"rate":"5"}`)
	f(false, "POST", one, 200, user, `{"access_rights":{"orders":{"allowed_urls":[{"url":"/","methods":[]}]}}}`)
	f(false, "POST", one, 200, user)
	f(true, "POST", one, 400, dashboardError("x"), `{"rate":"5"}`)
	f(true, "GET", "/api/nothing", 404, dashboardError("x"))
	f(false, "GET", "/api/nothing", 200, `{}`)
	f(false, "GET", "/api/nothing", 404, gatewayError("x"))
	f(false, "GET", "/nothing", 503, gatewayError("x"))
	f(true, "PUT", "/healthz", 405, gatewayError("x"))
	f(false, "POST", "/api/import", 200, `{"valid":0,"added":0,"changed":0,"refused":[],"warnings":[]}`, `{"username":5}`)
	f(false, "GET", "/healthz", 200, `{"status":"dead"}`)

	plain := openapitest.Exchange{Method: "GET", Target: "/healthz", Status: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(`{"status":"alive"}`)}
	if openapitest.Check(plain) == nil {
		t.Error("a wrong content type is not noticed")
	}
	raw, err := openapitest.Read("GET / HTTP/1.1\r\nHost: x\r\n\r\n", []byte("no answer"))
	if err == nil {
		t.Errorf("no answer is one: %v", raw)
	}
}

// The document is served unchanged as a file of the web page: on this machine without the secret, but
// not under another name.
func TestDocumentIsServed(t *testing.T) {
	l := start(t)
	a := l.askAs("GET", "/openapi.json", "")
	if a.status != 200 || !bytes.Equal([]byte(a.body), web.Files["/openapi.json"].Body) || !slices.Contains(a.header, "Content-Type: application/json") {
		t.Errorf("%.300v", a)
	}
	if a := l.askAs("GET", "/openapi.json", "", "Host: evil.com"); a.status != 403 {
		t.Errorf("%.300v", a)
	}
	if a := l.askAs("GET", "/openapi.json", "", "Sec-Fetch-Site: cross-site"); a.status != 403 {
		t.Errorf("%.300v", a)
	}
	if a := l.askAs("GET", "/openapi.json", "", "Authorization: wrong"); a.status != 401 {
		t.Errorf("%.300v", a)
	}
}
