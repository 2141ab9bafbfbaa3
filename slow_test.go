package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// residentKiB is VmRSS of the process: all its memory that is not paged out.
func (p *process) residentKiB() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				p.t.Fatal(err)
			}
			return kib
		}
	}
	p.t.Fatal("no VmRSS")
	return 0
}

// T-31: ten thousand who send a header byte by byte cost memory for what they sent, not
// for what they might, are cut off, and hold up nobody.
func TestT31TenThousandSlowClients(t *testing.T) {
	clients := roomFor(10_000, slog.New(slog.DiscardHandler))
	const mostKiB = 32 // for each
	s := startSidekey(t, listeners+"check.read_timeout = \"2s\"\n")
	s.putUser("ann", `{"basic_auth_data":{"password":"pw"}}`)
	ask := func() (status string, took time.Duration) {
		began := time.Now()
		c, err := net.Dial("tcp", s.CheckAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET /auth/nginx HTTP/1.1\r\nHost: example.com\r\nX-Original-Method: GET\r\nX-Original-URI: /\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n"+basic("ann", "pw")+"\r\n\r\n")
		answer, _ := io.ReadAll(c)
		return strings.TrimPrefix(string(answer[:min(12, len(answer))]), "HTTP/1.1 "), time.Since(began)
	}
	ask()
	before := s.process.residentKiB()
	for wave := range 2 { // the second gets what the first has used
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
		each := float64(s.process.residentKiB()-before) / float64(clients)
		t.Logf("wave %d: %.1f KiB for each of %d slow clients; others waited at most %v", wave, each, clients, slowest)
		if each > mostKiB {
			t.Errorf("%.1f KiB for each, want at most %d", each, mostKiB)
		}
		if slowest > 2*time.Second {
			t.Errorf("another client waited %v", slowest)
		}
		for _, c := range slow {
			c.SetReadDeadline(time.Now().Add(patience))
			if text, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatalf("was not cut off: %v after %q", err, text)
			}
			c.Close()
		}
		for range 1000 {
			ask() // garbage is collected now and then
		}
	}
}
