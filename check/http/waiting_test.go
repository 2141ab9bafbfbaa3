package http

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"sidekey/auth/session"
)

// throttled starts a listener over TCP, where requests are held.
func throttled(t testing.TB, most int, change ...func(*options)) *listener {
	return start(t, append(change, func(o *options) {
		o.tcp = true
		o.config.MaxWaiting = most
		o.server.MaxConnections = 20_000
	})...)
}

// waitFor waits until so many requests are held.
func (l *listener) waitFor(held int) {
	l.t.Helper()
	for begin := time.Now(); l.handler.Waiting() != held; time.Sleep(time.Millisecond) {
		if time.Since(begin) > patience {
			l.t.Fatalf("%d requests are held, want %d", l.handler.Waiting(), held)
		}
	}
}

func TestThrottleAdmits(t *testing.T) {
	for _, dialect := range []string{"envoy", "nginx", "forward"} {
		l := throttled(t, 10)
		l.add("ann", session.Session{Rate: 1, Per: 0.3, ThrottleInterval: 0.02, ThrottleRetryLimit: 1000, QuotaMax: 10})
		l.add("bob", session.Session{})
		c := l.client()
		begin := time.Now()
		for i := range 4 {
			a := c.ask(request(dialect, "GET", "/", login("ann")))
			if left := fmt.Sprint(9 - i); a.status != 200 || a.get("X-Auth-User") != "ann" || a.get("X-RateLimit-Remaining") != left {
				t.Fatalf("%s, request %d: %v", dialect, i, a)
			}
			// The connection is the server's again, and another user's.
			if a := c.ask(request(dialect, "GET", "/", login("bob"))); a.status != 200 || a.get("X-Auth-User") != "bob" {
				t.Fatalf("%s, after request %d: %v", dialect, i, a)
			}
		}
		if took := time.Since(begin); took < 900*time.Millisecond {
			t.Errorf("%s: 4 requests at 1 per 0.3 s took %v", dialect, took)
		}
		if n := l.handler.Waiting(); n != 0 {
			t.Errorf("%d are held after their answers", n)
		}
		c.close()
	}
}

func TestThrottleGivesUp(t *testing.T) {
	l := throttled(t, 10)
	l.add("ann", session.Session{Rate: 1, Per: 3600, ThrottleInterval: 0.05, ThrottleRetryLimit: 3})
	l.add("off", session.Session{Rate: 1, Per: 3600, ThrottleInterval: -1, ThrottleRetryLimit: -1})
	for _, row := range []struct {
		user string
		wait time.Duration
	}{{"ann", 150 * time.Millisecond}, {"off", 0}} {
		l.ask("nginx", "GET", "/", login(row.user))
		begin := time.Now()
		a := l.ask("nginx", "GET", "/", login(row.user))
		if took := time.Since(begin); took < row.wait {
			t.Errorf("%s: answered after %v", row.user, took)
		}
		if a.String() != refusedHeld {
			t.Errorf("%s: %v\nwant %v", row.user, a, refusedHeld)
		}
	}
}

const refusedHeld = `403
Cache-Control: no-store
Content-Type: application/json
RateLimit-Policy: "rate";q=1;w=3600
RateLimit: "rate";r=0;t=3600
Retry-After: 3600
X-Error-Message: Rate Limit Exceeded
X-Error-Status: 429
X-RateLimit-Limit: -1
X-RateLimit-Remaining: 0
X-RateLimit-Reset: 0

{"error": "Rate Limit Exceeded"}`

// Requests that follow a held request on its connection are answered after it.
func TestThrottlePipelined(t *testing.T) {
	l := throttled(t, 10)
	l.add("ann", session.Session{Rate: 1, Per: 0.2, ThrottleInterval: 0.01, ThrottleRetryLimit: 1000})
	l.add("bob", session.Session{})
	var requests []string
	for range 3 {
		requests = append(requests, request("nginx", "GET", "/", login("ann")), request("nginx", "GET", "/", login("bob")))
	}
	c := l.client()
	io.WriteString(c.conn, strings.Join(requests, ""))
	for i := range requests {
		want := [...]string{"ann", "bob"}[i%2]
		if a := c.read(); a.status != 200 || a.get("X-Auth-User") != want {
			t.Fatalf("answer %d: %v, want %s's", i, a, want)
		}
	}
	c.close()
}

