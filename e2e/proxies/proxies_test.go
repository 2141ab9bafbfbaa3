package proxies

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidekey/e2e/internal/proxytest"
	"sidekey/e2e/internal/sidekeytest"
)

// These tests run the configurations in examples/ with their proxies in front of the real program.
// They change only addresses, and the lines that they name.

// storyDate is the date of all signed requests, so that equal requests have equal signatures.
var storyDate = sidekeytest.Dated("Date", 0)

// story is a sequence of requests of one user. The name of the user is that of the story, with
// dashes; the password is "pw".
type story struct {
	name  string
	user  []string // members of the session; nil = the user does not exist
	steps []step
}

// step is one request and its expected result.
type step struct {
	first func(s *sidekeytest.Sidekey, user string) // happens before the request; nil = nothing

	as     string   // the password to send; "" = no credentials
	signs  string   // the secret to sign with; "" = not signed
	target string   // "" = /orders/1
	method string   // "" = GET
	header []string // further headers
	body   string

	status  int
	but     through           // different statuses through single proxies
	refusal string            // message of the error; ignored if the proxy refuses by itself
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
		name: "wrong password", user: []string{sidekeytest.Grants("orders")},
		steps: []step{
			{as: "wrong", status: 401, refusal: "User not authorised"},
			{as: "pw", status: 200},
			{as: "pw ", status: 401, refusal: "User not authorised"},
		},
	},
	{
		name: "right password",
		user: []string{sidekeytest.Grants("orders"), `"alias": "Zoë", "tags": ["gold", "eu"], "meta_data": {"developer_id": "d-7"}`},
		steps: []step{{as: "pw", target: "/orders/1?x=2&y=%2f", status: 200,
			app: map[string]string{
				"x-auth-user": "right-password", "x-auth-org": "default", "x-auth-alias": "Zoë", "x-auth-tags": "gold,eu",
				"x-auth-policies": "", "x-developer-id": "d-7",
			},
			answer: map[string]string{"X-Ratelimit-Limit": "-1", "X-Ratelimit-Remaining": "0", "Ratelimit": "", "Ratelimit-Policy": "", "Retry-After": ""},
		}},
	},
	{
		name: "every method", user: []string{sidekeytest.Grants("orders")},
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
		name: "API not granted", user: []string{sidekeytest.Grants("public")},
		steps: []step{
			{as: "pw", target: "/public", status: 200},
			{as: "pw", status: 403, refusal: "Access to this API has been disallowed"},
			{as: "pw", target: "/nowhere", status: 403, refusal: "API not found"},
		},
	},
	{
		name: "rate exceeded", user: []string{sidekeytest.Grants("orders"), `"rate": 2, "per": 60`},
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
		name: "quota exceeded", user: []string{sidekeytest.Grants("orders"), `"quota_max": 2, "quota_renewal_rate": 3600`},
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
		name: "deleted while running", user: []string{sidekeytest.Grants("orders")},
		steps: []step{
			{as: "pw", status: 200},
			{first: (*sidekeytest.Sidekey).DeleteUser, as: "pw", status: 401, refusal: "User not authorised"},
		},
	},
	{
		name: "changed while running", user: []string{sidekeytest.Grants("orders")},
		steps: []step{
			{as: "pw", status: 200},
			{first: func(s *sidekeytest.Sidekey, user string) {
				s.PutUser(user, sidekeytest.Session("new", sidekeytest.Grants("orders")))
			}, as: "pw", status: 401, refusal: "User not authorised"},
			{as: "new", status: 200},
			{first: func(s *sidekeytest.Sidekey, user string) {
				s.PutUser(user, sidekeytest.Session("new", sidekeytest.Grants("public")))
			}, as: "new", status: 403, refusal: "Access to this API has been disallowed"},
		},
	},
	{
		name: "expired", user: []string{sidekeytest.Grants("orders"), `"expires": 1`},
		steps: []step{{as: "pw", status: 401, refusal: "Key has expired, please renew"}},
	},
	{
		name: "inactive", user: []string{sidekeytest.Grants("orders"), `"is_inactive": true`},
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
		name: "two Authorization headers", user: []string{sidekeytest.Grants("orders")}, // NGINX refuses them without a check
		steps: []step{
			{as: "pw", header: []string{sidekeytest.Basic("two-Authorization-headers", "pw")}, status: 400},
			{as: "pw", header: []string{sidekeytest.Basic("another", "pw")}, status: 400},
			{as: "pw", header: []string{"authorization: Bearer x"}, status: 400},
			{as: "pw", status: 200},
		},
	},
	{
		name: "identity headers from the client", user: []string{sidekeytest.Grants("orders")},
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
		name: "hop-by-hop headers", user: []string{sidekeytest.Grants("orders")},
		steps: []step{
			{as: "pw", header: []string{"Connection: x-auth-user, x-auth-org"}, status: 200, app: map[string]string{"x-auth-org": "default"}},
			{as: "pw", header: []string{"Connection: x-forwarded-for, x-original-uri, x-original-method"}, status: 200, but: through{"envoy": 400}},
			{as: "pw", header: []string{"Connection: authorization"}, status: 401, but: through{"nginx": 200, "haproxy": 200}},
		},
	},
	{
		name: "another path in the headers", user: []string{sidekeytest.Grants("public")},
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
		name: "signed", user: []string{sidekeytest.Grants("signed", "orders"), `"hmac_enabled": true, "hmac_string": "secret-of-the-story"`},
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
		name: "body of a megabyte", user: []string{sidekeytest.Grants("orders")},
		steps: []step{{as: "pw", method: "POST", body: strings.Repeat("0123456789abcdef", 1<<16), status: 200}},
	},
	{
		name: "cookie of 5 kB", user: []string{sidekeytest.Grants("orders")},
		steps: []step{{as: "pw", header: []string{"Cookie: c=" + strings.Repeat("x", 5000)}, status: 200,
			app: map[string]string{"cookie": "c=" + strings.Repeat("x", 5000)}}},
	},
}

