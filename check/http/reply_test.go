package http

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/session"
)

var dialectNames = []string{"envoy", "nginx", "forward"}

// reply is a refusal as the contract has it.
type reply struct {
	status  int // that the client should see
	message string
	header  []string // besides those of every refusal
	realm   string   // of the challenge that a 401 carries
}

// in returns the reply in a dialect. NGINX accepts only 401 and 403; it gets 401 for malformed
// credentials.
func (r reply) in(dialect string) answer {
	status := r.status
	if dialect == "nginx" {
		switch status {
		case 401:
		case 400:
			status = 401
		default:
			status = 403
		}
	}
	header := append([]string{
		"Cache-Control: no-store",
		"Content-Type: application/json",
		"X-Error-Message: " + r.message,
		fmt.Sprintf("X-Error-Status: %d", r.status),
	}, r.header...)
	if status == 401 && r.realm != "" {
		header = append(header, fmt.Sprintf(`WWW-Authenticate: Basic realm="%s", charset="UTF-8"`, r.realm))
	}
	slices.Sort(header)
	return answer{status, header, `{"error": "` + r.message + `"}`}
}

// changing are the numbers that depend on the time.
var changing = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`(X-RateLimit-Reset|Retry-After): [1-9][0-9]*`), "$1: N"},
	{regexp.MustCompile(`;t=[1-9][0-9]*`), ";t=N"},
}

func fixed(a answer) string {
	text := a.String()
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.word)
	}
	return text
}

