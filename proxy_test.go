package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The configurations in examples/, run by the proxies that they are for, in front of
// the real program. Nothing of them is changed but addresses, and where a test says so.

// proxy is one program that asks sidekey.
type proxy struct {
	name    string
	find    func() string // the program; "" = not here
	example string        // its configuration
	beside  []string      // further files of it, which stay as they are
	ask     string        // the text in it that ends with the path that sidekey is asked on

	// places says what in the example becomes which address.
	places func(client, application, check string) map[string]string
	args   func(dir, file, client string) []string

	ends   syscall.Signal // on what it ends with exit code 0; 0 = SIGTERM
	silent bool           // it cannot show the client what is left, with the application's answer
}

var proxies = []proxy{nginx, envoy, caddy, haproxy, traefik}

// findTool returns the program of that name: one that is installed, or the one in the Python
// package that .ci/tools installs; "" = neither is there.
func findTool(name, inPackage string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob(filepath.Join(".tools", name, inPackage))
	if len(found) > 0 {
		return found[0]
	}
	return ""
}

// start runs the proxy and returns where clients reach it. edits are further changes
// of the example, what stands there to what is wanted.
func (p proxy) start(t *testing.T, application, check string, edits ...map[string]string) (addr string) {
	t.Helper()
	path := p.find()
	if path == "" {
		cannotRun(t, p.name+" is not installed")
	}
	text, err := os.ReadFile(p.example)
	if err != nil {
		t.Fatal(err)
	}
	config, addr := string(text), freeAddr(t)
	for _, edit := range append(edits, p.places(addr, application, check)) {
		for old, wanted := range edit {
			if !strings.Contains(config, old) {
				t.Fatalf("%s has no %q", p.example, old)
			}
			config = strings.ReplaceAll(config, old, wanted)
		}
	}
	dir := t.TempDir()
	file := writeFile(t, dir, filepath.Base(p.example), config)
	for _, name := range p.beside {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, filepath.Base(name), string(text))
	}
	cmd := exec.Command(path, p.args(dir, file, addr)...)
	home := filepath.Join(dir, "home") // where Caddy writes, and Traefik looks for a configuration
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	process := startCommand(t, cmd)
	process.ends = cmp.Or(p.ends, syscall.SIGTERM)
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "error.log")); err == nil && t.Failed() {
			t.Logf("error.log of %s:\n%s", p.name, log)
		}
	})
	process.awaitPort(addr)
	process.await("it knows its routes", func() bool { // Traefik listens before it does
		got, _ := send(t, addr, get("/"))
		return got.status != http.StatusNotFound
	})
	return addr
}

// naming is the edit that names the API outright, as the example explains.
func (p proxy) naming(api string) map[string]string {
	end := p.ask[len(p.ask)-1:]
	return map[string]string{p.ask: strings.TrimSuffix(p.ask, end) + "@" + api + end}
}

// session is the body that creates a user with these members.
func session(password string, members ...string) string {
	members = append(members, fmt.Sprintf(`"org_id": "default", "basic_auth_data": {"password": %q}`, password))
	return "{" + strings.Join(members, ", ") + "}"
}

// grants are the access rights to these APIs.
func grants(apis ...string) string {
	var rights []string
	for _, api := range apis {
		rights = append(rights, fmt.Sprintf(`%q: {"api_id": %q, "versions": []}`, api, api))
	}
	return `"access_rights": {` + strings.Join(rights, ", ") + "}"
}

const storyConfig = listeners + `
check.meta_headers = { developer_id = "X-Developer-Id" }
check.hmac_clock_skew = "1h"

[[apis]]
id = "public"
listen_path = "/public"

[[apis]]
id = "orders"
listen_path = "/orders"
realm = "Orders"

[[apis]]
id = "signed"
listen_path = "/signed"
hmac = true

[[apis]]
id = "versioned"
listen_path = "/versioned"
versions = ["v1", "v2"]
default_version = "v1"
`

// storyDate is one and the same for all signed requests, so that two which are alike have
// one signature.
var storyDate = dated("Date", 0)

// story is what happens to one user. The name of the user is that of the story, with
// dashes; the password is "pw".
type story struct {
	name  string
	user  []string // members of the session; nil = there is no such user
	steps []step
}

