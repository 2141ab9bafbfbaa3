package proxies

import (
	"slices"
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
)

// tellsOfAnother are headers from which some applications take the host, the target or the method
// of a request: Rack, actix and Spring (Forwarded), Rails and Express (X-Forwarded-Host), Yii and
// others for IIS (X-Rewrite-URL, X-Original-URL), Laravel and Rails (X-HTTP-Method-Override).
var tellsOfAnother = []string{
	"Forwarded: host=admin.example.com", `forwarded: for=192.0.2.1;host="admin.example.com"`, "X-Forwarded-Host: admin.example.com", "x-forwarded-host: a.org, admin.example.com",
	"X-Host: admin.example.com", "X-HTTP-Host-Override: admin.example.com", "X-Original-Host: admin.example.com",
	"X-Original-URL: /admin", "x-original-url: /admin", "X-Rewrite-URL: /admin",
	"X-HTTP-Method: ADMIN", "X-HTTP-Method-Override: ADMIN", "x-http-method-override: ADMIN", "X-Method-Override: ADMIN",
}

// T-101, T-102: no header of a client tells the application of another host, target or method than
// those that were decided on.
func TestT101TellsOfAnother(t *testing.T) {
	for _, f := range fronts() {
		t.Run(f.name, func(t *testing.T) {
			s := sidekeytest.Start(t, sidekeytest.StoryConfig)
			s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("orders")))
			application := sidekeytest.StartUpstream(t)
			addr := f.start(t, application.Addr, s.CheckAddr)
			application.Take()
			for _, header := range append(slices.Clone(tellsOfAnother), strings.Join(tellsOfAnother, "\r\n")) {
				got, _ := sidekeytest.Send(t, addr, sidekeytest.Message{
					Method: "POST", Target: "/orders/1", Body: "x", Header: []string{sidekeytest.Basic("ann", "pw"), header},
				})
				seen := application.Take()
				if got.Status != 200 || len(seen) != 1 {
					t.Errorf("%q: %v; the application got %d requests", header, got, len(seen))
				}
				for _, m := range seen {
					if told := strings.ToLower(strings.Join(m.Header, "\n")); strings.Contains(told, "admin") {
						t.Errorf("%q: the application is told\n%s", header, told)
					}
				}
			}
		})
	}
}
