package limiter

import (
	"errors"
	"math"
	"sync"
	"time"
)

// Quota admits at most max requests per period and survives a crash.
//
// The ledger holds how many requests of the period are reserved, the Quota how many of
// those were used. Always used <= reserved in the ledger <= max. A block is spent only
// after the ledger has reported that its grant is durable. So a crash loses what was
// reserved and not yet used (at most max/100, see aheadLocked), and no request is granted
// twice. Requests that other processes with the same ledger have reserved count as used. If
// they give some of them back, this process learns it with its next grant.
//
// For example, with max = 1000: the first request waits for a grant of 10, the following
// ones spend it, and the fifth asks for the next block while five are left. A crash at that
// moment costs the user those five.
//
// A period begins with the first grant and lasts renewal. A wall clock that steps back
// stays inside the period; one that steps forward ends it once.
//
// A nil *Quota is no limit.
type Quota struct {
	mu       sync.Mutex // protects all fields above key
	edition  uint64     // raised by SetLimit
	max      int64
	renewal  int64 // ns; 0 = never renews
	start    int64 // of the period in the ledger; 0 = none
	used     int64 // requests of the period, those reserved by other processes included
	reserved int64 // in the ledger; the difference to used may be spent here
	returned int64 // by all processes, as the ledger has reported it
	closed   bool
	failed   bool     // the last ask
	pending  *pending // the ask on its way to the ledger; nil: none
	step     int64    // reserved ahead of use; see aheadLocked
	waiting  int64    // callers of Wait that the next block should serve

	// The use at the time of the last ask. The size of the next block follows the traffic
	// since.
	askedAt   int64 // Now.Mono
	askedUsed int64

	reported float64   // percent up to which triggers were reported in this period
	triggers *triggers // nil: none

	key        QuotaKey
	generation uint64
	ledger     Ledger
}

// pending is one ask on its way to the ledger.
type pending struct {
	done chan struct{} // closed when the ledger has answered
}

// NewQuota returns a quota of limit requests per renewal seconds (zero or less: the
// period never ends). stored is the ledger's record of it: what is reserved there counts
// as used. A limit of zero or less is no limit: nil.
func NewQuota(key QuotaKey, limit, renewal int64, stored Reservation, ledger Ledger) *Quota {
	if limit <= 0 {
		return nil
	}
	return &Quota{
		key:        key,
		generation: stored.Generation,
		ledger:     ledger,
		max:        limit,
		renewal:    Nanoseconds(float64(renewal)),
		start:      stored.Start,
		used:       stored.Reserved,
		reserved:   stored.Reserved,
		returned:   stored.Returned,
		// After a clean stop exactly what is reserved was used, so the triggers up to there
		// were reported. A crash loses those in the part that it burns, 1 % at most.
		reported: percent(stored.Reserved, limit),
	}
}

// SetLimit changes maximum and renewal and keeps the period and what was used in it. It
// returns the edition of the quota that has them. A request that was looked up under an
// earlier edition (see [Limits]) is told to look again, so that it is not judged half by
// the old limits and half by the new ones.
func (q *Quota) SetLimit(limit, renewal int64) (edition uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.max, q.renewal = limit, Nanoseconds(float64(renewal))
	q.edition++
	return q.edition
}

// Close ends the quota: it admits no further request, and those that wait are told so
// ([QuotaIsStale]). Requests that are reserved and not used are lost; see [Quota.GiveBack].
func (q *Quota) Close() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// QuotaState is the state of a quota after a request, for reports and response headers. A
// quota of 100 per day of which 30 are used has {Limit: 100, Period: 24h, Remaining: 70,
// Renews: the first use + 24h, Retry: 0}; a used up one has Remaining 0 and Retry > 0.
type QuotaState struct {
	Limit     int64         // requests per period; 0 = no limit
	Period    time.Duration // 0 = never renews
	Remaining int64
	Renews    int64         // end of the period, Unix nanoseconds; 0 = no period has begun, or it never ends
	Retry     time.Duration // until the quota renews; 0 while Remaining > 0
}