// step is one request, and what becomes of it.
type step struct {
	first func(s *sidekey, user string) // happens before the request; nil = nothing

	as     string   // the password that is sent along; "" = no credentials
	signs  string   // the secret that the request is signed with; "" = with none
	target string   // "" = /orders/1
	method string   // "" = GET
	header []string // further headers
	body   string

	status  int
	but     through           // statuses through single proxies, where they are others
	refusal string            // message of the error; of no interest where the proxy refuses by itself
	answer  map[string]string // headers at the client: a value, "*" = any one value, "" = none
	app     map[string]string // headers at the application, by folded name; "" = none, or without value
}

// through are statuses by the names of proxies.
type through map[string]int

var stories = []story{
	{
		name: "no credentials",
		steps: []step{{status: 401, refusal: "Authorization field missing", answer: map[string]string{
			"Www-Authenticate": `Basic realm="Orders", charset="UTF-8"`, "X-Ratelimit-Limit": "", "Retry-After": "",
		}}},
	},
	{
		name: "unknown user",
		steps: []step{{as: "pw", status: 401, refusal: "User not authorised", answer: map[string]string{
			"Www-Authenticate": `Basic realm="Orders", charset="UTF-8"`, "X-Ratelimit-Limit": "",
		}}},
	},
	{
		name: "wrong password", user: []string{grants("orders")},
		steps: []step{
			{as: "wrong", status: 401, refusal: "User not authorised"},
			{as: "pw", status: 200},
			{as: "pw ", status: 401, refusal: "User not authorised"},
		},
	},
	{
		name: "right password",
		user: []string{grants("orders"), `"alias": "Zoë", "tags": ["gold", "eu"], "meta_data": {"developer_id": "d-7"}`},
		steps: []step{{as: "pw", target: "/orders/1?x=2&y=%2f", status: 200,
			app: map[string]string{
				"x-auth-user": "right-password", "x-auth-org": "default", "x-auth-alias": "Zoë", "x-auth-tags": "gold,eu",
				"x-auth-policies": "", "x-developer-id": "d-7",
			},
			answer: map[string]string{"X-Ratelimit-Limit": "-1", "X-Ratelimit-Remaining": "0", "Ratelimit": "", "Ratelimit-Policy": "", "Retry-After": ""},
		}},
	},
	{
		name: "every method", user: []string{grants("orders")},
		steps: []step{
			{as: "pw", method: "HEAD", status: 200},
			{as: "pw", method: "POST", body: "x=1", status: 200},
			{as: "pw", method: "PUT", body: "x=1", status: 200},
			{as: "pw", method: "PATCH", body: "x=1", status: 200},
			{as: "pw", method: "DELETE", status: 200},
			{as: "pw", method: "OPTIONS", status: 200},
			{as: "pw", method: "PROPFIND", status: 200},
			{as: "wrong", method: "POST", body: "x=1", status: 401, refusal: "User not authorised"},
			{as: "wrong", method: "HEAD", status: 401},
			{method: "OPTIONS", status: 401, refusal: "Authorization field missing"},
		},
	},
	{
		name: "API not granted", user: []string{grants("public")},
		steps: []step{
			{as: "pw", target: "/public", status: 200},
			{as: "pw", status: 403, refusal: "Access to this API has been disallowed"},
			{as: "pw", target: "/nowhere", status: 403, refusal: "API not found"},
		},
	},
	{
		name: "rate exceeded", user: []string{grants("orders"), `"rate": 2, "per": 60`},
		steps: []step{
			{as: "pw", status: 200, answer: map[string]string{"Ratelimit-Policy": `"rate";q=2;w=60`, "Ratelimit": "*", "Retry-After": ""}},
			{as: "pw", status: 200, answer: map[string]string{"X-Ratelimit-Limit": "*", "X-Ratelimit-Remaining": "*", "X-Ratelimit-Reset": "*"}},
			{as: "pw", status: 429, refusal: "Rate Limit Exceeded", answer: map[string]string{
				"Retry-After": "*", "X-Ratelimit-Limit": "*", "X-Ratelimit-Remaining": "*", "X-Ratelimit-Reset": "*",
				"Ratelimit-Policy": `"rate";q=2;w=60`, "Ratelimit": "*",
			}},
			{as: "wrong", status: 401, refusal: "User not authorised", answer: map[string]string{"Retry-After": "", "Ratelimit": ""}},
		},
	},
	{
		name: "quota exceeded", user: []string{grants("orders"), `"quota_max": 2, "quota_renewal_rate": 3600`},
		steps: []step{
			{as: "pw", status: 200, answer: map[string]string{"X-Ratelimit-Limit": "2", "X-Ratelimit-Remaining": "1", "X-Ratelimit-Reset": "*"}},
			{as: "pw", status: 200, answer: map[string]string{"X-Ratelimit-Limit": "2", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "*"}},
			{as: "pw", status: 403, refusal: "Quota exceeded", answer: map[string]string{
				"Retry-After": "*", "X-Ratelimit-Limit": "2", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "*",
				"Ratelimit-Policy": `"quota";q=2;w=3600`, "Ratelimit": "*",
			}},
		},
	},
	{
		name: "deleted while running", user: []string{grants("orders")},
		steps: []step{
			{as: "pw", status: 200},
			{first: (*sidekey).deleteUser, as: "pw", status: 401, refusal: "User not authorised"},
		},
	},
	{
		name: "changed while running", user: []string{grants("orders")},
		steps: []step{
			{as: "pw", status: 200},
			{first: func(s *sidekey, user string) { s.putUser(user, session("new", grants("orders"))) }, as: "pw", status: 401, refusal: "User not authorised"},
			{as: "new", status: 200},
			{first: func(s *sidekey, user string) { s.putUser(user, session("new", grants("public"))) }, as: "new", status: 403, refusal: "Access to this API has been disallowed"},
		},
	},
	{
		name: "expired", user: []string{grants("orders"), `"expires": 1`},
		steps: []step{{as: "pw", status: 401, refusal: "Key has expired, please renew"}},
	},
	{
		name: "inactive", user: []string{grants("orders"), `"is_inactive": true`},
		steps: []step{{as: "pw", status: 403, refusal: "Key is inactive, please renew"}},
	},
	{
		name: "malformed Authorization",
		steps: []step{
			{header: []string{"Authorization: Basic %%%"}, status: 400, but: through{"nginx": 401}, refusal: "Attempted access with malformed header, auth data not encoded correctly"},
			{header: []string{"Authorization: Basic"}, status: 400, but: through{"nginx": 401}, refusal: "Attempted access with malformed header, header not in basic auth format"},
			{header: []string{"Authorization: Basic bm9jb2xvbg=="}, status: 400, but: through{"nginx": 401}, refusal: "Attempted access with malformed header, values not in basic auth format"},
			{header: []string{"Authorization: Bearer abc"}, status: 400, but: through{"nginx": 401}, refusal: "Attempted access with malformed header, header not in basic auth format"},
		},
	},
	{
		name: "two Authorization headers", user: []string{grants("orders")}, // NGINX refuses them without asking
		steps: []step{
			{as: "pw", header: []string{basic("two-Authorization-headers", "pw")}, status: 400},
			{as: "pw", header: []string{basic("somebody", "pw")}, status: 400},
			{as: "pw", header: []string{"authorization: Bearer x"}, status: 400},
			{as: "pw", status: 200},
		},
	},
	{
		name: "identity headers from the client", user: []string{grants("orders")},
		steps: []step{
			{
				as: "pw", status: 200,
				header: []string{
					"X-Auth-User: root", "x-auth-user: root", "X-AUTH-USER: root", "X-Auth-Org: evil", "x-auth-alias: root", "X-Auth-Tags: admin",
					"X-Auth-Policies: all", "X-Developer-Id: root", "x-developer-id: root",
				},
				app: map[string]string{"x-auth-org": "default", "x-auth-alias": "", "x-auth-tags": "", "x-auth-policies": "", "x-developer-id": ""},
			},
			{
				as: "pw", status: 200,
				header: []string{"X.Auth.User: root", "x.auth.alias: root", "X-Auth.User: root", "X!Auth~User: root"},
				app:    map[string]string{"x-auth-alias": ""},
			},
			{
				as: "pw", status: 200, but: through{"envoy": 400},
				header: []string{"X_Auth_User: root", "X-Auth_Alias: root"},
				app:    map[string]string{"x-auth-alias": ""},
			},
		},
	},
	{
		name: "hop-by-hop headers", user: []string{grants("orders")},
		steps: []step{
			{as: "pw", header: []string{"Connection: x-auth-user, x-auth-org"}, status: 200, app: map[string]string{"x-auth-org": "default"}},
			{as: "pw", header: []string{"Connection: x-forwarded-for, x-original-uri, x-original-method"}, status: 200, but: through{"envoy": 400}},
			{as: "pw", header: []string{"Connection: authorization"}, status: 401, but: through{"nginx": 200, "haproxy": 200}},
		},
	},
	{
		name: "another path in the headers", user: []string{grants("public")},
		steps: []step{
			{as: "pw", status: 403, header: elsewhere("/public"), refusal: "Access to this API has been disallowed"},
			{as: "pw", target: "/public", status: 200, header: elsewhere("/orders")},
		},
	},
	{
		name: "version of an API", user: []string{`"access_rights": {"versioned": {"api_id": "versioned", "versions": ["v1"]}}`},
		steps: []step{
			{as: "pw", target: "/versioned", status: 200},
			{as: "pw", target: "/versioned", header: []string{"X-Api-Version: v1"}, status: 200, app: map[string]string{"x-api-version": "v1"}},
			{as: "pw", target: "/versioned", header: []string{"x-api-version: v2"}, status: 403, refusal: "Access to this API has been disallowed"},
			{as: "pw", target: "/versioned", header: []string{"x-api-version: v3"}, status: 403, refusal: "This API version does not seem to exist"},
			{as: "pw", target: "/versioned", header: []string{"x-api-version: v1", "x-api-version: v2"}, status: 403, refusal: "This API version does not seem to exist"},
		},
	},
	{
		name: "signed", user: []string{grants("signed", "orders"), `"hmac_enabled": true, "hmac_string": "secret-of-the-story"`},
		steps: []step{
			{signs: "secret-of-the-story", target: "/signed/1?x=2", status: 200},
			{signs: "secret-of-the-story", target: "/signed/1?x=2", status: 401, refusal: "User not authorised"}, // a replay
			{signs: "another-secret", target: "/signed/2", status: 401, refusal: "User not authorised"},
			{signs: "secret-of-the-story", target: "/signed/3", method: "POST", body: "x=1", status: 200},
			{signs: "secret-of-the-story", target: "/orders/1", status: 400, but: through{"nginx": 401}, refusal: "Attempted access with malformed header, header not in basic auth format"},
			{as: "pw", target: "/signed/4", status: 401, refusal: "User not authorised"},
		},
	},
	{
		name: "body of a megabyte", user: []string{grants("orders")},
		steps: []step{{as: "pw", method: "POST", body: strings.Repeat("0123456789abcdef", 1<<16), status: 200}},
	},
	{
		name: "cookie of 5 kB", user: []string{grants("orders")},
		steps: []step{{as: "pw", header: []string{"Cookie: c=" + strings.Repeat("x", 5000)}, status: 200,
			app: map[string]string{"cookie": "c=" + strings.Repeat("x", 5000)}}},
	},
}