func TestThrottleConnection(t *testing.T) {
	l := throttled(t, 10)
	l.add("ann", session.Session{Rate: 1, Per: 3600, ThrottleInterval: 0.01, ThrottleRetryLimit: 2})
	l.ask("nginx", "GET", "/", login("ann"))
	ask := func(request string) string {
		c := l.dial()
		defer c.Close()
		io.WriteString(c, request)
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		return string(b[:n])
	}
	if got := ask(request("nginx", "GET", "/", login("ann"))); !strings.HasPrefix(got, "HTTP/1.1 403") || strings.Contains(got, "Connection:") || strings.Contains(got, "Date:") || strings.Contains(got, "Server:") {
		t.Errorf("kept alive: %s", got)
	}
	if got := ask(request("nginx", "GET", "/", login("ann"), "Connection: close")); !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("closed: %s", got)
	}
	old := strings.Replace(request("nginx", "GET", "/", login("ann"), "Connection: keep-alive"), "HTTP/1.1", "HTTP/1.0", 1)
	if got := ask(old); !strings.Contains(got, "Connection: keep-alive\r\n") {
		t.Errorf("1.0: %s", got)
	}
	head := strings.Replace(request("envoy", "GET", "/", login("ann")), "GET", "HEAD", 1)
	if got := ask(head); !strings.HasSuffix(got, "\r\n\r\n") || !strings.Contains(got, "Content-Length: 32\r\n") {
		t.Errorf("HEAD: %s", got)
	}
}

// A caller that leaves, and a change to the reason for holding the request, end the waiting.
func TestThrottleEnds(t *testing.T) {
	hold := func(l *listener) *client {
		c := l.client()
		io.WriteString(c.conn, request("nginx", "GET", "/", login("ann")))
		l.waitFor(1)
		return c
	}
	s := session.Session{Rate: 1, Per: 3600, ThrottleInterval: 0.1, ThrottleRetryLimit: 1_000_000}
	slow := s
	slow.ThrottleInterval = 3000
	for name, row := range map[string]struct {
		session session.Session
		change  func(l *listener)
		want    string // of X-Error-Message
	}{
		"stop":        {slow, func(l *listener) { l.handler.StopWaiting() }, "Rate Limit Exceeded"},
		"deactivated": {s, func(l *listener) { s := s; s.IsInactive = true; l.add("ann", s) }, "Key is inactive, please renew"},
		"deleted":     {s, func(l *listener) { l.edit("ann", func(*session.Record) *session.Record { return nil }) }, "User not authorised"},
		"new password": {s, func(l *listener) {
			l.edit("ann", func(r *session.Record) *session.Record {
				r.Session.BasicAuth.Password = "made of another"
				return r
			})
		}, "User not authorised"},
		"given back": {s, func(l *listener) { l.add("ann", s) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := throttled(t, 10)
			l.add("ann", row.session)
			l.ask("nginx", "GET", "/", login("ann"))
			c := hold(l)
			row.change(l)
			if a := c.read(); a.get("X-Error-Message") != row.want {
				t.Errorf("%v", a)
			}
			l.waitFor(0)
			c.close()
		})
	}
	t.Run("left", func(t *testing.T) {
		l := throttled(t, 10)
		l.add("ann", slow)
		l.ask("nginx", "GET", "/", login("ann"))
		hold(l).close()
		l.waitFor(0)
	})
	t.Run("stopped before", func(t *testing.T) {
		l := throttled(t, 10)
		l.add("ann", slow)
		l.ask("nginx", "GET", "/", login("ann"))
		l.handler.StopWaiting()
		if a := l.ask("nginx", "GET", "/", login("ann")); a.get("X-Error-Message") != "Rate Limit Exceeded" {
			t.Errorf("%v", a)
		}
	})
}

// One user's requests leave room for those of others, however many there are.
func TestThrottleShares(t *testing.T) {
	l := throttled(t, 8)
	for _, user := range []string{"ann", "bob", "carl", "dora"} {
		l.add(user, session.Session{Rate: 1, Per: 3600, ThrottleInterval: 3000, ThrottleRetryLimit: 1})
		l.ask("nginx", "GET", "/", login(user))
	}
	all := 0
	f := func(user string, more int) {
		t.Helper()
		for range more {
			c := l.client()
			t.Cleanup(c.close)
			io.WriteString(c.conn, request("nginx", "GET", "/", login(user)))
			all++
			l.waitFor(all)
		}
		if a := l.ask("nginx", "GET", "/", login(user)); a.String() != refusedHeld {
			t.Errorf("%s: %v\nwant %v", user, a, refusedHeld)
		}
	}
	f("ann", 4)
	f("bob", 2)
	f("carl", 1)
	f("ann", 0)
	f("dora", 1)
	f("bob", 0)
	l.handler.StopWaiting()
	l.waitFor(0)
}

// Held or not, requests never exceed the rate, and none of the waiting requests is forgotten.
func TestThrottleRate(t *testing.T) {
	const rate, per, callers = 20, 200 * time.Millisecond, 60
	l := throttled(t, 1000)
	l.add("ann", session.Session{Rate: rate, Per: per.Seconds(), ThrottleInterval: 0.005, ThrottleRetryLimit: 10_000})
	begin := time.Now()
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			if a := l.ask("nginx", "GET", "/", login("ann")); a.status != 200 {
				t.Errorf("%v", a)
			}
		})
	}
	group.Wait()
	if took := time.Since(begin); took < (callers/rate-1)*per {
		t.Errorf("%d requests at %d per %v took %v", callers, rate, per, took)
	}
}
