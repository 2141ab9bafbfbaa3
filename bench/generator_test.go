//go:build linux

package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// serve runs a server with the handler until the test ends.
func serve(t *testing.T, handler fasthttp.RequestHandler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: handler}
	go s.Serve(l)
	t.Cleanup(func() { s.Shutdown() })
	return l.Addr().String()
}

// A generator sends count requests, and each user's as often as the order has it.
func TestGenerator(t *testing.T) {
	var mu sync.Mutex
	asked := make(map[string]int)
	addr := serve(t, func(ctx *fasthttp.RequestCtx) {
		mu.Lock()
		defer mu.Unlock()
		asked[string(ctx.Request.Header.Peek("Authorization"))]++
	})
	a, err := generator{addr: addr, requests: requests(3), order: []uint32{2, 0, 2}, connections: 4, count: 300}.run(t.Context())
	if err != nil || len(a.latencies) != 300 {
		t.Fatalf("%d answers, %v", len(a.latencies), err)
	}
	mu.Lock()
	defer mu.Unlock()
	for i, want := range []int{100, 0, 200} {
		_, value, _ := strings.Cut(login(userName(i), manyPassword), ": ")
		if asked[value] != want {
			t.Errorf("user %d was asked for %d times, want %d", i, asked[value], want)
		}
	}
}

// If a server stalls, a generator with a rate does not send less, and counts the latency of delayed
// requests from the time when they were due.
func TestGeneratorPaced(t *testing.T) {
	const stall = 200 * time.Millisecond
	var once sync.Once
	addr := serve(t, func(*fasthttp.RequestCtx) { once.Do(func() { time.Sleep(stall) }) })
	a, err := generator{addr: addr, requests: requests(1), order: []uint32{0}, connections: 1, rate: 1000, count: 300}.run(t.Context())
	if err != nil || len(a.latencies) != 300 {
		t.Fatalf("%d answers, %v", len(a.latencies), err)
	}
	if half := percentile(a.latencies[:200], 0.5); half < float64(stall.Microseconds())/4 {
		t.Errorf("half of the requests due during the stall took less than %v µs", half)
	}
}

func TestGeneratorErrors(t *testing.T) {
	f := func(want string, handler fasthttp.RequestHandler) {
		t.Helper()
		_, err := generator{addr: serve(t, handler), requests: requests(1), order: []uint32{0}, connections: 1, count: 10}.run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("403", func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(403) })
	f("without body", func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") })
	f("closed", func(ctx *fasthttp.RequestCtx) { ctx.HijackSetNoResponse(true); ctx.Hijack(func(net.Conn) {}) })

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (generator{addr: serve(t, func(*fasthttp.RequestCtx) {}), requests: requests(1), order: []uint32{0}, connections: 1, length: time.Hour}).run(ctx); err != context.Canceled {
		t.Errorf("interrupted: %v", err)
	}
}