// elsewhere are headers by which proxies tell each other the path and the rest of a
// request, sent by a client.
func elsewhere(path string) []string {
	return []string{
		"X-Original-URI: " + path, "X-Original-Uri: " + path, "X-Original-Method: OPTIONS", "X-Original-URL: " + path, "X-Rewrite-URL: " + path,
		"X-Forwarded-Uri: " + path, "X-Forwarded-Method: OPTIONS", "X-Forwarded-Host: elsewhere", "X-Forwarded-Proto: https",
		"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 10.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1;host=elsewhere",
		"X-Envoy-Original-Path: " + path, "X-Envoy-Internal: true", "X-Envoy-External-Address: 127.0.0.1",
		"X-Error-Status: 200", "X-Auth-Request-Redirect: " + path, "Referer: " + path, "User-Agent: kube-probe/1.0",
	}
}

func TestProxies(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			s := startSidekey(t, storyConfig)
			application := startUpstream(t)
			addr := p.start(t, application.Addr, s.CheckAddr)
			for _, story := range stories {
				t.Run(story.name, func(t *testing.T) {
					user := strings.ReplaceAll(story.name, " ", "-")
					if story.user != nil {
						s.putUser(user, session("pw", story.user...))
					}
					for i, step := range story.steps {
						if step.first != nil {
							step.first(s, user)
						}
						if got := step.tell(t, p, addr, user, application); got != "" {
							t.Errorf("step %d: %s", i+1, got)
						}
					}
				})
			}
			t.Run("unknown user and wrong password are the same bytes", func(t *testing.T) {
				s.putUser("ann", session("pw", grants("orders"), `"rate": 1, "per": 1, "quota_max": 1`))
				wrong, _ := send(t, addr, get("/orders/1", basic("ann", "wrong")))
				unknown, _ := send(t, addr, get("/orders/1", basic("bob", "wrong")))
				wrong.header.Del("Date")
				unknown.header.Del("Date")
				if wrong.status != 401 || !reflect.DeepEqual(wrong, unknown) {
					t.Errorf("wrong password: %v\nunknown user:   %v", wrong, unknown)
				}
			})
		})
	}
}

