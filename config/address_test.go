package config

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	bad := func(text string) {
		t.Helper()
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%q was read as %+v", text, a)
		}
	}
	bad("")
	bad("127.0.0.1")
	bad("127.0.0.1:")
	bad("127.0.0.1:http")
	bad("127.0.0.1:+80")
	bad("127.0.0.1:65536")
	bad("::1:80")
	bad("[::1]")
	bad("[::1:80")
	bad("two words:80")
	bad("http://127.0.0.1:80")
	bad("host/path:80")
	bad("unix:")
	bad("unix:relative.sock")
	bad("unix:@abstract")
	bad("unix:/with\nnewline")
	bad("unix:/" + strings.Repeat("a", maxSocketPath))

	good := func(text, network, where string, loopback bool) {
		t.Helper()
		a, err := ParseAddress(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if a.Network != network || a.Where != where || a.isLoopback() != loopback {
			t.Errorf("%q: got %q %q loopback %t, want %q %q loopback %t",
				text, a.Network, a.Where, a.isLoopback(), network, where, loopback)
		}
	}
	good("127.0.0.1:9191", "tcp", "127.0.0.1:9191", true)
	good("127.8.8.8:0", "tcp", "127.8.8.8:0", true)
	good("localhost:65535", "tcp", "localhost:65535", true)
	good("[::1]:80", "tcp", "[::1]:80", true)
	good("[::ffff:127.0.0.1]:80", "tcp", "[::ffff:127.0.0.1]:80", true)
	good("unix:/run//sidekey.sock", "unix", "/run/sidekey.sock", true)
	good(":80", "tcp", ":80", false)
	good("0.0.0.0:80", "tcp4", "0.0.0.0:80", false)
	good("[::]:80", "tcp", "[::]:80", false)
	good("10.0.0.1:80", "tcp", "10.0.0.1:80", false)
	// A name is not resolved.
	good("localhost.example.com:80", "tcp", "localhost.example.com:80", false)
	good("side_key:80", "tcp", "side_key:80", false)
}

func TestAddressMeets(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		first, err1 := ParseAddress(a)
		second, err2 := ParseAddress(b)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if first.meets(second) != want || second.meets(first) != want {
			t.Errorf("%s and %s: got %t and %t, want %t", a, b, first.meets(second), second.meets(first), want)
		}
	}
	f("127.0.0.1:80", "127.0.0.1:80", true)
	f("127.0.0.1:80", "LocalHost:80", true)
	f("127.0.0.1:80", ":80", true)
	f("127.0.0.1:80", "0.0.0.0:80", true)
	f("sidekey:80", "0.0.0.0:80", true)
	f("[::]:80", "0.0.0.0:80", true)
	f(":80", "0.0.0.0:80", true)
	f("[::1]:80", "[::]:80", true)
	f("[::1]:80", "0.0.0.0:80", false) // which is IPv4 alone
	f("sidekey:80", "SIDEKEY:80", true)
	f("unix:/run/a", "unix:/run/../run/a", true)
	f("127.0.0.1:80", "127.0.0.1:81", false)
	f("127.0.0.1:80", "127.0.0.2:80", false)
	f("127.0.0.1:80", "[::1]:80", false)
	f("sidekey:80", "other:80", false)
	f("unix:/run/a", "unix:/run/b", false)
	f("unix:/run/a", "127.0.0.1:80", false)
	// Each gets a free port of its own.
	f("127.0.0.1:0", "127.0.0.1:0", false)
}

// FuzzParseAddress: an accepted address can be listened on as written, and isLoopback is right about it.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:80", ":0", "[::1]:80", "localhost:1", "unix:/run/x", "unix:x", "0.0.0.0:65536", "[::ffff:127.0.0.1]:1", "a_b:1", "[fe80::1%eth0]:1", "127.0.0.1:+1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		switch a.Network {
		case "tcp":
			host, _, err := net.SplitHostPort(a.Where)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() != a.isLoopback() || host == "" && a.isLoopback() {
				t.Fatalf("%q: loopback: %v", text, a.isLoopback())
			}
		case "unix":
			if !filepath.IsAbs(a.Where) || len(a.Where) > maxSocketPath {
				t.Fatalf("%q: %q", text, a.Where)
			}
		default:
			t.Fatalf("%q: %q", text, a.Network)
		}
	})
}

// TestWarnings: a check listener on all addresses is a warning that names the consequences.
func TestWarnings(t *testing.T) {
	const meaning = `: every machine that can reach this one can send checks and try passwords, without the proxy and under any client address: use a loopback address or a unix socket, or let a firewall admit only the proxies`
	for listen, want := range map[string]string{
		":80":            `check.listen = ":80"` + meaning,
		"0.0.0.0:80":     `check.listen = "0.0.0.0:80"` + meaning,
		"[::]:80":        `check.listen = "[::]:80"` + meaning,
		"[::0]:80":       `check.listen = "[::0]:80"` + meaning,
		"127.0.0.1:80":   "",
		"10.0.0.1:80":    "",
		"sidekey:80":     "",
		"unix:/run/sock": "",
		"wrong":          "",
	} {
		c := Default()
		c.Check.Listen = listen
		if got := strings.Join(c.Warnings(), "\n"); got != want {
			t.Errorf("%s: got %q, want %q", listen, got, want)
		}
	}
}