// State returns the state at now and charges nothing.
func (q *Quota) State(now Now) QuotaState {
	if q == nil {
		return QuotaState{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stateLocked(now.Wall)
}

func (q *Quota) stateLocked(wall int64) QuotaState {
	s := QuotaState{Limit: q.max, Period: time.Duration(q.renewal), Remaining: q.max}
	if q.begunLocked(wall) {
		s.Remaining = max(0, q.max-q.used)
		if q.renewal > 0 {
			s.Renews = AddSaturating(q.start, q.renewal)
		}
		if s.Remaining == 0 {
			s.Retry = Forever
			if q.renewal > 0 {
				s.Retry = time.Duration(s.Renews - wall)
			}
		}
	}
	return s
}

// begunLocked reports whether wall lies in the period that the ledger holds.
func (q *Quota) begunLocked(wall int64) bool { return q.seenLocked().inPeriod(wall, q.renewal) }

// seenLocked returns what the ledger is known to hold.
func (q *Quota) seenLocked() Reservation {
	return Reservation{Generation: q.generation, Start: q.start, Reserved: q.reserved, Returned: q.returned}
}

// answer is a quota's answer to one more request.
type answer int

const (
	yes   answer = iota // may be charged now
	no                  // used up
	later               // no block is left: ask the ledger, then try again
	gone                // closed: look the user up again
)

func (q *Quota) askLocked(wall int64) answer {
	switch {
	case q.closed:
		return gone
	case !q.begunLocked(wall):
		return later
	case q.used >= q.max:
		return no
	case q.used >= q.reserved && !broken("quotalate"):
		return later
	}
	return yes
}

// chargeLocked uses one request, and asks for the next block when half of the present one
// is gone. It returns the triggers that the request has reached.
func (q *Quota) chargeLocked(now Now) (reached []float64) {
	q.used++
	if q.reserved-q.used <= q.step/2 {
		q.reserveLocked(now)
	}
	return q.reachedLocked()
}

// aheadLocked returns how many requests to reserve beyond those that are waiting: half a
// minute of the traffic since the last ask, so that a user with a few requests a second
// does not cost a write for each. It is at most 1 % of the maximum, which bounds what a
// crash can lose, and a quarter of what is left. Small quotas reserve nothing ahead: each
// of their requests waits for a commit of its own and a crash loses nothing.
func (q *Quota) aheadLocked(now Now, used int64) int64 {
	const horizon, minTraffic = int64(30 * time.Second), 16
	elapsed := max(now.Mono-q.askedAt, int64(time.Millisecond))
	traffic := float64(used-q.askedUsed) * float64(horizon) / float64(elapsed)
	traffic = min(max(traffic, minTraffic), math.MaxInt32)
	return min(int64(traffic), q.max/100, (q.max-used)/4)
}

// reserveLocked asks the ledger for the next block unless an ask is on its way or none
// is needed.
func (q *Quota) reserveLocked(now Now) {
	if q.pending != nil || q.closed {
		return
	}
	used, reserved := q.used, q.reserved
	if !q.begunLocked(now.Wall) { // the ledger will begin the next period
		used, reserved = 0, 0
		q.askedUsed = 0
	}
	step := q.aheadLocked(now, used)
	// A crash also loses what is reserved for waiting requests, before they are answered:
	// so no more at a time than may be lost.
	ahead := max(step, min(q.waiting, max(1, q.max/100)))
	want := min(q.max, AddSaturating(used, ahead)) - reserved
	if want <= 0 {
		return
	}
	q.askedAt, q.askedUsed, q.step = now.Mono, used, step
	q.sendLocked(Ask{Want: want, Seen: q.seenLocked(), Max: q.max, Renewal: q.renewal, Wall: now.Wall})
}

// sendLocked sends an ask to the ledger.
func (q *Quota) sendLocked(ask Ask) {
	p := &pending{done: make(chan struct{})}
	q.pending = p
	q.ledger.Reserve(q.key, ask, func(g Grant, err error) {
		q.mu.Lock()
		q.pending = nil
		q.failed = err != nil
		switch {
		case errors.Is(err, ErrStale):
			q.closed = true
		case err == nil:
			q.takeLocked(g)
		}
		q.mu.Unlock()
		close(p.done)
	})
}

// takeLocked adds a granted block to what may be spent here.
func (q *Quota) takeLocked(g Grant) {
	if g.Start != q.start {
		q.start, q.used, q.reserved, q.askedUsed = g.Start, 0, 0, 0
		q.forgetReportedLocked()
	}
	byOthers := g.Reserved - q.reserved - max(g.Count, 0)
	q.used += byOthers
	q.askedUsed += byOthers
	q.reserved, q.returned = g.Reserved, g.Returned
}

// Wait asks the ledger for a block and returns when it has answered, or after timeout. It
// reports whether trying again makes sense.
func (q *Quota) Wait(now Now, timeout time.Duration) bool {
	q.mu.Lock()
	if q.askLocked(now.Wall) != later {
		q.mu.Unlock()
		return true
	}
	q.waiting++
	q.reserveLocked(now)
	p := q.pending
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.waiting--
		q.mu.Unlock()
	}()
	if p == nil {
		return true
	}
	q.ledger.Hurry()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		q.mu.Lock()
		defer q.mu.Unlock()
		return !q.failed || q.closed
	case <-timer.C:
		return false
	}
}

// GiveBack closes the quota and returns the ask that gives back what is reserved and not
// used. needed is false if there is nothing to give back. After a failed ask, or while one
// is on its way, it is unknown what the ledger holds, so the ask is needed.
func (q *Quota) GiveBack() (key QuotaKey, ask Ask, needed bool) {
	if q == nil {
		return QuotaKey{}, Ask{}, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return q.key, q.giveBackLocked(), q.used < q.reserved || q.pending != nil || q.failed
}

// giveBackLocked returns the ask for as many requests fewer as are reserved and not used.
func (q *Quota) giveBackLocked() Ask {
	return Ask{Want: q.used - q.reserved, Seen: q.seenLocked(), Max: q.max, Renewal: q.renewal}
}