// tell sends the request of a step and returns what is wrong with what became of it.
func (w step) tell(t *testing.T, p proxy, addr, user string, application *upstream) (wrong string) {
	t.Helper()
	m := message{method: cmp.Or(w.method, "GET"), target: cmp.Or(w.target, "/orders/1"), header: w.header, body: w.body}
	if w.as != "" {
		m.header = append([]string{basic(user, w.as)}, m.header...)
	}
	if w.signs != "" {
		m.header = append(m.header, "Host: localhost", storyDate, "Digest: SHA-256=x")
		m.header = append(m.header, signing{
			keyID: "default" + user, secret: w.signs, algorithm: "hmac-sha256", names: "(request-target) host date digest",
			target: strings.ToLower(m.method) + " " + m.target, host: "localhost", header: m.header,
		}.authorization())
	}
	if status, is := w.but[p.name]; is {
		w.status = status
	}
	got, ok := send(t, addr, m)
	if !ok || got.status != w.status {
		return fmt.Sprintf("want %d, got %v", w.status, got)
	}
	for name, want := range w.answer {
		if w.status == 200 && p.silent {
			want = ""
		}
		if !matches(got.header.Values(name), want) {
			return fmt.Sprintf("%s at the client: want %q, got %q", name, want, got.header.Values(name))
		}
	}
	challenges := len(got.header.Values("Www-Authenticate"))
	if (challenges != 0) != (w.status == 401) || challenges > 1 {
		return fmt.Sprintf("WWW-Authenticate stands %d times in %v", challenges, got)
	}
	seen := application.take()
	if w.status != 200 {
		return w.refused(got, seen)
	}
	return w.passed(m, user, got, seen)
}

