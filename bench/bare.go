//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/check"
	checkhttp "sidekey/check/http"
)

// serverConfig is the shipped configuration of the check listener.
var serverConfig = checkhttp.ServerConfig{
	ReadTimeout:    5 * time.Second,
	WriteTimeout:   5 * time.Second,
	IdleTimeout:    2 * time.Minute,
	MaxConnections: 100_000,
	MaxHeaderBytes: 64 << 10,
}

// answer is sidekey's answer to an admitted request in one dialect.
type answer struct {
	Path    string // prefix of the request paths that get this answer
	Headers [][2]string
}

// answersOf sends a request of oneUser to sidekey in each dialect and returns the answers.
func answersOf(s *server) (list []answer, err error) {
	client := &fasthttp.Client{DisableHeaderNamesNormalizing: true}
	defer client.CloseIdleConnections()
	for _, d := range dialects {
		var question fasthttp.Request
		var said fasthttp.Response
		question.SetRequestURI(s.url(d.path))
		for _, h := range append([]string{login(oneUser, userPassword)}, d.headers...) {
			name, value, _ := strings.Cut(h, ": ")
			question.Header.Set(name, value)
		}
		if err := client.DoTimeout(&question, &said, 30*time.Second); err != nil {
			return nil, err
		}
		if said.StatusCode() != fasthttp.StatusOK || len(said.Body()) > 0 {
			return nil, fmt.Errorf("%s: must answer 200 without a body, not\n%s", d.path, &said)
		}
		a := answer{Path: "/auth/" + d.name}
		for name, value := range said.Header.All() {
			switch string(name) {
			case fasthttp.HeaderContentLength: // the server adds it itself
			case fasthttp.HeaderContentType: // fasthttp's client reports one that was not sent
			default:
				a.Headers = append(a.Headers, [2]string{string(name), string(value)})
			}
		}
		list = append(list, a)
	}
	return list, nil
}

// bareHandler makes no decision. It gives the first answer whose path is a prefix of the request's
// path.
func bareHandler(list []answer) fasthttp.RequestHandler {
	type header struct{ name, value []byte }
	paths, headers := make([][]byte, len(list)), make([][]header, len(list))
	for i, a := range list {
		paths[i] = []byte(a.Path)
		for _, h := range a.Headers {
			headers[i] = append(headers[i], header{[]byte(h[0]), []byte(h[1])})
		}
	}
	return func(ctx *fasthttp.RequestCtx) {
		for i, path := range paths {
			if !bytes.HasPrefix(ctx.Request.Header.RequestURI(), path) {
				continue
			}
			for _, h := range headers[i] {
				ctx.Response.Header.SetCanonical(h.name, h.value)
			}
			return
		}
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
}

// serveBare runs the bare handler on the same server as sidekey's check listener, with the same
// limits. text is the JSON of its answers.
func serveBare(addr, text string) error {
	var list []answer
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	server := checkhttp.NewServer(check.NewHandler(nil, log), serverConfig, log)
	server.ErrorHandler = nil
	server.Handler = bareHandler(list)
	return server.Serve(l)
}

// bare starts a process that runs the bare handler with the answers of ours.
func (l *lab) bare(ctx context.Context, ours *server) (*server, error) {
	list, err := answersOf(ours)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, l.dir, self, "bare", addr, string(text))
	if err != nil {
		return nil, err
	}
	return ready(ctx, &server{p, addr})
}
