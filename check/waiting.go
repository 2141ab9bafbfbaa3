package check

import (
	"bufio"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/limiter"
)

// waiting are the requests that are over their rate and held (throttle_interval,
// throttle_retry_limit). A held request costs no goroutine and no buffer: its connection
// is taken from the server, and given back once it is answered.
type waiting struct {
	handler *Handler
	server  *fasthttp.Server
	gate    *gate

	mu      sync.Mutex // protects all below
	held    map[*held]struct{}
	users   map[auth.Name]int // how many of them are a user's
	stopped bool
}

// roomLocked reports whether one more request of a user may be held: while fewer of its own
// are than there is room for. One user gets half of it at the most, rounded up, the next one
// half of the rest, and so on.
func (w *waiting) roomLocked(user auth.Name) bool {
	return !w.stopped && w.users[user] < w.handler.config.Load().MaxWaiting-len(w.held)
}

// held is one request that waits.
type held struct {
	*waiting
	user     auth.Name
	conn     net.Conn
	unread   []byte // what the caller sent after the request
	dialect  *dialect
	question *auth.Held
	throttle auth.Throttle
	response fasthttp.ResponseHeader // as the server prepared it
	came     time.Time
	header   *fasthttp.RequestHeader // for the observers; nil where they need none
	http10   bool
	close    bool // the connection, after the answer
	noBody   bool // of the answer to HEAD

	mu    sync.Mutex // protects all below
	timer *time.Timer
	next  time.Time // of the next try
	tries int64
	ended bool
}

// lookEvery is how long a caller that has left may go unnoticed.
const lookEvery = time.Second

// hold takes a request and its connection away from the server, or returns false where
// it must be answered now.
func (w *waiting) hold(ctx *fasthttp.RequestCtx, d *dialect, q *auth.Request, v *auth.Verdict) bool {
	user := auth.Name{Org: v.Account.Org(), User: v.Account.User()}
	w.mu.Lock()
	room := w.roomLocked(user)
	w.mu.Unlock()
	if !room {
		return false
	}
	h := &held{
		waiting:  w,
		user:     user,
		dialect:  d,
		question: w.handler.checker.Hold(q, v),
		throttle: *v.Throttle,
		http10:   !ctx.Request.Header.IsHTTP11(),
		close:    ctx.Request.Header.ConnectionClose(),
		noBody:   ctx.IsHead(),
		came:     ctx.Time(),
		next:     ctx.Time().Add(v.Throttle.Interval),
	}
	if v.Account.Detailed() {
		h.header = new(fasthttp.RequestHeader)
		ctx.Request.Header.CopyTo(h.header)
	}
	ctx.Response.Header.CopyTo(&h.response)
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(h.begin)
	return true
}

// begin is called by the server when it has let go of the connection.
func (h *held) begin(c net.Conn) {
	h.conn, h.unread = unwrap(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting.mu.Lock()
	room := h.roomLocked(h.user)
	if room {
		if h.held == nil {
			h.held, h.users = make(map[*held]struct{}), make(map[auth.Name]int)
		}
		h.held[h] = struct{}{}
		h.users[h.user]++
	}
	h.waiting.mu.Unlock()
	if !room {
		h.endLocked(h.retry())
		return
	}
	h.timer = time.AfterFunc(h.pause(), h.wake)
}

// unwrap returns the connection that the server had, and what its buffer holds of it.
func unwrap(c net.Conn) (conn net.Conn, unread []byte) {
	conn = c.(interface{ UnsafeConn() net.Conn }).UnsafeConn()
	// With the deadline in the past only what is in the buffer can be read.
	if conn.SetReadDeadline(time.Unix(1, 0)) == nil {
		unread, _ = io.ReadAll(c)
	}
	if before, ok := conn.(*resumed); ok {
		conn = before.Conn // all that it kept was read above
	}
	conn.SetReadDeadline(time.Time{})
	return conn, unread
}

// pause returns how long the request may sleep.
func (h *held) pause() time.Duration { return min(time.Until(h.next), lookEvery) }

// wake tries the request again when it is time, and looks after its caller.
func (h *held) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
	case h.callerLeft():
		h.closeLocked()
	case time.Until(h.next) > 0:
		h.timer.Reset(h.pause())
	default:
		h.tries++
		verdict := h.retry()
		// Who was over the rate for all tries but this one is told what this one found.
		if verdict.Reason != auth.RateExceeded || h.tries >= h.throttle.Retries {
			h.endLocked(verdict)
			return
		}
		h.next = h.next.Add(h.throttle.Interval)
		h.timer.Reset(h.pause())
	}
}