func (w step) refused(got answer, seen []message) (wrong string) {
	if len(seen) > 0 {
		return fmt.Sprintf("refused, and the application was reached: %.500q", seen)
	}
	if w.refusal == "" {
		return ""
	}
	if want := `{"error": "` + w.refusal + `"}`; got.body != want {
		return fmt.Sprintf("want %s, got %v", want, got)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"} {
		if !matches(got.header.Values(name), want) {
			return fmt.Sprintf("%s at the client: want %q, got %q", name, want, got.header.Values(name))
		}
	}
	return ""
}

func (w step) passed(sent message, user string, got answer, seen []message) (wrong string) {
	if len(seen) != 1 {
		return fmt.Sprintf("the application was reached %d times", len(seen))
	}
	at := seen[0]
	if at.method != sent.method || at.target != sent.target || at.body != sent.body {
		return fmt.Sprintf("sent %s %s and a body of %d bytes, the application saw %s %s and %d bytes",
			sent.method, sent.target, len(sent.body), at.method, at.target, len(at.body))
	}
	if sent.method != "HEAD" && got.body != "welcome" {
		return fmt.Sprintf("the client did not get the application's body: %v", got)
	}
	want := map[string]string{"x-auth-user": user, "authorization": ""}
	maps.Copy(want, w.app)
	for name, want := range want {
		if values := folded(at, name); strings.Join(values, "|") != want {
			return fmt.Sprintf("%s at the application: want %q, got %q", name, want, values)
		}
	}
	return ""
}