// Every reason in every dialect, the whole reply.
func TestReplies(t *testing.T) {
	hash := fakeHash{Bcrypt: password.Bcrypt(8), hold: make(chan struct{}), holding: make(chan struct{}, 1)}
	for _, dialect := range dialectNames {
		t.Run(dialect, func(t *testing.T) {
			l := start(t)
			f := func(what string, want reply, method, target string, header ...string) {
				t.Helper()
				if got, want := fixed(l.ask(dialect, method, target, header...)), want.in(dialect).String(); got != want {
					t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
				}
			}
			named := func(api string) func(what string, want reply, header ...string) {
				return func(what string, want reply, header ...string) {
					t.Helper()
					got := fixed(l.ask(dialect+"@"+api, "GET", "/", header...))
					if want := want.in(dialect).String(); got != want {
						t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
					}
				}
			}

			ambiguous := reply{status: 403, message: "Path not allowed"}
			f("ambiguous_path", ambiguous, "GET", "/orders/..%2frest")
			f("ambiguous_path beats all behind it", ambiguous, "GET", "/a/%zz", basic("unknown", "x"))

			noAPI := reply{status: 403, message: "API not found"}
			f("unknown_api", noAPI, "GET", "/off")
			named("off")("unknown_api", noAPI)
			named("nothing")("unknown_api", noAPI, basic("unknown", "x"))

			noVersion := reply{status: 403, message: "This API version does not seem to exist"}
			f("unknown_version", noVersion, "GET", "/orders", "X-Api-Version: v9")
			named("orders")("unknown_version", noVersion, "X-Api-Version: v9", basic("unknown", "x"))

			f("no_credentials", reply{status: 401, message: "Authorization field missing", realm: "Rest"}, "GET", "/")
			f("no_credentials", reply{status: 401, message: "Authorization field missing", realm: "Orders"}, "POST", "/orders/1?x=y")

			malformed := func(text string) reply {
				return reply{status: 400, message: "Attempted access with malformed header, " + text, realm: "Rest"}
			}
			f("another scheme", malformed("header not in basic auth format"), "GET", "/", "Authorization: Bearer x")
			f("nothing behind the scheme", malformed("header not in basic auth format"), "GET", "/", "Authorization: Basic")
			f("two spaces", malformed("header not in basic auth format"), "GET", "/", "Authorization: Basic  YTpi")
			f("three words", malformed("header not in basic auth format"), "GET", "/", "Authorization: Basic YTpi YTpi")
			f("two headers", malformed("header not in basic auth format"), "GET", "/", login("alice"), login("alice"))
			f("no base64", malformed("auth data not encoded correctly"), "GET", "/", "Authorization: Basic !!!!")
			f("no padding", malformed("auth data not encoded correctly"), "GET", "/", "Authorization: Basic YTpiYw")
			f("bits left over", malformed("auth data not encoded correctly"), "GET", "/", "Authorization: Basic YTpiYx==")
			f("no colon", malformed("values not in basic auth format"), "GET", "/", "Authorization: Basic YWFh")
			f("no user", malformed("values not in basic auth format"), "GET", "/", basic("", "x"))
			f("no password", malformed("values not in basic auth format"), "GET", "/", basic("alice", ""))
			f("a line end", malformed("values not in basic auth format"), "GET", "/", basic("alice", "pw\n"))

			wrong := reply{status: 401, message: "User not authorised", realm: "Rest"}
			l.add("alice", session.Session{QuotaMax: 5, Rate: 1, Per: 60, Tags: []string{"t"}})
			f("bad_credentials: unknown user", wrong, "GET", "/", basic("unknown", "x"))
			f("bad_credentials: wrong password", wrong, "GET", "/", basic("alice", "x"))

			l.add("inactive", session.Session{IsInactive: true, Expires: 1, QuotaMax: 5})
			f("inactive", reply{status: 403, message: "Key is inactive, please renew"}, "GET", "/", login("inactive"))
			l.add("expired", session.Session{Expires: 1, QuotaMax: 5, AccessRights: map[string]session.Right{"orders": {}}})
			f("expired", reply{status: 401, message: "Key has expired, please renew", realm: "Rest"}, "GET", "/", login("expired"))

			l.add("elsewhere", session.Session{AccessRights: map[string]session.Right{"orders": {Versions: []string{"v2"}}}})
			notGranted := reply{status: 403, message: "Access to this API has been disallowed"}
			f("api_not_granted: API", notGranted, "GET", "/", login("elsewhere"))
			f("api_not_granted: version", notGranted, "GET", "/orders", login("elsewhere"), "X-Api-Version: v1")
			f("api_not_granted: default version", notGranted, "GET", "/orders", login("elsewhere"))

			l.add("reader", session.Session{AccessRights: map[string]session.Right{"rest": {AllowedURLs: []session.AllowedURL{{URL: "/read/*", Methods: []string{"GET"}}}}}})
			notThere := reply{status: 403, message: "Access to this resource has been disallowed"}
			f("url_not_granted: path", notThere, "GET", "/write", login("reader"))
			f("url_not_granted: method", notThere, "POST", "/read/x", login("reader"))

			l.add("slow", session.Session{Rate: 1, Per: 60, QuotaMax: 3, QuotaRenewalRate: 3600})
			l.ask(dialect, "GET", "/", login("slow"))
			f("rate", reply{status: 429, message: "Rate Limit Exceeded", header: []string{
				"Retry-After: N",
				"X-RateLimit-Limit: 3", "X-RateLimit-Remaining: 2", "X-RateLimit-Reset: N",
				`RateLimit-Policy: "rate";q=1;w=60, "quota";q=3;w=3600`,
				`RateLimit: "rate";r=0;t=N, "quota";r=2;t=N`,
			}}, "GET", "/", login("slow"))

			l.add("spent", session.Session{QuotaMax: 1, QuotaRenewalRate: 3600})
			l.ask(dialect, "GET", "/", login("spent"))
			used := []string{
				"X-RateLimit-Limit: 1", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: N",
				`RateLimit-Policy: "quota";q=1;w=3600`, `RateLimit: "quota";r=0;t=N`, "Retry-After: N",
			}
			f("quota", reply{status: 403, message: "Quota exceeded", header: used}, "GET", "/", login("spent"))
			l.setReplies(auth.Replies{QuotaStatus: 429})
			f("quota as 429", reply{status: 429, message: "Quota exceeded", header: used}, "GET", "/", login("spent"))
			l.add("forever", session.Session{QuotaMax: 1})
			l.ask(dialect, "GET", "/", login("forever"))
			f("quota that never renews", reply{status: 429, message: "Quota exceeded", header: []string{
				"X-RateLimit-Limit: 1", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 0",
				`RateLimit-Policy: "quota";q=1`, `RateLimit: "quota";r=0`,
			}}, "GET", "/", login("forever"))

			l.add("one", session.Session{})
			l.add("other", session.Session{QuotaMax: 7, QuotaRenewalRate: 3600})
			l.ask(dialect, "GET", "/crowded", login("one"))
			f("api_rate", reply{status: 429, message: "API Rate Limit Exceeded", header: []string{
				"Retry-After: N",
				"X-RateLimit-Limit: 7", "X-RateLimit-Remaining: 7", "X-RateLimit-Reset: 0",
				`RateLimit-Policy: "quota";q=7;w=3600`, `RateLimit: "quota";r=7`,
			}}, "GET", "/crowded", login("other"))

			l.users.Fail(auth.ErrStoreDown)
			f("unavailable", reply{status: 503, message: "Not ready", header: []string{"Retry-After: N"}}, "GET", "/", login("not loaded yet"))
			// A remembered password is not affected.
			if a := l.ask(dialect, "GET", "/", login("one")); a.status != 200 {
				t.Errorf("a user who is known while the store is down: %v", a)
			}
		})
	}

	// busy needs a hash that takes its time.
	l := start(t, func(o *options) { o.hash, o.slots, o.wait = hash, 1, 0 })
	l.add("alice", session.Session{})
	if a := l.ask("envoy", "GET", "/", login("alice")); a.status != 200 {
		t.Fatal(a)
	}
	slow := make(chan answer)
	go func() { slow <- l.ask("envoy", "GET", "/", basic("alice", "slow")) }()
	<-hash.holding
	for _, dialect := range dialectNames {
		busy := reply{status: 429, message: "Too many logins in progress", header: []string{"Retry-After: N"}}
		for _, user := range []string{"alice", "unknown"} {
			if got, want := fixed(l.ask(dialect, "GET", "/", basic(user, "x"))), busy.in(dialect).String(); got != want {
				t.Errorf("busy: got\n%s\nwant\n%s", got, want)
			}
		}
		if a := l.ask(dialect, "GET", "/", login("alice")); a.status != 200 {
			t.Errorf("a remembered right password while others wait: %v", a)
		}
	}
	close(hash.hold)
	if a := <-slow; a.status != 401 {
		t.Errorf("the one that took its time: %v", a)
	}
}

