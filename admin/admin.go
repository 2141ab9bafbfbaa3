// Package admin serves the admin listener: users, policies, health, metrics and the web page.
//
// It speaks two dialects of one API, that of Tyk's Dashboard (/api) and that of Tyk's Gateway (/tyk),
// over the same operations. Paths, members, messages and statuses that Tyk has are Tyk's; endpoints
// that only sidekey has use the types of package api. Every route is in routes.go and in
// openapi.json.
//
// A write is answered after it is durable and acts on checks: the admin API never shows a state that
// checks do not use yet. An answer never contains a password, a hash or the admin secret.
//
// The listener is meant for loopback. A browser on the same machine sends requests there on behalf
// of any web page, so every request passes the checks in guard.go first.
//
// The package is large because both dialects and all operations share one router, one guard and one
// way to answer. Smaller packages would have to export these to each other.
package admin

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/session"
	"sidekey/internal/problem"
	"sidekey/internal/proof"
	"sidekey/limiter"
	"sidekey/store"
)

// Users is the part of [store.Users] that the admin listener calls.
type Users interface {
	Read(org, user string) (session.Record, []auth.KeptQuota, error)
	Update(org, user string, edit func(old *session.Record) (*session.Record, error)) (session.Record, error)
	UpdateMany(names []session.Name, edit func(i int, old *session.Record) (*session.Record, error)) error
	Names(after session.Name, n int) ([]session.Name, error)
}

// Config holds the settings of a [Handler] and the parts of the program that it uses.
type Config struct {
	Users        Users
	PolicyStore  PolicyStore
	Policies     func() *session.Policies // in force
	Directory    *auth.Directory
	Settings     func() *auth.Settings // the configuration in force
	Rules        func() session.Rules  // for the sessions and policies that are written
	Secrets      Secrets
	AdminSecrets []string      // one or two; see [LoadSecrets]
	WrongSecret  time.Duration // by how much the answer to a wrong secret is delayed
	TLS          bool          // the listener speaks https
	Hosts        []string      // names that Host may have besides those of loopback, in lower case
	Org          string        // the org of a request that names none
	Reload       func() error
	Health       func() Health
	Database     Database
	Metrics      func(w io.Writer, apis bool)                  // apis: include the ids of APIs
	Decisions    func() map[string]uint64                      // since the start, by the name of the reason
	Explain      func(auth.Question) (auth.Explanation, error) // an error is about the question
	KeyEvents    KeyEvents                                     // nil: writes are not reported
	Version      string
	Log          *slog.Logger
}

// KeyEvents receives the users that the admin API has created, changed or deleted, after the write
// is durable. Its methods must not block.
type KeyEvents interface {
	Created(session.Name)
	Updated(session.Name)
	Deleted(session.Name)
}

// Handler serves the requests of the admin listener.
type Handler struct {
	Config
	guard     guard
	proofs    atomic.Pointer[func() []proof.Key] // returns the keys of the secrets in force
	downloads downloads
}

// NewHandler returns a handler. It is ready to serve.
func NewHandler(c Config) *Handler {
	h := &Handler{
		Config:    c,
		guard:     guard{hosts: c.Hosts, scheme: "http", wrong: c.WrongSecret},
		downloads: downloads{conns: make(map[net.Conn]struct{})},
	}
	if c.TLS {
		h.guard.scheme = "https"
	}
	h.SetSecrets(c.AdminSecrets)
	return h
}

// SetSecrets replaces the admin secrets, one or two. Requests that are being served go on with those
// they began with.
func (h *Handler) SetSecrets(secrets []string) {
	h.guard.setSecrets(secrets)
	keys := proofKeys(secrets)
	h.proofs.Store(&keys)
}

// maxBody is the maximum size of a request body, in bytes.
const maxBody = 1 << 20

// MaxConnections is how many connections may be open at once. The network listener must close
// further ones, see [sidekey/internal/listen.Bound]. If fasthttp did it, it would answer each of them
// before it accepts the next, and wait for clients that do not read.
const MaxConnections = 1024

// NewServer returns the HTTP server of the admin listener.
func NewServer(h *Handler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      h.Handle,
		ErrorHandler:                 h.unreadable,
		HeaderReceived:               h.received,
		Logger:                       logger{h.Log},
		ReadTimeout:                  10 * time.Second,
		WriteTimeout:                 30 * time.Second,
		IdleTimeout:                  2 * time.Minute,
		Concurrency:                  math.MaxInt32, // see MaxConnections
		ReadBufferSize:               32 << 10,
		MaxRequestBodySize:           maxBody,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
	}
}

