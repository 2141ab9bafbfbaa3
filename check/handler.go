// Package check answers the question that proxies ask for every request: may it pass?
//
// A listener reads a [Question] from what a proxy sends, [Handler.Check] decides about it
// and puts the verdict into a [Reply], and the listener writes the reply. Everything that
// listeners share is here: the texts and headers of replies, records for observers,
// counters, explanations, and requests that are held because they are over their rate.
// Reading a protocol and writing it is the listeners' part: see check/http.
//
// A listener lends the bytes of a request until Check returns. So nothing here keeps a
// slice of a question: it goes down into [auth.Checker.Check], which keeps none either,
// and what comes back are values and bytes of accounts and constants.
package check

import (
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"sidekey/auth"
	"sidekey/limiter"
)

// Handler answers questions. It is safe for concurrent use.
type Handler struct {
	checker *auth.Checker
	log     *slog.Logger
	notices notices
	waiting waiting
	counts  counts

	observers atomic.Pointer[[]Observer] // nil: none
}

// NewHandler returns a handler over a checker, whose settings say how replies are written.
func NewHandler(checker *auth.Checker, log *slog.Logger) *Handler {
	h := &Handler{checker: checker, log: log}
	h.waiting.handler = h
	return h
}

// replies returns how a verdict is put into a reply: by the settings that it was made by.
func (h *Handler) replies(v *auth.Verdict) *auth.Replies {
	s := v.Settings
	if s == nil { // nothing was decided
		s = h.checker.Settings()
	}
	return &s.Replies
}

// Check decides about the question in x, counts and records the decision, and fills in
// x.Verdict and x.Reply.
//
// If the request is over its rate and may wait, Check returns it as held and leaves
// x.Reply empty. The listener must then call [Held.Start].
func (h *Handler) Check(x *Exchange) (held *Held) {
	if x.Missing != "" {
		h.misconfigured(x)
		return nil
	}
	h.checker.CheckInto(&x.Verdict, limiter.At(x.At), &x.Request)
	if x.Verdict.Throttle != nil {
		if held := h.waiting.hold(x); held != nil {
			return held
		}
	}
	if x.Record.Verdict.Excess {
		h.notices.excess(h.log, &x.Record.Verdict)
	}
	h.finish(x)
	return nil
}

// finish makes the reply of a verdict and reports the decision.
func (h *Handler) finish(x *Exchange) {
	d := x.Dialect
	if d == nil {
		d = Forward // any proxy can pass its refusals on
	}
	x.Reply.write(h.replies(&x.Verdict), d, &x.Verdict)
	x.Took = time.Since(x.At)
	h.counts.add(h.checker, &x.Record)
	h.observe(&x.Record)
}

// misconfigured refuses a question that a proxy has not asked completely.
func (h *Handler) misconfigured(x *Exchange) {
	h.Misconfigured(x.Dialect.String(), x.Missing)
	x.Request = auth.Request{}
	x.Verdict = auth.Verdict{Reason: auth.ProxyConfig, Message: auth.ProxyConfig.Message()}
	h.finish(x)
}

// Misconfigured logs that a proxy's configuration lacks a setting, each at most every ten
// seconds: the proxy repeats the mistake with every request.
func (h *Handler) Misconfigured(dialect, missing string) {
	if dialect == "" {
		dialect = "none"
	}
	if h.notices.due(dialect, missing) {
		h.log.Warn("request refused: a required proxy header is missing or repeated", "reason", auth.ProxyConfig.String(), "dialect", dialect, "missing", missing)
	}
}

// LogPanic logs a panic of a check. Its listener must refuse the request: see [Reply.Deny].
func (h *Handler) LogPanic(p any) {
	h.log.Error("BUG: a check panicked; the request is refused", "panic", p, "stack", string(debug.Stack()))
}

// notices logs what is wrong with a configuration, each thing at most every ten seconds:
// every request may repeat it.
type notices struct {
	last [64]atomic.Int64 // Unix nanoseconds, by a hash of the notice
}

const noticeEvery = 10 * time.Second

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
