package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
)

const pageConfig = listeners + `
[[apis]]
id = "orders"
name = "Orders"
listen_path = "/orders"
versions = ["v1", "v2"]

[[apis]]
id = "rest"
name = "Everything else"
listen_path = "/"

[[apis]]
id = "login"
name = "Login API"
listen_path = "/login"

[[policies]]
id = "bronze"
name = "Bronze"
rate = 10.0
per = 60.0
quota_max = 1000
quota_renewal_rate = 86400
access_rights = { rest = {} }
`

// Everything that the web page offers is done once, in a real browser and on the real
// program.
func TestPage(t *testing.T) {
	s := startSidekey(t, pageConfig)
	var asked atomic.Int64
	b := startBrowser(t, s, map[string]http.HandlerFunc{
		"/api/decisions": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != s.Secret {
				http.Error(w, `{"Status":"Error","Message":"Not authorised","Meta":null}`, 401)
				return
			}
			n := asked.Add(1)
			fmt.Fprintf(w, `{"at": %d, "decisions": {"pass": %d, "bad_credentials": %d, "rate": %d, "url_not_granted": %d, "busy": 0}}`, 1_800_000_000_000+2000*n, 90*n, 7*n, 20*n, 4*n)
		},
	})
	for i := range 60 {
		s.putUser(fmt.Sprintf("user%02d", i), fmt.Sprintf(`{"rate":%d,"per":60,"quota_max":%d,"quota_renewal_rate":86400,"alias":"Person %d","tags":["edge","team-%d"],"basic_auth_data":{"password":"pw"}}`, i+1, 1000*(i+1), i, i%5))
	}
	b.login(s.Secret)
	b.awaitText("#users", "user05")
	b.look("users")
	b.open("#/users/default/user05", "user05")
	b.awaitText(".limits", "left")
	b.look("user")
	b.open("#/users/new", "New user")
	b.look("new")
	b.open("#/policies", "Policies")
	b.look("policies")
	b.open("#/policies/of/bronze", "Bronze")
	b.look("policy")
	b.open("#/apis", "APIs")
	b.look("apis")
	b.open("#/explain", "Explain")
	b.look("explain")
	b.await(`document.querySelectorAll("#pulse rect").length > 6`)
	b.open("#/decisions", "Decisions")
	b.look("decisions")
	b.check()
}