// An admitted request: the identity is always in all headers, even if they are empty.
func TestAdmitted(t *testing.T) {
	l := start(t, func(o *options) { o.meta = map[string]string{"developer": "X-Developer-Id", "plan": "X-Plan"} })
	l.add("plain", session.Session{})
	l.add("full", session.Session{
		Alias: "Zoë, the first", Tags: []string{"edge", "edge-eu"}, Rate: 10, Per: 60, QuotaMax: 100, QuotaRenewalRate: 3600,
		MetaData: map[string]jsontext.Value{"developer": jsontext.Value(`"dev 7"`), "plan": jsontext.Value(`{"a":1}`), "other": jsontext.Value(`"hidden"`)},
	})
	f := func(user, dialect string, want ...string) {
		t.Helper()
		want = append(want, "Cache-Control: no-store", "X-Auth-User: "+user, "X-Auth-Org: default", "X-Auth-Policies: ")
		slices.Sort(want)
		got := fixed(l.ask(dialect, "GET", "/", login(user)))
		if want := (answer{200, want, ""}).String(); got != want {
			t.Errorf("%s, %s: got\n%s\nwant\n%s", user, dialect, got, want)
		}
	}
	const strip = "X-Envoy-Auth-Headers-To-Remove: authorization"
	nothing := []string{"X-Auth-Alias: ", "X-Auth-Tags: ", "X-Developer-Id: ", "X-Plan: ", "X-RateLimit-Limit: -1", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 0"}
	f("plain", "envoy", append(nothing, strip)...)
	f("plain", "nginx", nothing...)
	f("plain", "forward", nothing...)
	full := func(rate, quota int) []string {
		return []string{
			"X-Auth-Alias: Zoë, the first", "X-Auth-Tags: edge,edge-eu", "X-Developer-Id: dev 7", `X-Plan: {"a":1}`,
			"X-RateLimit-Limit: 100", fmt.Sprintf("X-RateLimit-Remaining: %d", quota), "X-RateLimit-Reset: N",
			`RateLimit-Policy: "rate";q=10;w=60, "quota";q=100;w=3600`, fmt.Sprintf(`RateLimit: "rate";r=%d;t=N, "quota";r=%d;t=N`, rate, quota),
		}
	}
	f("full", "envoy", append(full(9, 99), strip)...)
	f("full", "nginx", full(8, 98)...)
	f("full", "forward", full(7, 97)...)
	// The rate in Tyk's headers, and no header to remove.
	l.setReplies(auth.Replies{QuotaStatus: 403, RateInHeaders: true})
	rate := full(6, 96)
	rate[4], rate[5] = "X-RateLimit-Limit: 10", "X-RateLimit-Remaining: 6"
	f("full", "envoy", rate...)
	f("plain", "envoy", nothing...)

	// Headers that a client sends under these names do not come back.
	a := l.ask("envoy", "GET", "/", login("plain"), "X-Auth-Alias: admin", "X-Auth-Tags: admin", "X-Auth-User: admin", "X-Developer-Id: 1", "x_auth_user: admin", "X.Auth.User: admin")
	if strings.Contains(a.String(), "admin") || a.get("X-Auth-User") != "plain" {
		t.Errorf("identity headers of the client: %v", a)
	}
	// HEAD is a method like any other; its reply has no body.
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get"} {
		raw := l.send(request("envoy", method, "/", login("plain"), "Connection: close"))
		if !strings.HasPrefix(raw, "HTTP/1.1 200 ") || !strings.HasSuffix(raw, "\r\n\r\n") {
			t.Errorf("%s: %q", method, raw)
		}
	}
	if raw := l.send(request("envoy", "HEAD", "/", basic("plain", "x"), "Connection: close")); !strings.HasPrefix(raw, "HTTP/1.1 401 ") || !strings.HasSuffix(raw, "\r\n\r\n") {
		t.Errorf("HEAD: %q", raw)
	}
}

