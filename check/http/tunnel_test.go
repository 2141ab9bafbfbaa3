package http

import (
	"strconv"
	"strings"
	"testing"

	"sidekey/auth/session"
)

// T-100: what asks for a tunnel is refused in every dialect that shows it, right password or
// not, and uses nothing up; an upgrade to WebSocket, and to nothing beside it, passes.
func TestT100QuestionsOfTunnels(t *testing.T) {
	l := start(t)
	l.add("alice", session.Session{QuotaMax: 100, QuotaRenewalRate: 3600})
	remaining := func(a answer) int {
		t.Helper()
		for _, line := range a.header {
			if value, found := strings.CutPrefix(line, "X-RateLimit-Remaining: "); found {
				n, err := strconv.Atoi(value)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
		t.Fatalf("no X-RateLimit-Remaining in %v", a)
		return 0
	}
	for _, dialect := range dialectNames {
		ask := func(method string, header ...string) answer {
			return l.ask(dialect, method, "/x", append(header, login("alice"))...)
		}
		before := remaining(ask("GET"))
		refused := func(method string, header ...string) {
			t.Helper()
			a := ask(method, header...)
			want := []string{"Cache-Control: no-store", "Content-Type: application/json", "X-Error-Message: Upgrade not allowed", "X-Error-Status: 403"}
			if a.status != 403 || a.body != `{"error": "Upgrade not allowed"}` || strings.Join(a.header, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s, %s %q: %v", dialect, method, header, a)
			}
		}
		for _, offer := range []string{
			"h2c", "H2C", "websocket, h2c", "h2c, websocket", "websocket,websocket", "websocket/13", "websocket;h2c", "xwebsocket", "websockets",
			"web\u017Focket", "websoc\u212Aet", "TLS/1.0", "HTTP/2.0", "*", ",", "", "\"websocket\"",
		} {
			refused("GET", "Upgrade: "+offer)
			refused("POST", "connection: upgrade", "UPGRADE:"+offer)
		}
		refused("GET", "Upgrade: websocket", "Upgrade: websocket")
		refused("GET", "Upgrade: websocket", "upgrade: h2c")
		refused("GET", "Upgrade: h2c", "Upgrade: websocket")
		refused("GET", "Upgrade: websocket", "HTTP2-Settings: AAMAAABkAAQAAP__")
		refused("GET", "http2-settings: ", "Upgrade: websocket")
		refused("CONNECT")
		refused("connect")
		refused("Connect")
		refused("CONNECT", "Upgrade: websocket")
		passing := []string{"Upgrade: websocket", "upgrade: WebSocket", "Upgrade: \twebsocket ", "Upgrade-Insecure-Requests: 1", "HTTP2-Settings: AAMAAABkAAQAAP__"}
		for _, header := range passing {
			if a := ask("GET", header); a.status != 200 {
				t.Errorf("%s, %s: %v", dialect, header, a)
			}
		}
		if used := before - remaining(ask("GET")); used != len(passing)+1 {
			t.Errorf("%s: %d requests were used up, want %d", dialect, used, len(passing)+1)
		}
		if a := l.ask(dialect, "CONNECT", "/x"); a.status != 403 {
			t.Errorf("%s, CONNECT without credentials: %v", dialect, a)
		}
	}
	if a := l.ask("forward@rest", "CONNECT", "example.com:443", login("alice")); a.status != 403 {
		t.Errorf("CONNECT of an API that is named: %v", a)
	}
}
