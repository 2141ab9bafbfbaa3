//go:build linux

package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/check"
)

// serverConfig is the shipped configuration of the check listener.
var serverConfig = check.ServerConfig{
	ReadTimeout:    5 * time.Second,
	WriteTimeout:   5 * time.Second,
	IdleTimeout:    2 * time.Minute,
	MaxConnections: 100_000,
	MaxHeaderBytes: 64 << 10,
}

// bareHeaders are those of sidekey's answer to an admitted request, with values of
// the same length.
var bareHeaders = [][2][]byte{
	{[]byte("Cache-Control"), []byte("no-store")},
	{[]byte("X-Auth-User"), []byte("user00000001")},
	{[]byte("X-Auth-Org"), []byte("default")},
	{[]byte("X-Auth-Alias"), []byte("Benchmark User")},
	{[]byte("X-Auth-Tags"), []byte("edge,edge-eu")},
	{[]byte("X-Auth-Policies"), []byte("")},
	{[]byte("X-RateLimit-Limit"), []byte("1000000000000")},
	{[]byte("X-RateLimit-Remaining"), []byte("999999900000")},
	{[]byte("X-RateLimit-Reset"), []byte("1795387144")},
	{[]byte("RateLimit-Policy"), []byte(`"rate";q=100000000;w=60, "quota";q=1000000000000;w=86400`)},
	{[]byte("RateLimit"), []byte(`"rate";r=99999990;t=60, "quota";r=999999900000;t=86400`)},
}

// serveBare runs the handler that decides nothing, on the server that sidekey's check
// listener uses, with the same limits.
func serveBare(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := check.NewServer(check.NewHandler(nil, check.Config{}, slog.New(slog.DiscardHandler)), serverConfig)
	server.ErrorHandler = nil
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		ctx.SetStatusCode(fasthttp.StatusOK)
		for _, h := range bareHeaders {
			ctx.Response.Header.SetCanonical(h[0], h[1])
		}
	}
	return server.Serve(l)
}

// bare starts that handler as a process of its own.
func (l *lab) bare(ctx context.Context) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, l.dir, self, "bare", addr)
	if err != nil {
		return nil, err
	}
	return ready(ctx, &server{p, addr})
}