// No reply reveals the server's software.
func TestNoServerHeader(t *testing.T) {
	l := start(t)
	l.add("alice", session.Session{})
	for _, raw := range []string{
		request("envoy", "GET", "/", login("alice"), "Connection: close"),
		request("envoy", "GET", "/", "Connection: close"),
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"nonsense\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n",
	} {
		if a := l.send(raw); strings.Contains(strings.ToLower(a), "\r\nserver:") || strings.Contains(a, "fasthttp") {
			t.Errorf("%.100q: %q", raw, a)
		}
	}
}

// If a proxy omits or repeats a setting, the request is refused in its dialect, and one log line
// names the setting, however often the proxy asks.
func TestProxyConfig(t *testing.T) {
	sources := map[string]map[string]string{
		"envoy": {
			"X-Forwarded-For": `dialect=envoy missing="allowed_headers: x-forwarded-for (and use_remote_address: true)"`,
		},
		"nginx": {
			"X-Original-Method": `dialect=nginx missing="proxy_set_header X-Original-Method $request_method"`,
			"X-Original-URI":    `dialect=nginx missing="proxy_set_header X-Original-URI $request_uri"`,
			"X-Forwarded-For":   `dialect=nginx missing="proxy_set_header X-Forwarded-For $remote_addr"`,
		},
		"forward": {
			"X-Forwarded-Method": `dialect=forward missing=X-Forwarded-Method`,
			"X-Forwarded-Uri":    `dialect=forward missing=X-Forwarded-Uri`,
			"X-Forwarded-Host":   `dialect=forward missing=X-Forwarded-Host`,
			"X-Forwarded-For":    `dialect=forward missing=X-Forwarded-For`,
		},
	}
	for dialect, settings := range sources {
		for name, logged := range settings {
			t.Run(dialect+" "+name, func(t *testing.T) {
				l := start(t)
				l.add("alice", session.Session{})
				whole := request(dialect, "GET", "/", login("alice"), "Connection: close")
				if a := parseAnswer(t, l.send(whole)); a.status != 200 {
					t.Fatal(a)
				}
				line := regexp.MustCompile(`(?m)^` + name + `: .*\r\n`)
				found := line.FindString(whole)
				want := reply{status: 403, message: "Request metadata missing"}.in(dialect).String()
				lower := strings.ToLower(name)
				for what, changed := range map[string]string{
					"missing":      line.ReplaceAllString(whole, ""),
					"empty":        line.ReplaceAllString(whole, name+":\r\n"),
					"a space":      line.ReplaceAllString(whole, name+":  \r\n"),
					"twice":        line.ReplaceAllString(whole, strings.ReplaceAll(found+found, "$", "$$")),
					"twice, cases": line.ReplaceAllString(whole, found+lower+": /other\r\n"),
					"underscores":  line.ReplaceAllString(whole, strings.ReplaceAll(found, "-", "_")),
				} {
					if got := parseAnswer(t, l.send(changed)).String(); got != want {
						t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
					}
				}
				for range 50 {
					l.send(line.ReplaceAllString(whole, ""))
				}
				log := l.log.String()
				if n := strings.Count(log, "a required proxy header is missing or repeated"); n != 1 || !strings.Contains(log, logged) {
					t.Errorf("%d lines in the log, want one with %s:\n%s", n, logged, log)
				}
			})
		}
	}
	// A path that names no dialect, and one that continues after it.
	l := start(t)
	l.add("alice", session.Session{})
	want := reply{status: 403, message: "Request metadata missing"}
	for _, target := range []string{"/", "/healthz", "/auth", "/auth/", "/auth/other", "/auth/nginxx", "/auth/nginx/", "/auth/nginx/x", "/auth/nginx@rest/x", "/auth/forward/", "/auth/forward@rest/", "/auth/envoy", "/auth/envoy?x", "/auth/envoy@rest", "/auth/envoyx/", "/AUTH/envoy/", "/auth/ENVOY/", "//auth/envoy/", "/auth//envoy/", "/x/../auth/envoy/", "/auth/%65nvoy/", "/auth/envoy%2f"} {
		all := "X-Original-Method: GET\r\nX-Original-URI: /\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-For: 192.0.2.1\r\n"
		a := parseAnswer(t, l.send("GET "+target+" HTTP/1.1\r\nHost: example.com\r\n"+all+login("alice")+"\r\nConnection: close\r\n\r\n"))
		if a.String() != want.in("forward").String() {
			t.Errorf("%s: got\n%v", target, a)
		}
	}
	// The client's query, which Caddy appends, means nothing.
	for _, query := range []string{"?", "?x=y", "?@orders", "?/auth/envoy/"} {
		for _, dialect := range []string{"nginx", "forward", "nginx@rest", "forward@rest"} {
			raw := strings.Replace(request(dialect, "GET", "/", login("alice"), "Connection: close"), " HTTP/1.1", query+" HTTP/1.1", 1)
			if a := parseAnswer(t, l.send(raw)); a.status != 200 {
				t.Errorf("%s with %s: %v", dialect, query, a)
			}
		}
	}
}

