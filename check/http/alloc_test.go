//go:build !race

package http

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"sidekey/auth/session"
	"sidekey/check"
)

// cannedConn is a connection on which the same request comes n times.
type cannedConn struct {
	net.Conn
	request []byte
	n       int
	at      int
	written int
}

func (c *cannedConn) Read(p []byte) (int, error) {
	if c.n == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.request[c.at:])
	if c.at += n; c.at == len(c.request) {
		c.at = 0
		c.n--
	}
	return n, nil
}

func (c *cannedConn) Write(p []byte) (int, error)      { c.written += len(p); return len(p), nil }
func (c *cannedConn) Close() error                     { return nil }
func (c *cannedConn) SetDeadline(time.Time) error      { return nil }
func (c *cannedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *cannedConn) SetWriteDeadline(time.Time) error { return nil }
func (c *cannedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *cannedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// A warm check allocates nothing, from the bytes of the request to those of the reply; nor does a
// refusal without a hash, nor telling an observer of either.
func TestAllocations(t *testing.T) {
	t.Run("observed", func(t *testing.T) { testAllocations(t, &witness{}) })
	t.Run("not observed", func(t *testing.T) { testAllocations(t) })
}

func testAllocations(t *testing.T, observers ...check.Observer) {
	l := start(t)
	l.handler.SetObservers(observers...)
	l.add("alice", session.Session{Rate: 1e9, Per: 1, QuotaMax: 1 << 40, QuotaRenewalRate: 1 << 30, Tags: []string{"a", "b"}})
	l.add("limited", session.Session{Rate: 1, Per: 3600})
	l.add("reader", session.Session{AccessRights: map[string]session.Right{"rest": {AllowedURLs: []session.AllowedURL{{URL: "/read/{id}", Methods: []string{"GET"}}}}}})
	server := NewServer(l.handler, ServerConfig{MaxHeaderBytes: 64 << 10, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute}, l.logger)
	perRequest := func(request string) float64 {
		run := func(n int) uint64 {
			var before, after runtime.MemStats
			c := &cannedConn{request: []byte(request), n: n}
			runtime.ReadMemStats(&before)
			if err := server.ServeConn(c); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			return after.Mallocs - before.Mallocs
		}
		run(100)
		const n = 5000
		few, many := run(n), run(2*n)
		return (float64(many) - float64(few)) / n
	}
	f := func(what, request string, status int) {
		t.Helper()
		if a := parseAnswer(t, l.send(request[:len(request)-2]+"Connection: close\r\n\r\n")); a.status != status {
			t.Errorf("%s: %v, want %d", what, a, status)
			return
		}
		// A block of quota is reserved now and then, and a timer of the runtime may run.
		if got := perRequest(request); got > 0.05 {
			t.Errorf("%s: %.2f allocations a request", what, got)
		}
	}
	for _, dialect := range dialectNames {
		limited := 429
		if dialect == "nginx" {
			limited = 403
		}
		f(dialect+", admitted", request(dialect, "GET", "/x?y=z", login("alice"), "User-Agent: test", "Accept: */*", "Cookie: a=b; c=d"), 200)
		f(dialect+", no credentials", request(dialect, "GET", "/"), 401)
		f(dialect+", malformed", request(dialect, "GET", "/", "Authorization: Basic !!"), map[string]int{"nginx": 401, "envoy": 400, "forward": 400}[dialect])
		l.ask(dialect, "GET", "/", login("limited"))
		f(dialect+", over the rate", request(dialect, "GET", "/", login("limited")), limited)
		f(dialect+", URL granted", request(dialect, "GET", "/read/5", login("reader")), 200)
		f(dialect+", URL not granted", request(dialect, "GET", "/write/5", login("reader")), 403)
	}
}
