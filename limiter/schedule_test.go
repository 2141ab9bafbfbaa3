package limiter

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// event is one thing that happens to a quota. n says how much of it, or which.
type event struct {
	kind string
	n    int64
}

// events are the parts of a schedule. An event that is listed more often happens more often.
var events = []string{
	"request", "request", "request", "request", "requests", "requests",
	"commit", "commit", "commit", "commit", "commit all",
	"fail", "fail applied",
	"crash", "stop", "edit", "set limit", "set renewal",
	"time passes", "time passes", "period ends", "clock back", "clock forward",
	"waiters give up", "API is full", "API is free",
}

func drawSchedule(t *rapid.T) []event {
	one := rapid.Custom(func(t *rapid.T) event {
		return event{rapid.SampledFrom(events).Draw(t, "kind"), rapid.Int64Range(0, 1_000_000).Draw(t, "n")}
	})
	return rapid.SliceOfN(one, 1, 100).Draw(t, "schedule")
}

var (
	drawLimit   = rapid.SampledFrom([]int64{1, 2, 3, 7, 50, 99, 100, 101, 250, 1000, 5000})
	drawRenewal = rapid.SampledFrom([]int64{0, 1, 10, 60, 3600})
)

// world is a quota, its user and its disk, and what an honest bookkeeper knows of them.
// Everything happens in a synctest bubble, one event after another.
type world struct {
	t *testing.T

	wall, mono     int64
	limit, renewal int64
	quota          *Quota
	queue          []promise // what the ledger has not answered yet, oldest first
	disk           Reservation
	generation     uint64 // of the user on disk
	full           *Window
	apiFull        bool

	one sync.Mutex // held from an answer until it is in the books

	mu       sync.Mutex // protects what follows
	inFlight int64
	admitted map[period]int64
	lost     map[period]int64 // reserved, not admitted, and burnt by a crash
	last     int64            // start of the last period in which a request was admitted
	largest  int64            // limit since the block that is open was reserved
	wrong    error            // the first promise that was broken
}

type period struct {
	generation uint64
	start      int64
}

// promise is an ask that waits for its commit.
type promise struct {
	asked
	quota *Quota
	limit int64
}

// Reserve implements Ledger.
func (w *world) Reserve(key QuotaKey, ask Ask, done func(Grant, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.quota // whose lock is held: only a quota that is in use asks
	if ask.Want > q.max {
		w.failLocked("an ask for %d of %d", ask.Want, q.max)
	}
	w.queue = append(w.queue, promise{asked{key, ask, done}, q, w.limit})
}

// grant brings the disk to what the ledger answers to a promise.
func (w *world) grant(p promise) Grant {
	g := w.disk.Grant(p.ask, true)
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.Start != w.disk.Start && w.disk.Start != 0 && g.Start < AddSaturating(w.last, p.ask.Renewal) {
		w.failLocked("a period that began at %d is followed by one at %d", w.last, g.Start)
	}
	if g.Start < w.disk.Start {
		w.failLocked("a period moved back from %d to %d", w.disk.Start, g.Start)
	}
	if g.Reserved < 0 || g.Count > 0 && g.Reserved > p.ask.Max {
		w.failLocked("%d are reserved of %d", g.Reserved, p.ask.Max)
	}
	w.disk = g.Reservation
	return g
}

// Hurry implements Ledger: commits come when the schedule has them.
func (w *world) Hurry() {}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(format, args...)
}

func (w *world) failLocked(format string, args ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
	}
}

func (w *world) now() Now { return Now{Mono: w.mono, Wall: w.wall} }

// start makes the quota that a process makes of what it finds on disk.
func (w *world) start() {
	stored := w.disk
	stored.Generation = w.generation
	w.quota = NewQuota(ann, w.limit, w.renewal, stored, w)
	w.largest = w.limit
}

// request asks for one request, as long as it takes.
func (w *world) request() {
	q := w.quota
	w.mu.Lock()
	w.inFlight++
	w.mu.Unlock()
	go func() {
		for w.try(q) == NeedsLedger {
			if !q.Wait(w.now(), time.Minute) {
				w.mu.Lock()
				w.inFlight--
				w.mu.Unlock()
				return
			}
		}
	}()
}

