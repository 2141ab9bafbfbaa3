package proxies

import (
	"regexp"
	"strings"
	"testing"

	"sidekey/e2e/internal/proxytest"
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// plainHost is a Host header that all readers read alike.
var plainHost = regexp.MustCompile(`^([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+(:[0-9]+)?$|^\[[0-9A-Fa-f:]+\](:[0-9]+)?$`)

// forAdmin returns why some reader may take a request for one to admin.example.com, or "".
func forAdmin(m sidekeytest.Message) string {
	hosts := m.Values("Host")
	authority, _, absolute := strings.Cut(m.Target, "://")
	if absolute && !strings.Contains(authority, "/") {
		return "the target is absolute"
	}
	switch {
	case len(hosts) != 1:
		return "not one Host header"
	case !plainHost.MatchString(hosts[0]):
		return "readers differ on the host"
	case strings.HasPrefix(strings.ToLower(hosts[0]), "admin.example.com") && !strings.HasPrefix(hosts[0], "admin.example.com."):
		return "the host is admin.example.com"
	case !strings.HasPrefix(m.Target, "/") || len(m.Target) > 1 && strings.ContainsAny(m.Target[1:2], `/\;`):
		return "the target may name a host"
	}
	return ""
}

// T-101: through each proxy with its example configuration, a request that some reader takes for one
// to admin.example.com does not pass because of a right to the API for all other hosts.
func TestT101ProxyHosts(t *testing.T) {
	spellings := strings.Split(strings.TrimSuffix(testutil.ReadFile(t, "check/http/testdata/hosts.txt"), "\n"), "\n")
	if len(spellings) < 40 {
		t.Fatalf("only %d spellings", len(spellings))
	}
	const apis = `
[[apis]]
id = "any"
listen_path = "/"

[[apis]]
id = "admin"
listen_path = "/"
hosts = ["admin.example.com"]
`
	for _, p := range proxytest.Proxies {
		t.Run(p.Name, func(t *testing.T) {
			s := sidekeytest.Start(t, sidekeytest.Listeners+apis)
			s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("any")))
			application := sidekeytest.StartUpstream(t)
			addr := p.Start(t, application.Addr, s.CheckAddr)
			application.Take()
			try := func(m sidekeytest.Message) (sidekeytest.Answer, []sidekeytest.Message) {
				got, _ := sidekeytest.Send(t, addr, m)
				return got, application.Take()
			}
			ask := func(host string) (sidekeytest.Answer, []sidekeytest.Message) {
				return try(sidekeytest.Get("/x", "Host: "+host, sidekeytest.Basic("ann", "pw")))
			}

			for _, host := range []string{"example.com", "b.example.com:80", "127.0.0.1:8000", "[::1]", "admin.example.org", "xadmin.example.com", "my_app"} {
				if got, seen := ask(host); got.Status != 200 || len(seen) != 1 {
					t.Errorf("%s has to get through: %v", host, got)
				}
			}
			for _, host := range []string{"admin.example.com", "Admin.Example.COM:80", "admin.example.com."} {
				if got, seen := ask(host); got.Status != 403 || len(seen) != 0 {
					t.Errorf("%s: %v", host, got)
				}
			}
			refused := 0
			check := func(m sidekeytest.Message) {
				t.Helper()
				got, seen := try(m)
				if got.Status >= 500 {
					t.Errorf("%s %v: a client can cause %v", m.Target, m.Header, got)
				}
				if got.Status/100 == 2 && len(seen) == 0 && m.Target != "*" { // Go's net/http answers that itself
					t.Errorf("%s %v: %v, and the application was not reached", m.Target, m.Header, got)
				}
				if strings.Contains(got.Body, "Path not allowed") {
					refused++
				}
				for _, at := range seen {
					if wrong := forAdmin(at); wrong != "" {
						t.Errorf("%s %v: %s; the application got %s %v", m.Target, m.Header, wrong, at.Target, at.Header)
					}
				}
			}
			const admin, other = "Host: admin.example.com", "Host: b.example.com"
			for _, host := range spellings {
				check(sidekeytest.Get("/x", "Host: "+host, sidekeytest.Basic("ann", "pw")))
				// In the target, where it counts more than the Host header (RFC 9112, 3.2.2).
				check(sidekeytest.Get("http://"+host+"/x", "Host: "+host, sidekeytest.Basic("ann", "pw")))
				check(sidekeytest.Get("http://"+host+"/x", other, sidekeytest.Basic("ann", "pw")))
			}
			for _, target := range []string{
				"http://admin.example.com/x", "HTTP://admin.example.com:80/x", "https://admin.example.com/x", "//admin.example.com/x", "//h@admin.example.com/x", "///admin.example.com/x",
				`/\admin.example.com/x`, `\\admin.example.com/x`, "/;/admin.example.com/x", "/%2fadmin.example.com/x", "/%5cadmin.example.com/x", "/.//admin.example.com/x", "http:/admin.example.com/x", "//%61dmin.example.com/x",
			} {
				check(sidekeytest.Get(target, other, sidekeytest.Basic("ann", "pw")))
			}
			check(sidekeytest.Get("http://b.example.com/x", admin, sidekeytest.Basic("ann", "pw")))
			check(sidekeytest.Get("/x", other, admin, sidekeytest.Basic("ann", "pw")))
			check(sidekeytest.Get("/x", admin, other, sidekeytest.Basic("ann", "pw")))
			check(sidekeytest.Get("/x", "Host: ", sidekeytest.Basic("ann", "pw")))
			check(sidekeytest.Get("http://b.example.com", other, sidekeytest.Basic("ann", "pw")))
			check(sidekeytest.Get("http://b.example.com?x", other, sidekeytest.Basic("ann", "pw")))
			check(sidekeytest.Message{Method: "OPTIONS", Target: "*", Header: []string{other, sidekeytest.Basic("ann", "pw")}})
			if got, seen := try(sidekeytest.Get("http://b.example.com/x?y", other, sidekeytest.Basic("ann", "pw"))); got.Status != 200 || len(seen) != 1 || seen[0].Target != "/x?y" {
				t.Errorf("an absolute target of a host that is granted: %v; the application got %v", got, seen)
			}
			t.Logf("sidekey refused %d requests", refused)
		})
	}
}
