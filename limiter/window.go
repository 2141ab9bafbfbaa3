package limiter

import (
	"math"
	"sync"
	"time"
)

// Up to maxExact requests per window, the time of every admit is remembered, which takes 8
// bytes for each. For a larger limit, 65 counters of sub-windows replace the times once more
// than minParts of them are there, which is when they are smaller.
const (
	maxExact = 4096
	minParts = 64
)

// Window is a sliding-window rate limit: with admits at t1 <= t2 <= …, always
// t(i+n) − t(i) >= per, at any concurrency. A refusal changes nothing, so a client that keeps
// retrying still gets its full rate.
//
// For n above 4096, sub-windows of per/64 are counted instead of admits once there are more
// than 64: it then never admits too many, and at most 1.6 % too few.
//
// State lives in memory only. A nil *Window is no limit.
type Window struct {
	n   int64 // admits per window, at least 1
	per int64 // length of the window, ns, at least 1

	mu       sync.Mutex // protects everything below
	log      admitLog
	clock    int64 // newest time of a call, Now.Mono
	smoothed *smoothed
	retired  bool // see [Retire]
}

// admitLog remembers when requests were admitted. The two implementations differ only in
// memory and precision.
type admitLog interface {
	// inWindow returns how many of the admits count at now, and how long it takes
	// until fewer than limit count.
	inWindow(now, per, limit int64) (count, wait int64)
	// add records count admits at now.
	add(now, count int64)
	// each calls f with the admits that it remembers, oldest first, none with a time before its own.
	each(f func(at, count int64))
}

// NewWindow returns a limit of rate requests per that many seconds, or nil (no limit) if
// either is zero or less. A rate below one stretches the window: 0.5 per 1 s is one per 2 s.
// Any other fraction is cut off: 2.5 per 10 s is 2.
func NewWindow(rate, per float64) *Window {
	n, length := enforced(rate, per)
	if n == 0 {
		return nil
	}
	return &Window{n: n, per: length, log: newLog(n)}
}

func newLog(n int64) admitLog {
	if n > maxExact {
		n = minParts
	}
	return &ring{max: int(n), times: make([]int64, 1)}
}

// SetLimit changes the limit to rate per that many seconds, both above zero. Admits that
// count under the new limit go on counting, as far as the old one remembered them.
func (w *Window) SetLimit(rate, per float64) {
	n, length := enforced(rate, per)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n == n && w.per == length {
		return
	}
	before := w.log
	w.n, w.per, w.log, w.smoothed = n, length, newLog(n), nil
	before.each(func(at, count int64) { w.logLocked(min(at, w.clock), count) })
}

// enforced returns the limit that NewWindow enforces for rate and per: n requests in any ns
// nanoseconds, or zeros for no limit.
func enforced(rate, per float64) (n, ns int64) {
	switch {
	case math.IsNaN(rate) || math.IsNaN(per) || rate <= 0 || per <= 0:
		return 0, 0
	case rate < 1:
		return 1, min(Nanoseconds(per/rate), maxWindow)
	case rate >= math.MaxInt64:
		return 0, 0
	}
	return int64(rate), min(Nanoseconds(per), maxWindow)
}

// maxWindow is the longest window, 146 years. One more sub-window can be added to it without
// overflow.
const maxWindow = 1 << 62

// RateState is the state of a window after a request, for reports and response headers. With
// 10 requests per second, after the tenth within half a second, it is {Limit: 10, Per: 1s,
// Remaining: 0, Reset: 1s, Retry: 500ms}.
type RateState struct {
	Limit     int64         // requests per window at this moment (see Smoothing); 0 = no limit
	Per       time.Duration // length of the window
	Remaining int64         // admits left at this moment, after the request
	Reset     time.Duration // until the whole window is free again
	Retry     time.Duration // until one more may pass; 0 while Remaining > 0
}