// try asks once, and keeps the books of a request that has its answer.
func (w *world) try(q *Quota) Outcome {
	w.one.Lock()
	defer w.one.Unlock()
	limits := Limits{Quota: q}
	if w.apiFull {
		limits.API = w.full
	}
	if q != nil {
		limits.Edition = q.edition
	}
	outcome := Admit(w.now(), limits).Outcome
	if outcome != NeedsLedger {
		w.answered(q, outcome)
	}
	return outcome
}

func (w *world) answered(q *Quota, outcome Outcome) {
	q.mu.Lock()
	p, closed := period{q.generation, q.start}, q.closed
	q.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight--
	used := w.admitted[p] + w.lost[p]
	switch outcome {
	case Admitted:
		used++
		w.admitted[p]++
		switch {
		case q != w.quota:
			w.failLocked("a quota that has ended admitted one")
		case used > w.limit:
			w.failLocked("%d were admitted and %d lost of %d in the period %v", w.admitted[p], w.lost[p], w.limit, p)
		case p.start < w.last:
			w.failLocked("one was admitted in period %d after one in %d", p.start, w.last)
		case w.disk.Start < p.start, w.disk.Start == p.start && w.disk.Reserved < used:
			w.failLocked("%d were used in period %d, on disk is %+v", used, p.start, w.disk)
		}
		w.last = p.start
	case OverQuota:
		if used < w.limit {
			w.failLocked("refused, but of %d only %d were admitted and %d lost", w.limit, w.admitted[p], w.lost[p])
		}
	case QuotaIsStale:
		if !closed {
			w.failLocked("stale, but nothing has ended it")
		}
	}
}

// commit takes the oldest ask to the disk and answers it.
func (w *world) commit() {
	if len(w.queue) == 0 {
		return
	}
	p := w.queue[0]
	w.queue = w.queue[1:]
	if p.ask.Seen.Generation != w.generation {
		p.done(Grant{}, ErrStale)
		return
	}
	g := w.grant(p)
	w.largest = max(p.limit, w.limit)
	p.done(g, nil)
}

func (w *world) failCommit(applied bool) {
	if len(w.queue) == 0 {
		return
	}
	p := w.queue[0]
	w.queue = w.queue[1:]
	if applied && p.ask.Seen.Generation == w.generation {
		w.grant(p)
	}
	p.done(Grant{}, errDisk)
}

// end ends a quota and all that wait for it.
func (w *world) end() {
	w.quota.Close()
	queue := w.queue
	w.queue = nil
	for _, p := range queue {
		p.done(Grant{}, errDisk)
	}
	synctest.Wait()
}

// crash ends the process. Of the asks on their way to the disk, the first applied ones have
// arrived. The lost requests cannot be used any more, and their number is bounded.
func (w *world) crash(applied int64) {
	for i := range applied {
		if p := w.queue[i]; p.ask.Seen.Generation == w.generation {
			w.grant(p)
		}
	}
	// Grants for waiting requests are lost as well, because these were not admitted.
	bound := max(1, w.largest/100) + w.inFlight
	w.end()
	if lost := w.restart(); lost > bound {
		w.fail("a crash lost %d of %d; %d may be lost", lost, w.limit, bound)
	}
	w.mono = 0
}

// stop ends the process as it should end. Nothing is lost.
func (w *world) stop() {
	key, ask, needed := w.quota.GiveBack()
	if needed {
		w.queue = append(w.queue, promise{asked{key, ask, func(Grant, error) {}}, w.quota, w.limit})
	}
	for len(w.queue) > 0 {
		w.commit()
	}
	w.end()
	if lost := w.restart(); lost != 0 {
		w.fail("a clean stop lost %d of %d", lost, w.limit)
	}
}