// Handle answers one request. A panic becomes a 500 and a log entry.
func (h *Handler) Handle(ctx *fasthttp.RequestCtx) {
	c := &call{Handler: h, ctx: ctx, dialect: dialectOf(ctx.Request.Header.RequestURI())}
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error("BUG: an admin request panicked", "panic", p, "stack", string(debug.Stack()))
			c.fail(failure(fasthttp.StatusInternalServerError, "internal error"))
		}
	}()
	header := &ctx.Response.Header
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	var err error
	if c.trusted, err = h.guard.check(ctx, c.dialect); err != nil {
		c.fail(err)
		return
	}
	route, params, allow, err := match(string(ctx.Method()), ctx.Request.Header.RequestURI())
	if err != nil {
		if len(allow) > 0 {
			header.Set("Allow", strings.Join(allow, ", "))
		}
		c.fail(err)
		return
	}
	c.params = params
	if err := route.handle(c); err != nil {
		c.fail(err)
	}
}

// maxStrangerBody is the maximum size of a request body without a right secret, in bytes. fasthttp
// reads the body before the handler runs, so callers without the secret could fill the memory.
const maxStrangerBody = 4 << 10

// received returns the limits of a request's body, once its header has been read.
func (h *Handler) received(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if h.guard.knowsSecret(header) {
		return fasthttp.RequestConfig{}
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: maxStrangerBody}
}

// unreadable answers a request that is too large or not valid HTTP.
func (h *Handler) unreadable(ctx *fasthttp.RequestCtx, err error) {
	c := &call{Handler: h, ctx: ctx, dialect: dialectOf(ctx.Request.Header.RequestURI())}
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		if len(ctx.Request.Header.Host()) > 0 { // after a chunked body, fasthttp has dropped the header
			if _, err := h.guard.check(ctx, c.dialect); err != nil {
				c.fail(err)
				return
			}
		}
		c.fail(failure(fasthttp.StatusRequestEntityTooLarge, "Request malformed: body: must be at most %d bytes", maxBody))
	case errors.As(err, &small):
		c.fail(failure(fasthttp.StatusRequestHeaderFieldsTooLarge, "Request malformed: the header is too large"))
	default:
		c.fail(failure(fasthttp.StatusBadRequest, "Request malformed: not an HTTP request"))
	}
}

// call is one request and its answer. Everything that it takes out of ctx is a copy, because
// fasthttp overwrites the bytes of a request after the handler returns.
type call struct {
	*Handler
	ctx     *fasthttp.RequestCtx
	dialect dialect
	params  map[string]string // of the path, decoded
	trusted bool              // the request carries a right secret
}

func (c *call) query(name string) string { return string(c.ctx.QueryArgs().Peek(name)) }

// isSet reports whether a parameter of the query is "true" or "1".
func (c *call) isSet(name string) bool {
	value := c.query(name)
	return value == "true" || value == "1"
}

func (c *call) now() limiter.Now { return limiter.At(time.Now()) }

// failed is an error whose message is sent to the caller unchanged.
type failed struct {
	status  int
	message string
}

func (f failed) Error() string { return f.message }

func failure(status int, format string, args ...any) error {
	return failed{status, fmt.Sprintf(format, args...)}
}

// fail answers with an error. It is the only place that does. An error that is not known to be safe
// to show is logged, and the caller gets "internal error".
func (c *call) fail(err error) {
	var known failed
	var problems problem.List
	switch {
	case errors.As(err, &known):
	case errors.As(err, &problems):
		known = failed{fasthttp.StatusBadRequest, "Request malformed: " + problems.Error()}
	case errors.Is(err, auth.ErrDamaged):
		known = failed{fasthttp.StatusConflict, "The record is damaged: write it again (POST) or restore a backup"}
	case errors.Is(err, store.ErrMoved):
		known = failed{fasthttp.StatusServiceUnavailable, "The database file was removed or replaced while in use: put it back, or restart; nothing was written"}
	case errors.Is(err, auth.ErrStoreDown):
		known = failed{fasthttp.StatusServiceUnavailable, "The store is not available; nothing was written"}
	case errors.Is(err, password.ErrBusy):
		known = failed{fasthttp.StatusServiceUnavailable, "Too many passwords are being hashed; nothing was written"}
	case errors.Is(err, store.ErrOutcomeUnknown) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)):
		c.Log.Error("a write failed", "error", err)
		known = failed{fasthttp.StatusInsufficientStorage, "The disk is full, and the write may or may not have been done: read the user again"}
	case errors.Is(err, store.ErrOutcomeUnknown):
		c.Log.Error("a write failed", "error", err)
		known = failed{fasthttp.StatusServiceUnavailable, "The write failed and may or may not have been done: read the user again"}
	default:
		c.Log.Error("an admin request failed", "error", err)
		known = failed{fasthttp.StatusInternalServerError, "internal error"}
	}
	c.ctx.Response.ResetBody()
	c.send(known.status, c.dialect.failure(known.message))
}

// logger is fasthttp's logger. It logs that a connection ended with an error, but not fasthttp's
// message: even with SecureErrorLogMessage that quotes a header that could not be read, which may be
// the one with the secret.
type logger struct{ log *slog.Logger }

func (l logger) Printf(string, ...any) {
	l.log.Debug("a connection ended with an error", "listener", "admin")
}
