package http

import (
	"log/slog"
	"math"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/check"
)

// ServerConfig bounds what one connection may cost.
type ServerConfig struct {
	ReadTimeout    time.Duration // for a request's header to arrive
	WriteTimeout   time.Duration // for the proxy to take the reply
	IdleTimeout    time.Duration // between two requests on a connection
	MaxConnections int
	MaxHeaderBytes int // of a request, including the client's cookies
}

// NewServer returns the server of the check listener. Nothing is left to fasthttp's
// defaults, which have no time limits and log what they cannot read, passwords
// included.
func NewServer(h *check.Handler, c ServerConfig, log *slog.Logger) *fasthttp.Server {
	s := &server{handler: h, gate: &gate{maxOpen: int64(c.MaxConnections)}}
	s.fast = &fasthttp.Server{
		Handler:                      s.gate.wrap(s.handle),
		ConnState:                    s.gate.state,
		ErrorHandler:                 s.unreadable,
		HeaderReceived:               withoutBody,
		Logger:                       logger{log},
		ReadTimeout:                  c.ReadTimeout,
		WriteTimeout:                 c.WriteTimeout,
		IdleTimeout:                  c.IdleTimeout,
		Concurrency:                  math.MaxInt32, // the gate and the file limit bound it; fasthttp would answer 503
		ReadBufferSize:               c.MaxHeaderBytes,
		WriteBufferSize:              4096,
		MaxRequestBodySize:           maxBody,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultDate:                true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
		KeepHijackedConns:            true, // those of held requests
	}
	return s.fast
}

// maxBody is the longest body that is read: proxies are told to send none.
const maxBody = 1

// withoutBody refuses a request with a body before the body is waited for. NGINX announces a
// body that never comes unless it is told to clear Content-Length.
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

// logger logs that a connection ended with an error, and no more: fasthttp puts the header
// that it could not read into its text, even with SecureErrorLogMessage, and the password
// may be in it.
type logger struct{ log *slog.Logger }

func (l logger) Printf(string, ...any) {
	l.log.Debug("a connection ended with an error", "listener", "check")
}
