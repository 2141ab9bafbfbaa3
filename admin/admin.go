// Package admin is the listener for people and tools: users, health and
// the web page. It speaks two dialects of one API, the Tyk Dashboard's (/api) and the
// Tyk Gateway's (/tyk), over the same operations.
//
// It is meant for loopback, but a browser on the same machine will talk to it in the
// name of any page: see guard.go.
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

// Config is what the admin listener does not find out itself.
type Config struct {
	Users        Users
	PolicyStore  PolicyStore
	Policies     func() *session.Policies // in force
	Directory    *auth.Directory
	Settings     func() *auth.Settings // the configuration in force
	Rules        func() session.Rules  // what sessions are checked against
	Secrets      Secrets
	AdminSecrets []string      // one or two; see [LoadSecrets]
	WrongSecret  time.Duration // how long the answer to a wrong secret takes
	TLS          bool          // clients come by https
	Hosts        []string      // allowed in Host besides the loopback names, lower case
	Org          string        // of a request that names none
	Reload       func() error
	Health       func() Health
	Database     Database
	Metrics      func(w io.Writer, apis bool)                  // apis: with the ids of APIs
	Decisions    func() map[string]uint64                      // made since the start, by name of their reason
	Explain      func(auth.Question) (auth.Explanation, error) // an error is about the question
	KeyEvents    KeyEvents                                     // nil: nobody is told of what is written
	Version      string
	Log          *slog.Logger
}

// KeyEvents is told of users that were written over the API, once that is durable. It
// must not block.
type KeyEvents interface {
	Created(session.Name)
	Updated(session.Name)
	Deleted(session.Name)
}

// Handler answers the requests of the admin listener.
type Handler struct {
	Config
	guard     guard
	proofs    atomic.Pointer[func() []proof.Key] // of the secrets in force
	downloads downloads
}

// NewHandler returns a handler.
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

// SetSecrets replaces the secrets for all requests that start from now on.
func (h *Handler) SetSecrets(secrets []string) {
	h.guard.setSecrets(secrets)
	keys := proofKeys(secrets)
	h.proofs.Store(&keys)
}

// maxBody is the longest body that is read.
const maxBody = 1 << 20

// MaxConnections is how many connections are meant to be open at once. Whoever listens
// closes those beyond: fasthttp would answer them, one after the other, before it accepts
// the next, and wait for each that does not read.
const MaxConnections = 1024

// NewServer returns the server of the admin listener.
func NewServer(h *Handler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      h.Handle,
		ErrorHandler:                 h.unreadable,
		HeaderReceived:               h.received,
		Logger:                       logger{h.Log},
		ReadTimeout:                  10 * time.Second,
		WriteTimeout:                 30 * time.Second,
		IdleTimeout:                  2 * time.Minute,
		Concurrency:                  math.MaxInt32, // the listener bounds them
		ReadBufferSize:               32 << 10,
		MaxRequestBodySize:           maxBody,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
	}
}

// Handle answers one request.
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

// strangersBody is the longest body that is read of who does not show the secret: bodies
// are read before anything is answered, and strangers could fill the memory with them.
const strangersBody = 4 << 10

// received bounds the body of a request by its header.
func (h *Handler) received(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if h.guard.knowsSecret(header) {
		return fasthttp.RequestConfig{}
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: strangersBody}
}

// unreadable answers what is no HTTP request, or too large a one.
func (h *Handler) unreadable(ctx *fasthttp.RequestCtx, err error) {
	c := &call{Handler: h, ctx: ctx, dialect: dialectOf(ctx.Request.Header.RequestURI())}
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		if len(ctx.Request.Header.Host()) > 0 { // else the header is gone: the body came in chunks
			if _, err := h.guard.check(ctx, c.dialect); err != nil {
				c.fail(err)
				return
			}
		}
		c.fail(failure(fasthttp.StatusRequestEntityTooLarge, "Request malformed: body: must be at most %d bytes", maxBody))
	case errors.As(err, &small):
		c.fail(failure(fasthttp.StatusRequestHeaderFieldsTooLarge, "Request malformed: the header is too large"))
	default:
		c.fail(failure(fasthttp.StatusBadRequest, "Request malformed: this is no HTTP request"))
	}
}

// call is one request on its way to an answer. Everything it takes out of ctx is a
// copy: what is stored must not be fasthttp's to overwrite.
type call struct {
	*Handler
	ctx     *fasthttp.RequestCtx
	dialect dialect
	params  map[string]string // of the path, decoded
	trusted bool              // has shown the secret
}

func (c *call) query(name string) string { return string(c.ctx.QueryArgs().Peek(name)) }

// isSet reports whether a parameter of the query says yes.
func (c *call) isSet(name string) bool {
	value := c.query(name)
	return value == "true" || value == "1"
}

func (c *call) now() limiter.Now { return limiter.At(time.Now()) }

// failed is an error that the caller is told as it stands.
type failed struct {
	status  int
	message string
}

func (f failed) Error() string { return f.message }

func failure(status int, format string, args ...any) error {
	return failed{status, fmt.Sprintf(format, args...)}
}

// fail is the one place where an error becomes an answer. What is not known to be
// safe to show is logged and not shown.
func (c *call) fail(err error) {
	var known failed
	var problems problem.List
	switch {
	case errors.As(err, &known):
	case errors.As(err, &problems):
		known = failed{fasthttp.StatusBadRequest, "Request malformed: " + problems.Error()}
	case errors.Is(err, auth.ErrDamaged):
		known = failed{fasthttp.StatusConflict, "The record is damaged: write it anew (POST) or restore a backup"}
	case errors.Is(err, store.ErrMoved):
		known = failed{fasthttp.StatusServiceUnavailable, "The database file was removed or replaced while in use: put it back, or restart; nothing was written"}
	case errors.Is(err, auth.ErrStoreDown):
		known = failed{fasthttp.StatusServiceUnavailable, "The store is not available; nothing was written"}
	case errors.Is(err, password.ErrBusy):
		known = failed{fasthttp.StatusServiceUnavailable, "Too many passwords are being hashed; nothing was written"}
	case errors.Is(err, store.ErrOutcomeUnknown) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)):
		c.Log.Error("a write failed", "error", err)
		known = failed{fasthttp.StatusInsufficientStorage, "The disk is full: the write may or may not have been done: read the user again"}
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

// logger notes that a connection ended with an error, and no more: fasthttp puts the
// header that it could not read into its text, even with SecureErrorLogMessage, and that
// may be the one with the secret.
type logger struct{ log *slog.Logger }

func (l logger) Printf(string, ...any) {
	l.log.Debug("a connection ended with an error", "listener", "admin")
}