// No dialect reads what another's proxies set, and nothing that a client can choose changes what
// is decided on.
func TestOtherHeadersDoNotMatter(t *testing.T) {
	l := start(t)
	l.add("alice", session.Session{AccessRights: map[string]session.Right{"rest": {}}})
	lures := []string{
		"User-Agent: kube-probe/1.30", "User-Agent: GoogleHC/1.0", "Origin: http://localhost", "Referer: http://localhost/healthz",
		"X-Real-IP: 127.0.0.1", "X-Client-IP: 127.0.0.1", "Forwarded: for=127.0.0.1;host=localhost;proto=https", "X-Forwarded-Prefix: /orders", "X-Forwarded-Port: 443", "X-Forwarded-Proto: https",
		"X-Original-URL: /", "X-Rewrite-URL: /", "X-HTTP-Method-Override: OPTIONS", "X-Envoy-Original-Path: /", "X-Envoy-Internal: true", "X_Original_URI: /", "X.Original.URI: /", "X-Forwarded_Uri: /",
		"X-Auth-User: admin", "X-Sidekey-Admin: 1", "Proxy-Authorization: Basic YTpi", "Cookie: Authorization=Basic", "Connection: x-forwarded-for", "Connection: authorization, x-original-uri",
		"Via: 1.1 localhost", "Upgrade: websocket", "Expect: 100-continue", "Range: bytes=0-0", "If-None-Match: *", "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT", "TE: trailers", "Max-Forwards: 0",
	}
	foreign := map[string][]string{
		"envoy":   {"X-Original-URI: /", "X-Original-Method: OPTIONS", "X-Forwarded-Uri: /", "X-Forwarded-Host: other.example.com", "X-Forwarded-Method: OPTIONS"},
		"nginx":   {"X-Forwarded-Uri: /", "X-Forwarded-Host: other.example.com", "X-Forwarded-Method: OPTIONS"},
		"forward": {"X-Original-URI: /", "X-Original-Method: OPTIONS"},
	}
	for _, dialect := range dialectNames {
		for _, target := range []string{"/", "/orders", "/off"} {
			for _, credentials := range [][]string{nil, {login("alice")}, {basic("alice", "x")}} {
				want := l.ask(dialect, "GET", target, credentials...).String()
				for _, lure := range append(lures, foreign[dialect]...) {
					if got := l.ask(dialect, "GET", target, append([]string{lure}, credentials...)...).String(); got != want {
						t.Errorf("%s %s with %q: got\n%s\nwithout it\n%s", dialect, target, lure, got, want)
					}
				}
			}
		}
	}
}