// folded returns the values of all headers that some application could take for the
// one of that name: gateways to scripts make the same sign of all these.
func folded(m message, name string) (values []string) {
	for _, line := range m.header {
		n, value, _ := strings.Cut(line, ":")
		n = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '-'
		}, strings.ToLower(n))
		if n == name {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// matches compares the values of a header with what [step] wants of it.
func matches(values []string, want string) bool {
	switch {
	case want == "":
		return len(values) == 0
	case len(values) != 1:
		return false
	}
	return values[0] == want || want == "*" && values[0] != ""
}

func TestProxyQuotaStatus(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			s := startSidekey(t, listeners+"limits.quota_exceeded_status = 429\n")
			s.putUser("ann", session("pw", `"quota_max": 1, "quota_renewal_rate": 3600`))
			application := startUpstream(t)
			addr := p.start(t, application.Addr, s.CheckAddr)
			for _, step := range []step{
				{as: "pw", status: 200},
				{as: "pw", status: 429, refusal: "Quota exceeded", answer: map[string]string{"Retry-After": "*", "X-Ratelimit-Limit": "1", "X-Ratelimit-Remaining": "0"}},
			} {
				if wrong := step.tell(t, p, addr, "ann", application); wrong != "" {
					t.Error(wrong)
				}
			}
		})
	}
}

// An API that the proxy's configuration names is the one, whatever the client asks for.
func TestProxyNamesAPI(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			s := startSidekey(t, storyConfig)
			s.putUser("ann", session("pw", grants("orders")))
			s.putUser("bob", session("pw", grants("public")))
			application := startUpstream(t)
			addr := p.start(t, application.Addr, s.CheckAddr, p.naming("orders"))
			for _, target := range []string{"/orders/1", "/public/1", "/", "/@public", "/orders@public/1?api=public"} {
				granted := step{as: "pw", target: target, status: 200}
				if wrong := granted.tell(t, p, addr, "ann", application); wrong != "" {
					t.Errorf("ann, %s: %s", target, wrong)
				}
				refused := step{as: "pw", target: target, status: 403, refusal: "Access to this API has been disallowed"}
				if wrong := refused.tell(t, p, addr, "bob", application); wrong != "" {
					t.Errorf("bob, %s: %s", target, wrong)
				}
			}
		})
	}
}

// Without sidekey nobody gets through: neither when it hangs nor when it is gone.
func TestProxyWithoutSidekey(t *testing.T) {
	t.Parallel()
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel() // Traefik waits 30 s for an answer
			s := startSidekey(t, storyConfig)
			s.putUser("ann", session("pw", grants("orders"), `"quota_max": 10, "quota_renewal_rate": 3600`))
			application := startUpstream(t)
			addr := p.start(t, application.Addr, s.CheckAddr)
			tell := func(when string, step step) {
				t.Helper()
				if wrong := step.tell(t, p, addr, "ann", application); wrong != "" {
					t.Errorf("%s: %s", when, wrong)
				}
			}
			tell("running", step{as: "pw", status: 200})
			s.process.cmd.Process.Signal(syscall.SIGSTOP)
			impatient := http.Client{Timeout: 200 * time.Millisecond}
			s.process.await("it hangs", func() bool {
				answer, err := impatient.Get(s.AdminURL + "/readyz")
				if err == nil {
					answer.Body.Close()
				}
				return err != nil
			})
			without := through{"traefik": 500}
			tell("hanging", step{as: "pw", status: 503, but: without})
			s.process.cmd.Process.Signal(syscall.SIGCONT)
			tell("running again", step{as: "pw", status: 200})
			// A proxy that asks a second time has a second request counted.
			counted, _ := send(t, s.CheckAddr, asked("/auth/forward", "ann"))
			if left, err := strconv.Atoi(counted.header.Get("X-RateLimit-Remaining")); err != nil || left < 6 {
				t.Errorf("after four requests of ten: %v", counted)
			}
			s.stop()
			tell("stopped", step{as: "pw", status: 503, but: without})
			tell("stopped, no credentials", step{status: 503, but: without})
		})
	}
}
