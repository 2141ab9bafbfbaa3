package check

import (
	"sync"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// waiting are the requests that are over their rate and held (throttle_interval,
// throttle_retry_limit). A held request costs a timer, but no goroutine and no buffer.
type waiting struct {
	handler *Handler

	mu      sync.Mutex // protects all below
	held    map[*Held]struct{}
	users   map[session.Name]int // number of held requests by user
	stopped bool
}

// roomLocked reports whether one more request of a user may be held: while fewer of the
// user's requests are held than there are free places. So one user gets at most half of the
// places, rounded up, the next user half of the rest, and so on.
func (w *waiting) roomLocked(user session.Name) bool {
	return !w.stopped && w.users[user] < w.handler.checker.Settings().Replies.MaxWaiting-len(w.held)
}

// Caller is the proxy that waits for the reply to a held request. Its methods are not called
// at the same time, and none of them after Answer or Close.
type Caller interface {
	// Left reports whether the caller has gone away. It is asked once a second.
	Left() bool
	// Answer writes the reply, of which nothing may be kept. If last is set, the program is
	// stopping and the caller must not be served again.
	Answer(r *Reply, last bool)
	// Close gives up a caller that has left.
	Close()
}

// Held is a request that waits because it is over its rate.
type Held struct {
	handler  *Handler
	caller   Caller
	user     session.Name
	dialect  *Dialect
	question *auth.Held
	throttle session.Throttle
	at       time.Time
	headers  Headers // for the observers; nil if they need none

	mu    sync.Mutex // protects all below
	timer *time.Timer
	next  time.Time // of the next try
	tries int64
	ended bool
}

// leftEvery is how often the handler looks whether a caller has left.
const leftEvery = time.Second

// hold makes the request in x, whose verdict has a throttle, one that is held, or returns
// nil if there is no room.
func (w *waiting) hold(x *Exchange) *Held {
	v := &x.Verdict
	user := session.Name{Org: v.Account.Org(), User: v.Account.User()}
	w.mu.Lock()
	room := w.roomLocked(user)
	w.mu.Unlock()
	if !room {
		return nil
	}
	h := &Held{
		handler:  w.handler,
		user:     user,
		dialect:  x.Dialect,
		question: w.handler.checker.Hold(&x.Request, v),
		throttle: *v.Throttle,
		at:       x.At,
		next:     x.At.Add(v.Throttle.Interval),
	}
	if v.Account.Detailed() {
		h.headers = x.Headers.Clone()
	}
	return h
}

// Start begins to wait, or answers c at once if there is no more room. Call it once.
func (h *Held) Start(c Caller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.caller = c
	w := &h.handler.waiting
	w.mu.Lock()
	room := w.roomLocked(h.user)
	if room {
		if w.held == nil {
			w.held, w.users = make(map[*Held]struct{}), make(map[session.Name]int)
		}
		w.held[h] = struct{}{}
		w.users[h.user]++
	}
	w.mu.Unlock()
	if !room {
		h.endLocked(h.retry())
		return
	}
	h.timer = time.AfterFunc(h.pause(), h.wake)
}

// pause returns how long the request may sleep.
func (h *Held) pause() time.Duration { return min(time.Until(h.next), leftEvery) }

// wake tries the request again if it is time, and looks whether its caller has left.
func (h *Held) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
	case h.caller.Left():
		h.ended = true
		h.leave()
		h.caller.Close()
	case time.Until(h.next) > 0:
		h.timer.Reset(h.pause())
	default:
		h.tries++
		verdict := h.retry()
		if verdict.Reason != auth.RateExceeded || h.tries >= h.throttle.Retries {
			h.endLocked(verdict)
			return
		}
		h.next = h.next.Add(h.throttle.Interval)
		h.timer.Reset(h.pause())
	}
}

// retry checks the request again. If that panics, the request is refused.
func (h *Held) retry() (v auth.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			h.handler.LogPanic(p)
			v = auth.Verdict{Reason: auth.RateExceeded, Message: auth.RateExceeded.Message()}
		}
	}()
	return h.handler.checker.Retry(limiter.At(time.Now()), h.question)
}

// endLocked answers the request.
func (h *Held) endLocked(v auth.Verdict) {
	x := NewExchange()
	defer x.Release()
	x.Question = Question{At: h.at, Dialect: h.dialect, Request: h.question.Request(), Headers: h.headers}
	x.Verdict = v
	h.handler.finish(x)
	h.ended = true
	stopping := h.leave()
	h.caller.Answer(&x.Reply, stopping)
}

// leave takes the request out of those that wait.
func (h *Held) leave() (stopping bool) {
	w := &h.handler.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, waits := w.held[h]; waits {
		delete(w.held, h)
		if w.users[h.user]--; w.users[h.user] == 0 {
			delete(w.users, h.user)
		}
	}
	return w.stopped
}

// Waiting returns how many requests are held.
func (h *Handler) Waiting() int {
	h.waiting.mu.Lock()
	defer h.waiting.mu.Unlock()
	return len(h.waiting.held)
}

// StopWaiting checks all held requests once more, answers them, and holds no more.
func (h *Handler) StopWaiting() {
	w := &h.waiting
	w.mu.Lock()
	w.stopped = true
	var all []*Held
	for held := range w.held {
		all = append(all, held)
	}
	w.mu.Unlock()
	for _, held := range all {
		held.stop()
	}
}

func (h *Held) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	h.endLocked(h.retry())
}