// The log of the check listener never has credentials in it, even if fasthttp complains about the
// request that they were in.
func TestNoCredentialsInLog(t *testing.T) {
	l := start(t, func(o *options) {
		o.server.ReadTimeout, o.server.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond
	})
	l.add("alice", session.Session{})
	l.users.panics.Store("boom")
	secrets := []string{"c2VjcmV0", "canary"}
	for _, raw := range []string{
		"GET /auth/envoy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic canary c2VjcmV0\x00\r\n\r\n",
		"GET /auth/envoy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic canary\rc2VjcmV0\r\n\r\n",
		"GET /auth/envoy/ HTTP/1.1\r\nHost: x\r\nAuthorization : Basic canary c2VjcmV0\r\n\r\n",
		"GET /auth/envoy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic canary c2VjcmV0\nX: y\r\n\r\n",
		"GET /auth/envoy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic canary c2VjcmV0\r\nContent-Length: x\r\n\r\n",
		"GET /auth/envoy/ HTTP/1.1\r\nHost: x\r\nContent-Length: canary\r\n\r\n",
		"GET /auth/envoy/ HTTP/1.1\r\nHost: canary canary\r\n\r\n",
		"GET /auth/envoy/?token=canary HTTP/9\r\nHost: x\r\n\r\n",
		"GET /auth/envoy/?token=canary\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /auth/envoy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic canary c2VjcmV0\r\nX: " + strings.Repeat("y", 70_000) + "\r\n\r\n",
		"canary c2VjcmV0\r\n\r\n",
		"GET /auth/envoy/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: canary\r\n\r\n",
		"POST /auth/envoy/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzcanary\r\n",
		request("envoy", "GET", "/?canary", basic("boom", "canary"), "Connection: close"),
		request("nginx", "GET", "/?canary", basic("alice", "canary"), "Connection: close"),
		strings.Replace(request("nginx", "GET", "/?canary", basic("alice", "canary"), "Connection: close"), "X-Original-URI", "X-Other", 1),
	} {
		before := strings.Count(l.log.String(), "\n")
		l.send(raw)
		for deadline := time.Now().Add(200 * time.Millisecond); strings.Count(l.log.String(), "\n") == before && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	for line := range strings.Lines(l.log.String()) {
		for _, secret := range secrets {
			if strings.Contains(line, secret) {
				t.Errorf("in the log: %.300s", line)
			}
		}
	}
	if !strings.Contains(l.log.String(), "BUG: a check panicked") {
		t.Error("the panic is not in the log")
	}
}

// RateLimit and RateLimit-Policy are lists of structured fields (RFC 9651): an integer has at
// most 15 digits. A parser drops the whole header otherwise.
func TestRateLimitFieldsCanBeParsed(t *testing.T) {
	l := start(t)
	number := regexp.MustCompile(`[0-9]+`)
	f := func(user string, s session.Session) {
		t.Helper()
		l.add(user, s)
		a := l.ask("envoy", "GET", "/", login(user))
		if a.status != 200 {
			t.Errorf("%s: %v", user, a)
		}
		for _, name := range []string{"RateLimit", "RateLimit-Policy"} {
			for _, n := range number.FindAllString(a.get(name), -1) {
				if len(n) > 15 {
					t.Errorf("%s: %s: %s", user, name, a.get(name))
				}
			}
		}
	}
	f("large quota", session.Session{QuotaMax: 1 << 62, QuotaRenewalRate: 3600})
	f("largest quota", session.Session{QuotaMax: 1<<63 - 1, QuotaRenewalRate: 1<<63 - 1})
	f("large rate", session.Session{Rate: 1e18, Per: 1})
	f("long window", session.Session{Rate: 1, Per: 1e300})
}
