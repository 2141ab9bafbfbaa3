package main

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// forwarding is what the example of a proxy that asks at /auth/forward makes of requests.
// The proxies themselves are not run here: the test does with the example what they do.
type forwarding struct {
	address       string
	own           []string // headers that the proxy adds besides the X-Forwarded ones of all
	sent          []string // headers of the client that sidekey gets; nil = all
	toApplication []string // taken off the request, and set where sidekey sends them
	takenOff      *regexp.Regexp
	toClient      []string // with a refusal; nil = all
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func readTraefik(t *testing.T) forwarding {
	var file struct {
		HTTP struct {
			Routers     map[string]struct{ Middlewares []string }
			Middlewares map[string]struct {
				ForwardAuth struct {
					Address                  string
					TrustForwardHeader       *bool    `yaml:"trustForwardHeader"`
					AuthResponseHeaders      []string `yaml:"authResponseHeaders"`
					AuthResponseHeadersRegex string   `yaml:"authResponseHeadersRegex"`
				} `yaml:"forwardAuth"`
			}
		}
	}
	readYAML(t, "examples/traefik.yaml", &file)
	if got := file.HTTP.Routers["application"].Middlewares; !slices.Equal(got, []string{"sidekey"}) {
		t.Errorf("the router's middlewares are %q", got)
	}
	auth := file.HTTP.Middlewares["sidekey"].ForwardAuth
	if auth.TrustForwardHeader == nil || *auth.TrustForwardHeader {
		t.Error("the client's X-Forwarded headers are believed")
	}
	return forwarding{
		own:     []string{"X-Forwarded-Port: 80", "X-Forwarded-Server: traefik", "X-Real-Ip: 127.0.0.1"},
		address: auth.Address, toApplication: auth.AuthResponseHeaders,
		takenOff: regexp.MustCompile(cmp.Or(auth.AuthResponseHeadersRegex, "^$")),
	}
}

func readAPISIX(t *testing.T) forwarding {
	var file struct {
		Routes []struct {
			Plugins struct {
				ForwardAuth struct {
					URI              string
					RequestHeaders   []string `yaml:"request_headers"`
					UpstreamHeaders  []string `yaml:"upstream_headers"`
					ClientHeaders    []string `yaml:"client_headers"`
					AllowDegradation bool     `yaml:"allow_degradation"`
				} `yaml:"forward-auth"`
			}
		}
	}
	readYAML(t, "examples/apisix.yaml", &file)
	auth := file.Routes[0].Plugins.ForwardAuth
	if auth.AllowDegradation {
		t.Error("everybody passes while sidekey is down")
	}
	return forwarding{
		address: auth.URI, sent: auth.RequestHeaders, toApplication: auth.UpstreamHeaders, toClient: auth.ClientHeaders,
		takenOff: regexp.MustCompile("_"), // by NGINX below
	}
}

// What Traefik and APISIX send for a request, and what the application gets of it.
func TestForwardExamples(t *testing.T) {
	for _, proxy := range []struct {
		name string
		read func(*testing.T) forwarding
	}{
		{"traefik", readTraefik},
		{"apisix", readAPISIX},
	} {
		t.Run(proxy.name, func(t *testing.T) {
			f := proxy.read(t)
			s := startSidekey(t, storyConfig)
			s.putUser("ann", session("pw", grants("orders"), `"rate": 1, "per": 60`, `"tags": ["gold"]`))
			client := http.Header{
				"X-Auth-User": {"root"}, "X-Auth-Alias": {"root"}, "X-Developer-Id": {"root"}, "X_auth_user": {"root"},
				"X-Forwarded-Uri": {"/public"}, "X-Forwarded-For": {"6.6.6.6"}, "Authorization": {"Basic YW5uOnB3"},
			}
			ask := func(password string) answer {
				t.Helper()
				at, err := url.Parse(f.address)
				if err != nil {
					t.Fatal(err)
				}
				question := get(at.RequestURI(), "X-Forwarded-Method: POST", "X-Forwarded-Uri: /orders/1?x=2", "X-Forwarded-Proto: http",
					"X-Forwarded-Host: localhost", "X-Forwarded-For: 127.0.0.1")
				question.header = append(question.header, f.own...)
				for name, values := range client {
					if name != "Authorization" && !strings.HasPrefix(name, "X-Forwarded-") && f.sent == nil {
						question.header = append(question.header, name+": "+values[0])
					}
				}
				if f.sent == nil || slices.Contains(f.sent, "Authorization") {
					question.header = append(question.header, basic("ann", password))
				}
				got, _ := send(t, s.CheckAddr, question)
				return got
			}

			passed := ask("pw")
			if passed.status != 200 {
				t.Fatalf("a right password: %v", passed)
			}
			application := client.Clone()
			maps.DeleteFunc(application, func(name string, _ []string) bool { return f.takenOff.MatchString(name) })
			for _, name := range f.toApplication {
				application.Del(name)
				if values := passed.header.Values(name); len(values) > 0 {
					application.Set(name, values[0])
				}
			}
			for name, want := range map[string]string{
				"X-Auth-User": "ann", "X-Auth-Org": "default", "X-Auth-Tags": "gold", "X-Auth-Alias": "", "X-Auth-Policies": "",
				"X-Developer-Id": "", "X_auth_user": "", "Authorization": "",
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
				if refused.status != c.status {
					t.Errorf("password %s: %v, want %d", c.password, refused, c.status)
				}
				for _, name := range c.shown {
					if refused.header.Get(name) == "" || f.toClient != nil && !slices.Contains(f.toClient, name) {
						t.Errorf("the client does not see %s of %v", name, refused)
					}
				}
			}
		})
	}
}
