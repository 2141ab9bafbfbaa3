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

// answer is what sidekey says to an admitted request under a path.
type answer struct {
	Path    string // of a dialect, or what it begins with
	Headers [][2]string
}

// answersOf asks sidekey, as oneUser, what it answers in each dialect.
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
			return nil, fmt.Errorf("%s: 200 without a body is wanted:\n%s", d.path, &said)
		}
		a := answer{Path: "/auth/" + d.name}
		for name, value := range said.Header.All() {
			switch string(name) {
			case fasthttp.HeaderContentLength: // the server writes it itself
			case fasthttp.HeaderContentType: // the client makes one up
			default:
				a.Headers = append(a.Headers, [2]string{string(name), string(value)})
			}
		}
		list = append(list, a)
	}
	return list, nil
}

// bareHandler decides nothing and gives the same answer each time, the first whose path
// the request's begins with.
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

// serveBare runs the handler that decides nothing, on the server that sidekey's check
// listener uses, with the same limits. text is the JSON of its answers.
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

// bare starts that handler, with sidekey's answers, as a process of its own.
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