// State returns the state at now and charges nothing.
func (w *Window) State(now Now) RateState {
	if w == nil {
		return RateState{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stateLocked(now.Mono)
}

// tickLocked returns now, or the time of an earlier call if that is later. A caller that read
// its clock before another one is moved up to it: what was dropped for the other may still be
// in this one's window.
func (w *Window) tickLocked(now int64) int64 {
	w.clock = max(w.clock, now)
	return w.clock
}

// admitsLocked reports whether one more request may pass.
func (w *Window) admitsLocked(asked int64) bool {
	now := w.tickLocked(asked)
	count, _ := w.log.inWindow(now, w.per, w.n)
	if w.smoothed != nil {
		w.smoothed.follow(now, count, w.n)
	}
	return count < w.allowedLocked()
}

// allowedLocked returns how many requests per window may pass at this moment.
func (w *Window) allowedLocked() int64 {
	if w.smoothed != nil {
		return w.smoothed.allowed
	}
	return w.n
}

func (w *Window) addLocked(asked int64) {
	now := w.tickLocked(asked)
	w.logLocked(now, 1)
	if w.smoothed != nil {
		w.smoothed.empty = AddSaturating(w.per, now)
	}
}

// logLocked records count admits at now.
func (w *Window) logLocked(now, count int64) {
	if r, ok := w.log.(*ring); ok && int64(r.size)+count > int64(r.max) && w.n > int64(r.max) {
		parts := newSubWindows(w.per)
		r.each(parts.add)
		w.log = parts
	}
	w.log.add(now, count)
}

func (w *Window) stateLocked(asked int64) RateState {
	now, allowed := w.tickLocked(asked), w.allowedLocked()
	count, wait := w.log.inWindow(now, w.per, allowed)
	_, reset := w.log.inWindow(now, w.per, 1)
	s := RateState{
		Limit:     allowed,
		Per:       time.Duration(w.per),
		Remaining: max(0, allowed-count),
	}
	if reset > 0 {
		s.Reset = time.Duration(AddSaturating(reset, now-asked))
	}
	if wait > 0 {
		s.Retry = time.Duration(AddSaturating(wait, now-asked))
	}
	return s
}

// Same reports whether a window made from rate and per would enforce the same limit.
func (w *Window) Same(rate, per float64) bool {
	n, ns := enforced(rate, per)
	if w == nil {
		return n == 0
	}
	return w.n == n && w.per == ns
}

// ring holds the times of the last admits, oldest at head. It grows to max as it
// fills: a user with a limit of 1000 that sends 3 requests a window pays for 4.
type ring struct {
	max   int
	times []int64
	head  int
	size  int
}

func (r *ring) inWindow(now, per, limit int64) (count, wait int64) {
	for r.size > 0 && now-r.times[r.head] >= per {
		r.head = (r.head + 1) % len(r.times)
		r.size--
	}
	count = int64(r.size)
	if count < limit {
		return count, 0
	}
	// The entry that has to leave so that limit-1 remain.
	leaves := r.times[(r.head+int(count-limit))%len(r.times)]
	return count, AddSaturating(leaves, per) - now
}

// add remembers at most max admits: older ones cannot count under this limit.
func (r *ring) add(now, count int64) {
	for range min(count, int64(r.max)) {
		if r.size == r.max {
			r.head = (r.head + 1) % len(r.times)
			r.size--
		}
		if r.size == len(r.times) {
			r.grow()
		}
		r.times[(r.head+r.size)%len(r.times)] = now
		r.size++
	}
}

func (r *ring) each(f func(at, count int64)) {
	for i := range r.size {
		f(r.times[(r.head+i)%len(r.times)], 1)
	}
}

func (r *ring) grow() {
	grown := make([]int64, min(r.max, 2*len(r.times)))
	n := copy(grown, r.times[r.head:])
	copy(grown[n:], r.times[:r.head])
	r.times, r.head = grown, 0
}

// subWindowCount is how many parts a large limit's window has. The oldest part that the
// window touches is counted in full, hence one more counter.
const subWindowCount = 64

type subWindows struct {
	length int64 // of one part, ns, rounded up: longer parts only refuse more
	newest int64 // number of the part that the last admit fell into
	counts [subWindowCount + 1]int64
	total  int64
}

func newSubWindows(per int64) *subWindows {
	length := per / subWindowCount
	if per%subWindowCount != 0 {
		length++
	}
	return &subWindows{length: length}
}

// part maps a time to its sub-window. Monotonic time starts at zero. A caller that another one
// has overtaken counts as being in the newest part.
func (s *subWindows) part(now int64) int64 { return max(now/s.length, s.newest) }

func (s *subWindows) inWindow(now, _, limit int64) (count, wait int64) {
	s.advance(s.part(now))
	if s.total < limit {
		return s.total, 0
	}
	if s.counts[index(s.newest)] >= limit {
		return s.total, s.until(s.newest, now)
	}
	// Parts fall out one at a time, oldest first.
	left := s.total
	oldest := s.newest - subWindowCount
	for left -= s.counts[index(oldest)]; left >= limit; left -= s.counts[index(oldest)] {
		oldest++
	}
	return s.total, s.until(oldest, now)
}

// until returns how long it takes for part to leave the window; never zero.
func (s *subWindows) until(part, now int64) int64 {
	return max(1, (part+subWindowCount+1)*s.length-now)
}

func (s *subWindows) add(now, count int64) {
	s.advance(s.part(now))
	s.counts[index(s.newest)] += count
	s.total += count
}

// each reports every admit at the end of its part, the latest time that it can have had.
func (s *subWindows) each(f func(at, count int64)) {
	for part := s.newest - subWindowCount; part <= s.newest; part++ {
		if count := s.counts[index(part)]; count > 0 {
			f((part+1)*s.length-1, count)
		}
	}
}

// advance drops the parts that a window that ends in part no longer touches.
func (s *subWindows) advance(part int64) {
	if part-s.newest > subWindowCount {
		s.counts, s.total, s.newest = [subWindowCount + 1]int64{}, 0, part
		return
	}
	for s.newest < part {
		s.newest++
		s.total -= s.counts[index(s.newest)]
		s.counts[index(s.newest)] = 0
	}
}

func index(part int64) int64 {
	const n = subWindowCount + 1
	return (part%n + n) % n
}
