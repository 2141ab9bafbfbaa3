//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/valyala/fasthttp"
)

// proxy describes how to run a proxy in front of an application.
type proxy struct {
	program string
	config  string                                  // its example configuration, which asks sidekey
	places  func(listen, auth, app string) []string // texts in the configuration and their replacements, alternating
	args    func(folder, config string) (args []string)
}

// proxyRows compare ways to protect an application with a proxy.
func proxyRows() (list []measurement) {
	for _, p := range []struct {
		name  string
		proxy proxy
	}{{"nginx/auth_request", nginx}, {"envoy/ext_authz", envoy}} {
		list = append(list, measurement{
			row:     row{Name: p.name, Text: "asking sidekey against asking the bare handler", Unit: "requests/s", AtLeast: 0.95},
			needs:   []string{"wrk", p.proxy.program},
			closely: true,
			measure: func(ctx context.Context, l *lab, r *row) error {
				return l.withBare(ctx, few, func(ours, bare *server) error {
					text, err := os.ReadFile(p.proxy.config)
					if err != nil {
						return err
					}
					return l.withFront(ctx, p.proxy, string(text), ours.addr, func(guarded *server) error {
						return l.withFront(ctx, p.proxy, string(text), bare.addr, func(open *server) error {
							headers := []string{login(oneUser, userPassword)}
							return l.compare(r,
								l.askedByWrk(ctx, guarded.url(clientPath), headers, guarded.process, ours.process),
								l.askedByWrk(ctx, open.url(clientPath), headers, open.process, bare.process))
						})
					})
				})
			},
		})
	}
	return append(list, basicAuthRows()...)
}

// clientPath is the path of a client's requests to a proxy.
const clientPath = "/orders/1?x=2"

// withFront runs f while a proxy with a configuration runs in front of an application that always
// answers 200.
func (l *lab) withFront(ctx context.Context, p proxy, config, auth string, f func(front *server) error) error {
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	application := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}}
	go application.Serve(app)
	defer application.Shutdown()

	addr, err := freeAddr()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(l.dir, p.program)
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil { // the workers run as another user
		return err
	}
	file := filepath.Join(folder, filepath.Base(p.config))
	config = strings.NewReplacer(p.places(addr, auth, app.Addr().String())...).Replace(config)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return err
	}
	running, err := start(ctx, folder, findProgram(p.program), p.args(folder, file)...)
	if err != nil {
		return err
	}
	defer running.stop()
	front := &server{running, addr}
	if err := awaitRight(ctx, front.url(clientPath)); err != nil {
		return err
	}
	return f(front)
}
