// Package check is the listener that proxies ask for every request: may it pass?
//
// Every path and method on it is a question; it has no other page, because nothing
// but an admitted request may ever be answered 2xx (oauth2-proxy CVE-2026-34457).
//
// fasthttp lends the bytes of a request until its handler returns, and gives them to
// the next request on the connection then. So nothing here keeps a slice: it goes
// down into [auth.Checker.Check], which keeps none either, and what comes back are
// values and bytes of accounts and constants.
package check

import (
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/limiter"
)

// Config says how verdicts are put into answers.
type Config struct {
	QuotaStatus        int  // what the client sees when its quota is used up: 403 or 429
	RateInHeaders      bool // X-RateLimit-* carry the rate instead of the quota
	StripAuthorization bool // ask proxies that can be asked to take Authorization off
	MaxWaiting         int  // how many requests over their rate are held at once; 0 = none
}

// Handler answers the proxies.
type Handler struct {
	checker *auth.Checker
	config  atomic.Pointer[Config]
	log     *slog.Logger
	notices notices
	waiting waiting
	counts  counts

	observers atomic.Pointer[[]Observer] // nil: nobody observes
}

// NewHandler returns a handler over a checker.
func NewHandler(checker *auth.Checker, config Config, log *slog.Logger) *Handler {
	h := &Handler{checker: checker, log: log}
	h.waiting.handler = h
	h.SetConfig(config)
	return h
}

// SetConfig replaces the configuration for all requests that start from now on.
func (h *Handler) SetConfig(c Config) { h.config.Store(&c) }

// Handle answers one request. A panic is a refusal: the default is to deny.
func (h *Handler) Handle(ctx *fasthttp.RequestCtx) {
	defer h.denyPanic(ctx)
	d, q, missing := readQuestion(&ctx.Request.Header)
	if missing != "" {
		h.misconfigured(ctx, d, missing)
		return
	}

	verdict := h.checker.Check(limiter.At(ctx.Time()), &q)
	if verdict.Throttle != nil && h.waiting.hold(ctx, d, &q, &verdict) {
		return
	}
	if verdict.Excess {
		h.notices.excess(h.log, &verdict)
	}
	h.write(&ctx.Response, d, &verdict)
	h.counts.add(ctx.ConnID(), d, &verdict, time.Since(ctx.Time()))
	h.observe(ctx.Time(), &ctx.Request.Header, d, &q, &verdict)
}

// misconfigured refuses what is no question. d is nil where the path names no dialect.
func (h *Handler) misconfigured(ctx *fasthttp.RequestCtx, d *dialect, missing string) {
	name, answered := "none", &forward
	if d != nil {
		name, answered = d.name, d
	}
	h.notices.missing(h.log, name, missing)
	verdict := auth.Verdict{Reason: auth.ProxyConfig, Message: auth.ProxyConfig.Message()}
	h.write(&ctx.Response, answered, &verdict)
	h.counts.add(ctx.ConnID(), d, &verdict, time.Since(ctx.Time()))
	h.observe(ctx.Time(), &ctx.Request.Header, d, &auth.Request{}, &verdict)
}

// denyPanic answers 403 and not 5xx: a client may have found the input that panics,
// and with failure_mode_allow Envoy lets a request through on 5xx.
func (h *Handler) denyPanic(ctx *fasthttp.RequestCtx) {
	p := recover()
	if p == nil {
		return
	}
	h.logPanic(p)
	deny(ctx)
}

func (h *Handler) logPanic(p any) {
	h.log.Error("BUG: a check panicked; the request is refused", "panic", p, "stack", string(debug.Stack()))
}

const notUnderstood = "Request not understood"

// deny answers what could not be understood. 403 is the one status that every proxy
// passes on as a refusal.
func deny(ctx *fasthttp.RequestCtx) {
	ctx.Response.Reset()
	ctx.Response.Header.SetNoDefaultContentType(true)
	ctx.SetStatusCode(fasthttp.StatusForbidden)
	ctx.Response.Header.SetCanonical(nameErrorStatus, []byte("403"))
	ctx.Response.Header.SetCanonical(nameErrorMessage, []byte(notUnderstood))
	ctx.Response.Header.SetCanonical(nameCacheControl, noStore)
	ctx.Response.Header.SetCanonical(nameContentType, jsonType)
	ctx.SetBodyString(`{"error": "` + notUnderstood + `"}`)
}

// clientHeaders gives the decision access to the headers that the proxy passed on.
type clientHeaders struct {
	header *fasthttp.RequestHeader
}

func (c clientHeaders) Header(name string) (value []byte, count int) {
	values := c.header.PeekAll(name)
	if len(values) == 0 {
		return nil, 0
	}
	return values[0], len(values)
}

func (c clientHeaders) Values(name []byte) [][]byte { return c.header.PeekAll(string(name)) }

// notices logs what is wrong with a configuration, each thing at most every ten seconds:
// every request may repeat it.
type notices struct {
	last [64]atomic.Int64 // Unix nanoseconds, by a hash of the notice
}

const noticeEvery = 10 * time.Second

// missing logs that a proxy does not send what it must.
func (n *notices) missing(log *slog.Logger, dialect, setting string) {
	if n.due(dialect, setting) {
		log.Warn("refused: the proxy does not say what it has to, exactly once", "reason", auth.ProxyConfig.String(), "dialect", dialect, "missing", setting)
	}
}

// excess logs that a path could not be compared with the patterns of a right.
func (n *notices) excess(log *slog.Logger, v *auth.Verdict) {
	if a := v.Account; n.due(a.User(), v.API.ID) {
		log.Warn("request refused: comparing its path with the patterns of the user's right takes too many steps", "reason", v.Reason.String(), "org", a.Org(), "user", a.User(), "api", v.API.ID)
	}
}

// due reports whether a notice about two things may be logged now.
func (n *notices) due(a, b string) bool {
	hash := uint32(2166136261)
	for _, text := range [...]string{a, b} {
		for _, c := range []byte(text) {
			hash = (hash ^ uint32(c)) * 16777619
		}
	}
	slot := &n.last[hash%uint32(len(n.last))]
	now := time.Now().UnixNano()
	last := slot.Load()
	return (last == 0 || now-last >= int64(noticeEvery)) && slot.CompareAndSwap(last, now)
}
