package check

import (
	"log/slog"
	"math"
	"time"

	"github.com/valyala/fasthttp"
)

// ServerConfig bounds what one connection may cost.
type ServerConfig struct {
	ReadTimeout    time.Duration // for a request's header to arrive
	WriteTimeout   time.Duration // for the proxy to take the answer
	IdleTimeout    time.Duration // between two requests on a connection
	MaxConnections int
	MaxHeaderBytes int // of a request: the client's cookies are among them
}

// NewServer returns the server of the check listener. Nothing is left to fasthttp's
// defaults, which have no time limits and log what they cannot read, passwords
// included.
func NewServer(h *Handler, c ServerConfig) *fasthttp.Server {
	g := &gate{most: int64(c.MaxConnections)}
	server := &fasthttp.Server{
		Handler:                      g.wrap(h.Handle),
		ConnState:                    g.state,
		ErrorHandler:                 h.unreadable,
		HeaderReceived:               withoutBody,
		Logger:                       logger{h.log},
		ReadTimeout:                  c.ReadTimeout,
		WriteTimeout:                 c.WriteTimeout,
		IdleTimeout:                  c.IdleTimeout,
		Concurrency:                  math.MaxInt32, // the gate bounds them, and files; beyond, fasthttp would answer 503
		ReadBufferSize:               c.MaxHeaderBytes,
		WriteBufferSize:              4096,
		MaxRequestBodySize:           maxBody,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultDate:                true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
		KeepHijackedConns:            true, // those of requests that are held
	}
	h.waiting.server, h.waiting.gate = server, g
	return server
}

// maxBody is the longest body that is read: proxies are told to send none.
const maxBody = 1

// withoutBody refuses a request with a body before the body is waited for. NGINX
// that was not told to clear Content-Length announces a body that never comes.
func withoutBody(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if !announcesBody(header) {
		return fasthttp.RequestConfig{}
	}
	return fasthttp.RequestConfig{ReadTimeout: time.Second, MaxRequestBodySize: maxBody}
}

func announcesBody(header *fasthttp.RequestHeader) bool {
	const chunked = -1
	length := header.ContentLength()
	return length > 0 || length == chunked
}

// unreadable answers what is no HTTP request.
func (h *Handler) unreadable(ctx *fasthttp.RequestCtx, err error) {
	if announcesBody(&ctx.Request.Header) {
		h.notices.missing(h.log, "any", `no body: proxy_pass_request_body off and proxy_set_header Content-Length "" (NGINX), no with_request_body (Envoy), no forwardBody (Traefik)`)
	}
	deny(ctx)
}

// logger notes that a connection ended with an error, and no more: fasthttp puts the
// header that it could not read into its text, even with SecureErrorLogMessage, and that
// may be the one with the password.
type logger struct{ log *slog.Logger }

func (l logger) Printf(string, ...any) {
	l.log.Debug("a connection ended with an error", "listener", "check")
}
