package proxies

import (
	"fmt"
	"net"
	"testing"

	"sidekey/e2e/internal/proxytest"
	"sidekey/e2e/internal/sidekeytest"
)

// Requests that only NGINX accepts: HTTP/1.0 names no host, and an absolute target overrules the
// host that is named. sidekey must get the host that NGINX uses in both cases.
func TestNGINXHost(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners+`
[[apis]]
id = "orders"
hosts = ["orders.example"]

[[apis]]
id = "any"
`)
	s.PutUser("ann", `{"basic_auth_data": {"password": "pw-of-ann"}, "access_rights": {"any": {"api_id": "any", "versions": []}}}`)
	application := sidekeytest.StartUpstream(t)
	addr := proxytest.NGINX.Start(t, application.Addr, s.CheckAddr)
	ann := sidekeytest.Basic("ann", "pw-of-ann")

	for _, c := range []struct {
		name, request string
		status        string
		host          string // at the application; "" = no request reached it
	}{
		{"named", "GET / HTTP/1.1\r\nHost: any.example:99\r\n", "200", "any.example"},
		{"of an API that is not granted", "GET / HTTP/1.1\r\nHost: orders.example\r\n", "403", ""},
		{"in capitals with a port", "GET / HTTP/1.1\r\nHost: ORDERS.example:99\r\n", "403", ""},
		{"with a dot at its end", "GET / HTTP/1.1\r\nHost: orders.example.\r\n", "403", ""},
		{"none in HTTP/1.0", "GET / HTTP/1.0\r\n", "200", "_"},
		{"in an absolute target", "GET http://orders.example/ HTTP/1.1\r\nHost: any.example\r\n", "403", ""},
		{"overruled by an absolute target", "GET http://any.example/ HTTP/1.1\r\nHost: orders.example\r\n", "200", "any.example"},
		{"twice", "GET / HTTP/1.1\r\nHost: any.example\r\nHost: orders.example\r\n", "400", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			connection, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			fmt.Fprintf(connection, "%s%s\r\nConnection: close\r\n\r\n", c.request, ann)
			var status string
			if _, err := fmt.Fscanf(connection, "HTTP/1.1 %s", &status); err != nil || status != c.status {
				t.Errorf("status %q (%v), want %s", status, err, c.status)
			}
			seen := application.Take()
			switch {
			case c.host == "" && len(seen) > 0:
				t.Errorf("the application was reached: %q", seen)
			case c.host != "" && len(seen) != 1:
				t.Errorf("the application was reached %d times", len(seen))
			case c.host != "" && seen[0].Values("Host")[0] != c.host:
				t.Errorf("the application saw host %q, want %q", seen[0].Values("Host"), c.host)
			}
		})
	}
}

// NGINX passes invalid header values on. sidekey refuses to read them, and the client must get that
// refusal like any other.
func TestNGINXUnreadableRequest(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners)
	s.PutUser("ann", sidekeytest.Session("pw"))
	application := sidekeytest.StartUpstream(t)
	addr := proxytest.NGINX.Start(t, application.Addr, s.CheckAddr)
	refused := step{as: "pw", header: []string{"X-Note: a\x01b"}, status: 403, refusal: "Request not understood"}
	if wrong := refused.tell(t, proxytest.NGINX, addr, "ann", application); wrong != "" {
		t.Error(wrong)
	}
}