// elsewhere returns forged client headers of the kind with which proxies tell each other the path
// and the rest of a request.
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
	for _, p := range proxytest.Proxies {
		t.Run(p.Name, func(t *testing.T) {
			s := sidekeytest.Start(t, sidekeytest.StoryConfig)
			application := sidekeytest.StartUpstream(t)
			addr := p.Start(t, application.Addr, s.CheckAddr)
			for _, story := range stories {
				t.Run(story.name, func(t *testing.T) {
					user := strings.ReplaceAll(story.name, " ", "-")
					if story.user != nil {
						s.PutUser(user, sidekeytest.Session("pw", story.user...))
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
				s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("orders"), `"rate": 1, "per": 1, "quota_max": 1`))
				wrong, _ := sidekeytest.Send(t, addr, sidekeytest.Get("/orders/1", sidekeytest.Basic("ann", "wrong")))
				unknown, _ := sidekeytest.Send(t, addr, sidekeytest.Get("/orders/1", sidekeytest.Basic("bob", "wrong")))
				wrong.Header.Del("Date")
				unknown.Header.Del("Date")
				if wrong.Status != 401 || !reflect.DeepEqual(wrong, unknown) {
					t.Errorf("wrong password: %v\nunknown user:   %v", wrong, unknown)
				}
			})
		})
	}
}

// tell sends the request of a step and returns how the result differs, or "".
func (w step) tell(t *testing.T, p proxytest.Proxy, addr, user string, application *sidekeytest.Upstream) (wrong string) {
	t.Helper()
	m := sidekeytest.Message{Method: cmp.Or(w.method, "GET"), Target: cmp.Or(w.target, "/orders/1"), Header: w.header, Body: w.body}
	if w.as != "" {
		m.Header = append([]string{sidekeytest.Basic(user, w.as)}, m.Header...)
	}
	if w.signs != "" {
		m.Header = append(m.Header, "Host: localhost", storyDate, "Digest: SHA-256=x")
		m.Header = append(m.Header, sidekeytest.Signing{
			KeyID: "default" + user, Secret: w.signs, Algorithm: "hmac-sha256", Names: "(request-target) host date digest",
			Target: strings.ToLower(m.Method) + " " + m.Target, Host: "localhost", Header: m.Header,
		}.Authorization())
	}
	if status, is := w.but[p.Name]; is {
		w.status = status
	}
	got, ok := sidekeytest.Send(t, addr, m)
	if !ok || got.Status != w.status {
		return fmt.Sprintf("want %d, got %v", w.status, got)
	}
	for name, want := range w.answer {
		if w.status == 200 && p.Silent {
			want = ""
		}
		if !matches(got.Header.Values(name), want) {
			return fmt.Sprintf("%s at the client: want %q, got %q", name, want, got.Header.Values(name))
		}
	}
	challenges := len(got.Header.Values("Www-Authenticate"))
	if (challenges != 0) != (w.status == 401) || challenges > 1 {
		return fmt.Sprintf("WWW-Authenticate stands %d times in %v", challenges, got)
	}
	seen := application.Take()
	if w.status != 200 {
		return w.refused(got, seen)
	}
	return w.passed(m, user, got, seen)
}

