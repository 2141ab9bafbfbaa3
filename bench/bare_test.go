//go:build linux

package main

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// The bare handler gives the same answers as sidekey in each dialect, header by header.
func TestBareHandler(t *testing.T) {
	f := func(handler fasthttp.RequestHandler, do func(s *server)) {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &fasthttp.Server{Handler: handler, NoDefaultDate: true, NoDefaultServerHeader: true, NoDefaultContentType: true}
		go s.Serve(l)
		defer s.Shutdown()
		do(&server{addr: l.Addr().String()})
	}
	ours := func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set("X-Auth-Org", "default")
		ctx.Response.Header.Set("X-Auth-Policies", "")
		if strings.HasPrefix(string(ctx.Path()), "/auth/envoy/") {
			ctx.Response.Header.Set("X-Envoy-Auth-Headers-To-Remove", "authorization")
		}
		if user, _, _ := strings.Cut(login(oneUser, userPassword), ":"); len(ctx.Request.Header.Peek(user)) == 0 {
			ctx.Error("missing credentials", fasthttp.StatusUnauthorized)
		}
	}
	var first, second []answer
	f(ours, func(s *server) {
		var err error
		if first, err = answersOf(s); err != nil {
			t.Fatal(err)
		}
	})
	f(bareHandler(first), func(s *server) {
		var err error
		if second, err = answersOf(s); err != nil {
			t.Fatal(err)
		}
	})
	for i, d := range dialects {
		want := answer{"/auth/" + d.name, [][2]string{{"X-Auth-Org", "default"}, {"X-Auth-Policies", ""}}}
		if d.name == "envoy" {
			want.Headers = append(want.Headers, [2]string{"X-Envoy-Auth-Headers-To-Remove", "authorization"})
		}
		for _, got := range []answer{first[i], second[i]} {
			if got.Path != want.Path || !slices.Equal(got.Headers, want.Headers) {
				t.Errorf("%v, want %v", got, want)
			}
		}
	}
	f(func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusForbidden) }, func(s *server) {
		if list, err := answersOf(s); err == nil {
			t.Errorf("a refusal is accepted as an answer: %v", list)
		}
	})
}
