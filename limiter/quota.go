package limiter

import (
	"errors"
	"math"
	"sync"
	"time"
)

// ErrStale is what a [Ledger] answers when the reservation belongs to a quota that
// an edit, a reset or a delete has ended: the Quota that asked must admit nobody
// any more.
var ErrStale = errors.New("quota was reset, edited or deleted")

// Ledger keeps what a quota has promised to remember.
type Ledger interface {
	// Reserve makes r durable and then calls done once, from any goroutine, with
	// nil, [ErrStale], or an error after which it is unknown whether r was kept.
	// It never blocks and never calls done before it returns. It may take its time, to
	// write several reservations at once, until Hurry is called.
	Reserve(key QuotaKey, r Reservation, done func(error))
	// Hurry says that somebody waits for a reservation that has been asked for.
	Hurry()
}

// QuotaKey names one quota: a user's own (Scope "") or one of its narrower ones.
type QuotaKey struct {
	Org, User, Scope string
}

// Reservation is the durable state of a quota.
type Reservation struct {
	Generation uint64 // of the user's record; a write that starts the quota afresh raises it
	Start      int64  // first moment of the period, Unix nanoseconds; 0 = none has begun
	Reserved   int64  // requests of this period that may have been admitted
}

// Quota admits at most max requests per period and survives a crash.
//
// On disk stands how many requests of the period are reserved; in memory, how many
// of those were used. Always used <= reserved on disk <= max. A reservation may be
// spent only after the ledger said that it is durable, so a crash can lose what was
// reserved and not yet used (at most max/100, see aheadLocked), and never gives anything
// twice.
//
// A period begins with the first admitted request and lasts renewal. A wall clock
// that steps back stays inside the period; one that steps forward ends it once.
//
// A nil *Quota is no limit.
type Quota struct {
	mu       sync.Mutex // protects everything but what stands last
	edition  uint64     // raised by SetLimit
	max      int64
	renewal  int64 // ns; 0 = never renews
	start    int64 // of the period on disk; 0 = none
	used     int64
	reserved int64
	closed   bool
	failed   bool // the last reservation
	pending  *pending
	step     int64 // reserved ahead of use; see aheadLocked
	waiting  int64 // callers of Wait that the next reservation should serve

	// How many requests came since the last reservation was asked for: the size of
	// the next one follows the traffic.
	askedAt   int64 // Now.Mono
	askedUsed int64

	told     float64   // percent up to which triggers have been reported in this period
	triggers *triggers // nil: none

	key        QuotaKey
	generation uint64
	ledger     Ledger
}

// pending is one reservation on its way to the ledger.
type pending struct {
	done chan struct{} // closed when the ledger has answered
}

// NewQuota returns a quota of limit requests per renewal seconds (zero or less: the
// period never ends), with the state that the ledger last kept. What was reserved
// counts as used. A limit of zero or less is no limit: nil.
func NewQuota(key QuotaKey, limit, renewal int64, kept Reservation, ledger Ledger) *Quota {
	if limit <= 0 {
		return nil
	}
	return &Quota{
		key:        key,
		generation: kept.Generation,
		ledger:     ledger,
		max:        limit,
		renewal:    Nanoseconds(float64(renewal)),
		start:      kept.Start,
		used:       kept.Reserved,
		reserved:   kept.Reserved,
		// After a clean stop what is reserved was used, so the triggers up to there were
		// reported. A crash may lose those in the part that it burns, 1 % at most.
		told: percent(kept.Reserved, limit),
	}
}

// SetLimit changes maximum and renewal and keeps the period and what was used in it. It
// returns the edition of the quota that holds them: who asks for another one (see
// [Limits]) has been overtaken by an edit, and must not be judged half by it.
func (q *Quota) SetLimit(limit, renewal int64) (edition uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.max, q.renewal = limit, Nanoseconds(float64(renewal))
	q.edition++
	return q.edition
}

// Close ends the quota: it admits nobody from now on, and who waits is told so.
func (q *Quota) Close() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// QuotaState is what a Quota had to say about one request.
type QuotaState struct {
	Limit     int64         // requests per period; 0 = no limit
	Period    time.Duration // 0 = never renews
	Remaining int64
	Renews    int64         // end of the period, Unix nanoseconds; 0 = no period has begun, or it never ends
	Retry     time.Duration // until the quota renews; 0 while Remaining > 0
}

