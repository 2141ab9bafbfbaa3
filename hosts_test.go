package main

import (
	"regexp"
	"strings"
	"testing"
)

// plainHost is a Host header that all readers read alike.
var plainHost = regexp.MustCompile(`^([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+(:[0-9]+)?$|^\[[0-9A-Fa-f:]+\](:[0-9]+)?$`)

// forAdmin says why a request that the application got may be one to admin.example.com for
// some reader; "" = it is not.
func forAdmin(m message) string {
	hosts := m.values("Host")
	authority, _, absolute := strings.Cut(m.target, "://")
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
	case !strings.HasPrefix(m.target, "/") || len(m.target) > 1 && strings.ContainsAny(m.target[1:2], `/\;`):
		return "the target may name a host"
	}
	return ""
}

// T-101: through each proxy as it is shipped, what some reader takes for admin.example.com
// does not pass by a right to the API for all other hosts.
func TestT101ProxyHosts(t *testing.T) {
	spellings := strings.Split(strings.TrimSuffix(mustReadFile(t, "testdata/hosts.txt"), "\n"), "\n")
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
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			s := startSidekey(t, listeners+apis)
			s.putUser("ann", session("pw", grants("any")))
			application := startUpstream(t)
			addr := p.start(t, application.Addr, s.CheckAddr)
			application.take()
			try := func(m message) (answer, []message) {
				got, _ := send(t, addr, m)
				return got, application.take()
			}
			ask := func(host string) (answer, []message) {
				return try(get("/x", "Host: "+host, basic("ann", "pw")))
			}

			for _, host := range []string{"example.com", "b.example.com:80", "127.0.0.1:8000", "[::1]", "admin.example.org", "xadmin.example.com", "my_app"} {
				if got, seen := ask(host); got.status != 200 || len(seen) != 1 {
					t.Errorf("%s has to get through: %v", host, got)
				}
			}
			for _, host := range []string{"admin.example.com", "Admin.Example.COM:80", "admin.example.com."} {
				if got, seen := ask(host); got.status != 403 || len(seen) != 0 {
					t.Errorf("%s: %v", host, got)
				}
			}
			refused := 0
			check := func(m message) {
				t.Helper()
				got, seen := try(m)
				if got.status >= 500 {
					t.Errorf("%s %v: a client can cause %v", m.target, m.header, got)
				}
				if got.status/100 == 2 && len(seen) == 0 && m.target != "*" { // Go's net/http answers that itself
					t.Errorf("%s %v: %v, and the application was not reached", m.target, m.header, got)
				}
				if strings.Contains(got.body, "Path not allowed") {
					refused++
				}
				for _, at := range seen {
					if wrong := forAdmin(at); wrong != "" {
						t.Errorf("%s %v: %s; the application got %s %v", m.target, m.header, wrong, at.target, at.header)
					}
				}
			}
			const admin, other = "Host: admin.example.com", "Host: b.example.com"
			for _, host := range spellings {
				check(get("/x", "Host: "+host, basic("ann", "pw")))
				// In the target, where it counts more than the Host header (RFC 9112, 3.2.2).
				check(get("http://"+host+"/x", "Host: "+host, basic("ann", "pw")))
				check(get("http://"+host+"/x", other, basic("ann", "pw")))
			}
			for _, target := range []string{
				"http://admin.example.com/x", "HTTP://admin.example.com:80/x", "https://admin.example.com/x", "//admin.example.com/x", "//h@admin.example.com/x", "///admin.example.com/x",
				`/\admin.example.com/x`, `\\admin.example.com/x`, "/;/admin.example.com/x", "/%2fadmin.example.com/x", "/%5cadmin.example.com/x", "/.//admin.example.com/x", "http:/admin.example.com/x", "//%61dmin.example.com/x",
			} {
				check(get(target, other, basic("ann", "pw")))
			}
			check(get("http://b.example.com/x", admin, basic("ann", "pw")))
			check(get("/x", other, admin, basic("ann", "pw")))
			check(get("/x", admin, other, basic("ann", "pw")))
			check(get("/x", "Host: ", basic("ann", "pw")))
			check(get("http://b.example.com", other, basic("ann", "pw")))
			check(get("http://b.example.com?x", other, basic("ann", "pw")))
			check(message{method: "OPTIONS", target: "*", header: []string{other, basic("ann", "pw")}})
			if got, seen := try(get("http://b.example.com/x?y", other, basic("ann", "pw"))); got.status != 200 || len(seen) != 1 || seen[0].target != "/x?y" {
				t.Errorf("an absolute target of a host that is granted: %v; the application got %v", got, seen)
			}
			t.Logf("sidekey refused %d requests", refused)
		})
	}
}