// restart makes a quota of what is on disk, and returns how many requests the user has lost:
// those that were neither made nor can still be made.
func (w *world) restart() (lost int64) {
	w.start()
	p := period{w.generation, w.disk.Start}
	if p.start == 0 {
		return 0
	}
	lost = w.disk.Reserved - w.admitted[p] - w.lost[p]
	w.lost[p] += lost
	if lost < 0 {
		w.fail("after %d admitted and %d lost, only %d stand on disk", w.admitted[p], w.lost[p], w.disk.Reserved)
	}
	return lost
}

// edit writes the user afresh: the quota ends, and with it every reservation.
func (w *world) edit() {
	old := w.quota
	w.generation++
	w.disk = Reservation{}
	w.last = 0
	w.quota = nil
	old.Close()
	w.start()
}

func (w *world) happen(e event) {
	switch e.kind {
	case "request":
		w.request()
	case "requests":
		for range e.n % 70 {
			w.request()
		}
	case "commit":
		w.commit()
	case "commit all":
		w.commitAll()
	case "fail":
		w.failCommit(false)
	case "fail applied":
		w.failCommit(true)
	case "crash":
		w.crash(e.n % int64(len(w.queue)+1))
	case "stop":
		w.stop()
	case "edit":
		w.edit()
	case "set limit":
		w.limit = []int64{1, 2, 10, 100, 200, 1000, 5000}[e.n%7]
		w.largest = max(w.largest, w.limit)
		w.quota.SetLimit(w.limit, w.renewal)
	case "set renewal":
		w.renewal = []int64{0, 1, 10, 60, 3600}[e.n%5]
		w.quota.SetLimit(w.limit, w.renewal)
	case "time passes":
		w.pass(e.n * int64(time.Millisecond) / 10)
	case "period ends":
		w.pass(w.renewal * int64(time.Second))
	case "clock back":
		w.wall -= e.n * int64(time.Second) / 100
	case "clock forward":
		w.wall += e.n * int64(time.Second)
	case "waiters give up":
		time.Sleep(2 * time.Minute) // of the bubble, which takes no time
	case "API is full":
		w.apiFull = true
	case "API is free":
		w.apiFull = false
	}
	synctest.Wait()
}

func (w *world) pass(ns int64) {
	w.wall += ns
	w.mono += ns
}

func (w *world) commitAll() {
	for len(w.queue) > 0 {
		w.commit()
		synctest.Wait()
	}
}

// finish lets everything come to its end: all requests get an answer, and what is left of the
// period can be used to the last request.
func (w *world) finish() {
	w.apiFull = false
	w.commitAll()
	if w.inFlight != 0 {
		w.fail("%d wait for nothing", w.inFlight)
	}
	left := w.quota.State(w.now()).Remaining
	before := w.total()
	for range left + 3 {
		w.request()
		synctest.Wait()
		w.commitAll()
	}
	if got := w.total() - before; got != left {
		w.fail("%d remained and %d were admitted", left, got)
	}
	w.quota.Close()
}

func (w *world) total() (n int64) {
	for _, admitted := range w.admitted {
		n += admitted
	}
	return n
}

// The promise of a quota: whatever happens, and in whatever order, a user never gets more than
// the maximum in a period, loses at most 1 % of it by a crash, and nothing by a clean stop.
// (-rapid.checks=N sets the number of schedules.)
func TestQuotaAnySchedule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit, renewal := drawLimit.Draw(rt, "limit"), drawRenewal.Draw(rt, "renewal in s")
		schedule := drawSchedule(rt)
		var wrong error
		var at int
		synctest.Test(t, func(t *testing.T) {
			w := &world{
				t:          t,
				wall:       1e18,
				limit:      limit,
				renewal:    renewal,
				generation: 1,
				admitted:   make(map[period]int64),
				lost:       make(map[period]int64),
				full:       NewWindow(1, 1e9),
			}
			Admit(w.now(), Limits{API: w.full})
			w.start()
			for i, e := range schedule {
				if at = i; w.wrong == nil {
					w.happen(e)
				}
			}
			if w.wrong == nil {
				at = len(schedule)
				w.finish()
			}
			wrong = w.wrong
			w.end()
		})
		if wrong != nil {
			rt.Fatalf("event %d of %v: %v", at, schedule, wrong)
		}
	})
}
