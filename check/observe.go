package check

import (
	"bytes"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
)

// Observer is told of decisions after the answer has been written. It must not block: the
// answer leaves when it returns.
type Observer interface {
	// Wants reports whether Observe is to be called for a verdict. It is asked for every
	// request.
	Wants(v auth.Verdict) bool
	// Observe is told of a decision. It must not keep d, nor any bytes in it.
	Observe(d *Decision)
}

// Decision is one request and what was answered.
type Decision struct {
	At      time.Time     // when the request was there
	Took    time.Duration // from At until the answer was written
	Dialect string        // "" where the path names none
	Request auth.Request  // zero where the proxy does not say what it has to
	Verdict auth.Verdict
	Header  *fasthttp.RequestHeader // of the proxy's request to us; nil where nobody is recorded in detail
}

// Path returns the path of the request's target as it was sent, without what may hold
// secrets: the query, a fragment, and the authority of an absolute URI.
func (d *Decision) Path() []byte {
	target := d.Request.URI
	if i := bytes.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	if len(target) == 0 || target[0] == '/' {
		return target
	}
	_, rest, absolute := bytes.Cut(target, []byte("://"))
	if !absolute {
		return target
	}
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return nil
}

var decisions = sync.Pool{New: func() any { return new(Decision) }}

// SetObservers sets who is told of all decisions from now on.
func (h *Handler) SetObservers(list ...Observer) { h.observers.Store(&list) }

// observe tells the observers of a decision. What they are given is not on the stack of
// the request: it would be allocated for each, wanted or not.
func (h *Handler) observe(at time.Time, header *fasthttp.RequestHeader, d *dialect, q *auth.Request, v *auth.Verdict) {
	list := h.observers.Load()
	if list == nil {
		return
	}
	for _, o := range *list {
		if !o.Wants(*v) {
			continue
		}
		decision := decisions.Get().(*Decision)
		*decision = Decision{At: at, Took: time.Since(at), Request: *q, Verdict: *v, Header: header}
		if d != nil {
			decision.Dialect = d.name
		}
		o.Observe(decision)
		*decision = Decision{} // nothing of the request outlives it
		decisions.Put(decision)
	}
}