func (w step) refused(got sidekeytest.Answer, seen []sidekeytest.Message) (wrong string) {
	if len(seen) > 0 {
		return fmt.Sprintf("refused, and the application was reached: %.500q", seen)
	}
	if w.refusal == "" {
		return ""
	}
	if want := `{"error": "` + w.refusal + `"}`; got.Body != want {
		return fmt.Sprintf("want %s, got %v", want, got)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"} {
		if !matches(got.Header.Values(name), want) {
			return fmt.Sprintf("%s at the client: want %q, got %q", name, want, got.Header.Values(name))
		}
	}
	return ""
}

func (w step) passed(sent sidekeytest.Message, user string, got sidekeytest.Answer, seen []sidekeytest.Message) (wrong string) {
	if len(seen) != 1 {
		return fmt.Sprintf("the application was reached %d times", len(seen))
	}
	at := seen[0]
	if at.Method != sent.Method || at.Target != sent.Target || at.Body != sent.Body {
		return fmt.Sprintf("sent %s %s and a body of %d bytes, the application saw %s %s and %d bytes",
			sent.Method, sent.Target, len(sent.Body), at.Method, at.Target, len(at.Body))
	}
	if sent.Method != "HEAD" && got.Body != "welcome" {
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

// folded returns the values of all headers that an application could confuse with the one of that
// name, because CGI-like gateways map all punctuation to the same character.
func folded(m sidekeytest.Message, name string) (values []string) {
	for _, line := range m.Header {
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

// matches compares the values of a header with those that a [step] expects.
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
	for _, p := range proxytest.Proxies {
		t.Run(p.Name, func(t *testing.T) {
			s := sidekeytest.Start(t, sidekeytest.Listeners+"limits.quota_exceeded_status = 429\n")
			s.PutUser("ann", sidekeytest.Session("pw", `"quota_max": 1, "quota_renewal_rate": 3600`))
			application := sidekeytest.StartUpstream(t)
			addr := p.Start(t, application.Addr, s.CheckAddr)
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

// If the configuration of the proxy names an API, that API is used, whatever the client requests.
func TestProxyNamesAPI(t *testing.T) {
	for _, p := range proxytest.Proxies {
		t.Run(p.Name, func(t *testing.T) {
			s := sidekeytest.Start(t, sidekeytest.StoryConfig)
			s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("orders")))
			s.PutUser("bob", sidekeytest.Session("pw", sidekeytest.Grants("public")))
			application := sidekeytest.StartUpstream(t)
			addr := p.Start(t, application.Addr, s.CheckAddr, p.Naming("orders"))
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

// If sidekey hangs or has ended, no request gets through.
func TestProxyWithoutSidekey(t *testing.T) {
	t.Parallel()
	for _, p := range proxytest.Proxies {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel() // Traefik waits 30 s for an answer
			s := sidekeytest.Start(t, sidekeytest.StoryConfig)
			s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("orders"), `"quota_max": 10, "quota_renewal_rate": 3600`))
			application := sidekeytest.StartUpstream(t)
			addr := p.Start(t, application.Addr, s.CheckAddr)
			tell := func(when string, step step) {
				t.Helper()
				if wrong := step.tell(t, p, addr, "ann", application); wrong != "" {
					t.Errorf("%s: %s", when, wrong)
				}
			}
			tell("running", step{as: "pw", status: 200})
			s.Process.Cmd.Process.Signal(syscall.SIGSTOP)
			impatient := http.Client{Timeout: 200 * time.Millisecond}
			s.Process.Await("it hangs", func() bool {
				answer, err := impatient.Get(s.AdminURL + "/readyz")
				if err == nil {
					answer.Body.Close()
				}
				return err != nil
			})
			without := through{"traefik": 500}
			tell("hanging", step{as: "pw", status: 503, but: without})
			s.Process.Cmd.Process.Signal(syscall.SIGCONT)
			tell("running again", step{as: "pw", status: 200})
			// If a proxy asked twice, two requests would be counted.
			counted, _ := sidekeytest.Send(t, s.CheckAddr, sidekeytest.Asked("/auth/forward", "ann"))
			if left, err := strconv.Atoi(counted.Header.Get("X-RateLimit-Remaining")); err != nil || left < 6 {
				t.Errorf("after four requests of ten: %v", counted)
			}
			s.Stop()
			tell("stopped", step{as: "pw", status: 503, but: without})
			tell("stopped, no credentials", step{status: 503, but: without})
		})
	}
}
