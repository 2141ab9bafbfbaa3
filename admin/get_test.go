package admin

import (
	"regexp"
	"strings"
	"testing"
)

// T-71: no GET and no HEAD changes anything, whatever its body, and none shows the hash of a password.
func TestT71NoGetChangesAnything(t *testing.T) {
	reloads := 0
	l := start(t, func(c *Config) { c.Reload = func() error { reloads++; return nil } })
	const user = `{"alias":"x","org_id":"default","basic_auth_data":{"password":"pw"}}`
	if a := l.ask("POST", "/tyk/keys/alice", user); a.status != 200 {
		t.Fatal(a)
	}
	before := l.users.Dump()
	param := regexp.MustCompile(`\{[^}]*\}`)
	asked := 0
	for _, r := range routes {
		for _, name := range []string{"alice", "ghost", "defaultalice"} {
			target := param.ReplaceAllString(r.pattern, name)
			for _, query := range []string{"", "?suppress_reset=1&username=true&hashed=1&force=1&basic_auth=true&p=-1"} {
				for _, method := range []string{"GET", "HEAD"} {
					a := l.ask(method, target+query, strings.ReplaceAll(user, `"x"`, `"changed"`))
					asked++
					if strings.Contains(a.String(), "HASH-") || a.status >= 500 {
						t.Errorf("%s %s: %v", method, target+query, a)
					}
				}
			}
		}
	}
	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}
	if asked < 400 || reloads == 0 { // Tyk's own GET /tyk/reload reads a file that is there
		t.Errorf("%d requests, %d reloads", asked, reloads)
	}
}