// retry asks again. A panic is a refusal, as in [Handler.Handle].
func (h *held) retry() (v auth.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			h.handler.logPanic(p)
			v = auth.Verdict{Reason: auth.RateExceeded, Message: auth.RateExceeded.Message()}
		}
	}()
	return h.handler.checker.Retry(limiter.At(time.Now()), h.question)
}

// callerLeft reports whether the connection has been closed from the other side.
func (h *held) callerLeft() bool {
	raw, ok := h.conn.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	left := true // where the connection is closed on our side, nobody asks below
	_ = control.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		left = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
		return true
	})
	return left
}

// endLocked answers the request and gives its connection back to the server.
func (h *held) endLocked(v auth.Verdict) {
	response := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(response)
	h.response.CopyTo(&response.Header)
	response.SkipBody = h.noBody
	h.handler.write(response, h.dialect, &v)
	h.handler.counts.add(0, h.dialect, &v, time.Since(h.came))
	q := h.question.Request()
	h.handler.observe(h.came, h.header, h.dialect, &q, &v)
	stopping := h.leave()
	last := h.close || stopping
	if last {
		response.Header.SetConnectionClose()
	} else if h.http10 {
		response.Header.Set("Connection", "keep-alive")
	}
	writer := bufio.NewWriter(h.conn)
	err := h.conn.SetWriteDeadline(time.Now().Add(h.server.WriteTimeout))
	if err == nil {
		err = response.Write(writer)
	}
	if err == nil {
		err = writer.Flush()
	}
	if err != nil || last {
		h.closeLocked()
		return
	}
	h.ended = true
	go h.server.ServeConn(&resumed{Conn: h.conn, unread: h.unread})
}

func (h *held) closeLocked() {
	h.leave()
	h.ended = true
	h.conn.Close()
	h.gate.state(h.conn, fasthttp.StateClosed)
}

// leave takes the request out of those that wait.
func (h *held) leave() (stopping bool) {
	h.waiting.mu.Lock()
	defer h.waiting.mu.Unlock()
	if _, waits := h.held[h]; waits {
		delete(h.held, h)
		if h.users[h.user]--; h.users[h.user] == 0 {
			delete(h.users, h.user)
		}
	}
	return h.stopped
}

// stop answers all that wait with what they would have been told without waiting, and
// holds nobody any more.
func (w *waiting) stop() {
	w.mu.Lock()
	w.stopped = true
	var all []*held
	for h := range w.held {
		all = append(all, h)
	}
	w.mu.Unlock()
	for _, h := range all {
		h.mu.Lock()
		if !h.ended {
			if h.timer != nil {
				h.timer.Stop()
			}
			h.endLocked(h.retry())
		}
		h.mu.Unlock()
	}
}

// Waiting returns how many requests are held.
func (h *Handler) Waiting() int {
	h.waiting.mu.Lock()
	defer h.waiting.mu.Unlock()
	return len(h.waiting.held)
}

// StopWaiting answers all requests that are held, and holds no more.
func (h *Handler) StopWaiting() { h.waiting.stop() }

// resumed is a connection that was held. What was read of it and not used comes first.
type resumed struct {
	net.Conn
	unread []byte
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.unread) > 0 {
		n := copy(p, r.unread)
		r.unread = r.unread[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}
