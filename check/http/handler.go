// Package http is the check listener for proxies that ask over HTTP: Envoy's ext_authz,
// NGINX's auth_request, and the forward authentication of others.
//
// Every path and method on it is a question. It has no other page, because only an admitted
// request may ever be answered 2xx (oauth2-proxy CVE-2026-34457).
//
// fasthttp lends the bytes of a request until its handler returns, and then gives them to
// the next request on the connection. So nothing here keeps a slice of a request; package
// check keeps none either.
package http

import (
	"iter"

	"github.com/valyala/fasthttp"

	"sidekey/check"
)

// server is what the requests of one server share.
type server struct {
	handler *check.Handler
	fast    *fasthttp.Server
	gate    *gate
}

// handle answers one request. If that panics, the request is refused.
func (s *server) handle(ctx *fasthttp.RequestCtx) {
	defer s.denyPanic(ctx)
	x := check.NewExchange()
	x.At, x.Connection = ctx.Time(), ctx.ConnID()
	readQuestion(&ctx.Request.Header, &x.Question)
	if held := s.handler.Check(x); held != nil {
		s.hold(ctx, held)
	} else {
		write(&ctx.Response, &x.Reply)
	}
	x.Release()
}

// write puts a reply into a response.
func write(response *fasthttp.Response, r *check.Reply) {
	response.SetStatusCode(r.Status)
	for i := range r.Headers {
		response.Header.SetCanonical(r.Headers[i].Name, r.Headers[i].Value)
	}
	response.AppendBody(r.Body)
}

func (s *server) denyPanic(ctx *fasthttp.RequestCtx) {
	if p := recover(); p != nil {
		s.handler.LogPanic(p)
		deny(ctx)
	}
}

// deny refuses a request, whatever the response holds already.
func deny(ctx *fasthttp.RequestCtx) {
	var r check.Reply
	r.Deny()
	ctx.Response.Reset()
	ctx.Response.Header.SetNoDefaultContentType(true)
	write(&ctx.Response, &r)
}

// unreadable answers what is not an HTTP request.
func (s *server) unreadable(ctx *fasthttp.RequestCtx, _ error) {
	if announcesBody(&ctx.Request.Header) {
		s.handler.Misconfigured("any", `no body: proxy_pass_request_body off and proxy_set_header Content-Length "" (NGINX), no with_request_body (Envoy), no forwardBody (Traefik)`)
	}
	deny(ctx)
}

// headers are the headers of a request as [check.Headers].
type headers struct {
	*fasthttp.RequestHeader
}

// Header looks at every header once. PeekAll would normalize the name and copy the values.
func (h headers) Header(name string) (value []byte, count int) {
	for given, v := range h.All() {
		if !sameName(given, name) {
			continue
		}
		if count == 0 {
			value = v
		}
		count++
	}
	return value, count
}

// sameName reports whether two names of headers differ at most in the case of letters.
func sameName(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if d := b[i]; c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

func (h headers) Values(name []byte) [][]byte { return h.PeekAll(string(name)) }

func (h headers) All() iter.Seq2[[]byte, []byte] { return h.RequestHeader.All() }

func (h headers) Clone() check.Headers {
	clone := new(fasthttp.RequestHeader)
	h.CopyTo(clone)
	return headers{clone}
}
