//go:build !race

package http

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth/session"
)

// BenchmarkServe measures all that a warm check costs except the kernel: from the bytes of the
// request to those of the reply. "bare" is the same server with a handler that sets the same
// headers and decides nothing.
func BenchmarkServe(b *testing.B) {
	l := start(b)
	l.add("alice", session.Session{Alias: "Alice", Rate: 1e9, Per: 1, QuotaMax: 1 << 40, QuotaRenewalRate: 1 << 30, Tags: []string{"a", "b"}})
	config := ServerConfig{MaxHeaderBytes: 64 << 10, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxConnections: 1000}
	server, bare := NewServer(l.handler, config, l.logger), NewServer(l.handler, config, l.logger)
	browser := []string{
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Accept: text/html,application/xhtml+xml,*/*;q=0.8",
		"Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br", "Cookie: session=5f0c1de2a7b94c6f; theme=dark; consent=1; _ga=GA1.1.1234567890.1700000000",
		"Referer: https://example.com/orders", "Sec-Fetch-Dest: empty", "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin",
	}
	f := func(name string, s *fasthttp.Server, request string) {
		b.Run(name, func(b *testing.B) {
			if err := s.ServeConn(&cannedConn{request: []byte(request), n: 1000}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := processTime()
			if err := s.ServeConn(&cannedConn{request: []byte(request), n: b.N}); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(processTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
	for _, dialect := range dialectNames {
		plain := request(dialect, "GET", "/orders/1?x=2", login("alice"))
		got := parseAnswer(b, l.send(plain[:len(plain)-2]+"Connection: close\r\n\r\n"))
		if got.status != 200 {
			b.Fatal(got)
		}
		var headers [][2][]byte
		for _, h := range got.header {
			name, value, _ := strings.Cut(h, ": ")
			headers = append(headers, [2][]byte{[]byte(name), []byte(value)})
		}
		bare.Handler = func(ctx *fasthttp.RequestCtx) {
			for _, h := range headers {
				ctx.Response.Header.SetCanonical(h[0], h[1])
			}
		}
		f(dialect+"/bare", bare, plain)
		f(dialect+"/sidekey", server, plain)
		full := request(dialect, "GET", "/orders/1?x=2", append(browser, login("alice"))...)
		f(dialect+"/browser/bare", bare, full)
		f(dialect+"/browser/sidekey", server, full)
	}
}

// processTime returns the processor time that the process has used. Unlike wall time, it means
// something on a machine that other processes use, too.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