// State returns the live state at now and charges nothing.
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

// begunLocked reports whether wall lies in the period that is on disk.
func (q *Quota) begunLocked(wall int64) bool {
	if q.start == 0 {
		return false
	}
	return q.renewal == 0 || wall < AddSaturating(q.start, q.renewal)
}

// answer is what a quota says to one more request.
type answer int

const (
	yes   answer = iota // may be charged now
	no                  // used up
	later               // nothing is reserved: ask the ledger, then try again
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

// chargeLocked uses one request, and asks for the next reservation when half of
// what is reserved ahead is gone. It returns the triggers that the request has reached.
func (q *Quota) chargeLocked(now Now) (reached []float64) {
	q.used++
	if q.reserved-q.used <= q.step/2 {
		q.reserveLocked(now)
	}
	return q.reachedLocked()
}

// aheadLocked returns how many requests are reserved beyond those that are asked for
// already: half a minute of the traffic seen since the last reservation, so that users who
// come a few times a second do not cost a write each time, but no more than 1 % of the
// maximum (which bounds what a crash can lose) and a quarter of what is left. Small quotas
// reserve nothing ahead: each of their requests waits for its own commit and loses nothing.
func (q *Quota) aheadLocked(now Now, used int64) int64 {
	const horizon, least = int64(30 * time.Second), 16
	elapsed := max(now.Mono-q.askedAt, int64(time.Millisecond))
	traffic := float64(used-q.askedUsed) * float64(horizon) / float64(elapsed)
	traffic = min(max(traffic, least), math.MaxInt32)
	return min(int64(traffic), q.max/100, (q.max-used)/4)
}

// reserveLocked sends a reservation to the ledger unless one is on its way or none
// is needed.
func (q *Quota) reserveLocked(now Now) {
	if q.pending != nil || q.closed {
		return
	}
	r := Reservation{Generation: q.generation, Start: q.start, Reserved: q.reserved}
	used := q.used
	if !q.begunLocked(now.Wall) {
		// The next period. Its start never moves back, even if the clock did.
		r.Start, r.Reserved, used = max(now.Wall, q.start+1), 0, 0
		q.askedUsed = 0
	}
	step := q.aheadLocked(now, used)
	// What is reserved for those who wait is lost in a crash, too, before they are
	// answered: so no more at a time than may be lost.
	ahead := max(step, min(q.waiting, max(1, q.max/100)))
	target := min(q.max, AddSaturating(used, ahead))
	if target <= r.Reserved {
		return
	}
	r.Reserved = target
	q.askedAt, q.askedUsed, q.step = now.Mono, used, step
	p := &pending{done: make(chan struct{})}
	q.pending = p
	q.ledger.Reserve(q.key, r, func(err error) { q.reservedNow(p, r, err) })
}

// reservedNow takes the ledger's answer to a reservation.
func (q *Quota) reservedNow(p *pending, r Reservation, err error) {
	q.mu.Lock()
	q.pending = nil
	q.failed = err != nil
	switch {
	case errors.Is(err, ErrStale):
		q.closed = true
	case err == nil:
		if r.Start != q.start {
			q.start, q.used, q.askedUsed = r.Start, 0, 0
			q.forgetToldLocked()
		}
		q.reserved = r.Reserved
	}
	q.mu.Unlock()
	close(p.done)
}

// Wait asks the ledger for a reservation and returns when it has answered, or after
// timeout. It reports whether trying again makes sense.
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

// Settle closes the quota and returns what the ledger should keep so that nothing
// unused is lost. unused is false where there is nothing to give back; after a failed
// reservation nobody knows, so there is.
func (q *Quota) Settle() (key QuotaKey, r Reservation, unused bool) {
	if q == nil {
		return QuotaKey{}, Reservation{}, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	r = Reservation{Generation: q.generation, Start: q.start, Reserved: q.used}
	return q.key, r, q.used < q.reserved || q.pending != nil || q.failed
}
