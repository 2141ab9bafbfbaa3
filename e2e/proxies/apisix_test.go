package proxies

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// The requests that APISIX sends with examples/apisix.yaml, and the headers that the application
// gets. APISIX itself does not run here: the test interprets the example as APISIX does.
func TestAPISIXExample(t *testing.T) {
	var file struct {
		Routes []struct {
			Plugins struct {
				ForwardAuth struct {
					URI              string
					RequestHeaders   []string `yaml:"request_headers"`  // of the client; sidekey gets them
					UpstreamHeaders  []string `yaml:"upstream_headers"` // removed from the request, and set if sidekey sends them
					ClientHeaders    []string `yaml:"client_headers"`   // of a refusal; the client gets them
					AllowDegradation bool     `yaml:"allow_degradation"`
				} `yaml:"forward-auth"`
			}
		}
	}
	testutil.ReadYAML(t, "examples/apisix.yaml", &file)
	auth := file.Routes[0].Plugins.ForwardAuth
	if auth.AllowDegradation {
		t.Error("all requests pass while sidekey is down")
	}
	at, err := url.Parse(auth.URI)
	if err != nil {
		t.Fatal(err)
	}

	s := sidekeytest.Start(t, sidekeytest.StoryConfig)
	s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("orders"), `"rate": 1, "per": 60`, `"tags": ["gold"]`))
	ask := func(password string) sidekeytest.Answer {
		t.Helper()
		question := sidekeytest.Get(at.RequestURI(), "X-Forwarded-Method: POST", "X-Forwarded-Uri: /orders/1?x=2", "X-Forwarded-Proto: http",
			"X-Forwarded-Host: localhost", "X-Forwarded-For: 127.0.0.1")
		if slices.Contains(auth.RequestHeaders, "Authorization") {
			question.Header = append(question.Header, sidekeytest.Basic("ann", password))
		}
		got, _ := sidekeytest.Send(t, s.CheckAddr, question)
		return got
	}

	passed := ask("pw")
	if passed.Status != 200 {
		t.Fatalf("the right password: %v", passed)
	}
	application := http.Header{ // X_Auth_User is dropped by the NGINX that APISIX runs on
		"X-Auth-User": {"root"}, "X-Auth-Alias": {"root"}, "X-Developer-Id": {"root"}, "Authorization": {"Basic YW5uOnB3"},
	}
	for _, name := range auth.UpstreamHeaders {
		application.Del(name)
		if values := passed.Header.Values(name); len(values) > 0 {
			application.Set(name, values[0])
		}
	}
	for name, want := range map[string]string{
		"X-Auth-User": "ann", "X-Auth-Org": "default", "X-Auth-Tags": "gold", "X-Auth-Alias": "", "X-Auth-Policies": "",
		"X-Developer-Id": "", "Authorization": "",
	} {
		if got := application.Get(name); got != want {
			t.Errorf("%s at the application is %q, want %q", name, got, want)
		}
	}
	for _, c := range []struct {
		password string
		status   int
		shown    []string
	}{
		{"wrong", 401, []string{"WWW-Authenticate", "Content-Type", "Cache-Control"}},
		{"pw", 429, []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"}},
	} {
		refused := ask(c.password)
		if refused.Status != c.status {
			t.Errorf("password %s: %v, want %d", c.password, refused, c.status)
		}
		for _, name := range c.shown {
			if refused.Header.Get(name) == "" || !slices.ContainsFunc(auth.ClientHeaders, func(listed string) bool { return strings.EqualFold(listed, name) }) {
				t.Errorf("the client does not see %s of %v", name, refused)
			}
		}
	}
}
