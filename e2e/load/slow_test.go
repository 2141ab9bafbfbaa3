package load

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/listen"
	"sidekey/internal/testutil"
)

// T-31: ten thousand clients that send a header byte by byte cost memory for what they sent, not for
// what they might send, are disconnected, and delay no other client.
func TestT31TenThousandSlowClients(t *testing.T) {
	clients := listen.MaxConnections(10_000, slog.New(slog.DiscardHandler))
	const maxKiB = 32 // for each
	s := sidekeytest.Start(t, sidekeytest.Listeners+"check.read_timeout = \"2s\"\n")
	s.PutUser("ann", `{"basic_auth_data":{"password":"pw"}}`)
	ask := func() (status string, took time.Duration) {
		began := time.Now()
		c, err := net.Dial("tcp", s.CheckAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(testutil.Patience))
		io.WriteString(c, "GET /auth/nginx HTTP/1.1\r\nHost: example.com\r\nX-Original-Method: GET\r\nX-Original-URI: /\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n"+sidekeytest.Basic("ann", "pw")+"\r\n\r\n")
		answer, _ := io.ReadAll(c)
		return strings.TrimPrefix(string(answer[:min(12, len(answer))]), "HTTP/1.1 "), time.Since(began)
	}
	ask()
	before := s.Process.ResidentKiB()
	for wave := range 2 { // the second reuses the memory of the first
		var slow []net.Conn
		for range clients {
			c, err := net.Dial("tcp", s.CheckAddr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, "GET /auth/nginx HTTP/1.1\r\nHost: example.com\r\nX-")
			slow = append(slow, c)
		}
		var slowest time.Duration
		for i := range 50 {
			for _, c := range slow[i*clients/50 : (i+1)*clients/50] {
				io.WriteString(c, "a")
			}
			status, took := ask()
			if status != "200" {
				t.Errorf("another client: %s", status)
			}
			slowest = max(slowest, took)
		}
		each := float64(s.Process.ResidentKiB()-before) / float64(clients)
		t.Logf("wave %d: %.1f KiB for each of %d slow clients; others waited at most %v", wave, each, clients, slowest)
		if each > maxKiB {
			t.Errorf("%.1f KiB for each, want at most %d", each, maxKiB)
		}
		if slowest > 2*time.Second {
			t.Errorf("another client waited %v", slowest)
		}
		for _, c := range slow {
			c.SetReadDeadline(time.Now().Add(testutil.Patience))
			if text, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatalf("was not cut off: %v after %q", err, text)
			}
			c.Close()
		}
		for range 1000 {
			ask() // so that garbage is collected at times
		}
	}
}
