package limiter

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var ann = QuotaKey{Org: "default", User: "ann"}

// charge is a line of a ledger: what a quota answers at a moment.
type charge struct {
	at        float64 // seconds, on both clocks
	outcome   Outcome
	remaining int64
	renews    float64 // seconds; 0 = no period, or one without end
	retry     time.Duration
}

func runQuota(t *testing.T, q *Quota, steps []charge) {
	t.Helper()
	for i, s := range steps {
		now := seconds(s.at)
		got := ask(Limits{Quota: q}, still(now))
		var renews int64
		if s.renews > 0 {
			renews = seconds(s.renews).Wall
		}
		if got.Outcome != s.outcome || got.Quota.Remaining != s.remaining || got.Quota.Renews != renews || got.Quota.Retry != s.retry {
			t.Errorf("step %d, %v s: %v with %+v, want %+v", i, s.at, got.Outcome, got.Quota, s)
		}
		if s.outcome == OverQuota && got.Retry != s.retry {
			t.Errorf("step %d, %v s: retry after %v, want %v", i, s.at, got.Retry, s.retry)
		}
	}
}

func TestQuotaThreePerMinute(t *testing.T) {
	q := NewQuota(ann, 3, 60, Reservation{}, &ledger{eager: true})
	if got := q.State(seconds(0)); got != (QuotaState{Limit: 3, Period: time.Minute, Remaining: 3}) {
		t.Errorf("before the first request: %+v", got)
	}
	runQuota(t, q, []charge{
		// The period begins with the first request.
		{10, Admitted, 2, 70, 0},
		{20, Admitted, 1, 70, 0},
		{30, Admitted, 0, 70, 40 * time.Second},
		{31, OverQuota, 0, 70, 39 * time.Second},
		{69.999999999, OverQuota, 0, 70, 1},
		// The next one begins with the first request after its end.
		{70, Admitted, 2, 130, 0},
		{129.999999999, Admitted, 1, 130, 0},
		{200, Admitted, 2, 260, 0},
		{200, Admitted, 1, 260, 0},
		{200, Admitted, 0, 260, time.Minute},
		{200, OverQuota, 0, 260, time.Minute},
		{1e9, Admitted, 2, 1e9 + 60, 0},
	})
	// A period that is over shows as none.
	if got := q.State(seconds(2e9)); got != (QuotaState{Limit: 3, Period: time.Minute, Remaining: 3}) {
		t.Errorf("after the period: %+v", got)
	}
}

func TestQuotaThatNeverRenews(t *testing.T) {
	for _, renewal := range []int64{0, -1, math.MinInt64} {
		q := NewQuota(ann, 2, renewal, Reservation{}, &ledger{eager: true})
		runQuota(t, q, []charge{
			{1, Admitted, 1, 0, 0},
			{1e9, Admitted, 0, 0, Forever},
			{2e9, OverQuota, 0, 0, Forever},
			{9e9, OverQuota, 0, 0, Forever},
		})
		if got := q.State(seconds(9e9)).Period; got != 0 {
			t.Errorf("renewal %d: the period is %v", renewal, got)
		}
	}
}

func TestQuotaOfNothingIsNoLimit(t *testing.T) {
	for _, limit := range []int64{0, -1, math.MinInt64} {
		q := NewQuota(ann, limit, 60, Reservation{Start: 1, Reserved: 5}, nil)
		if q != nil {
			t.Fatalf("a limit of %d made %+v", limit, q)
		}
		q.Close()
		if _, _, needed := q.GiveBack(); needed {
			t.Errorf("no quota has something to give back")
		}
		if got := q.State(seconds(1)); got != (QuotaState{}) {
			t.Errorf("no quota has the state %+v", got)
		}
		if r := Admit(seconds(1), Limits{Quota: q}); r.Outcome != Admitted {
			t.Errorf("no quota answered %+v", r)
		}
	}
}

// A renewal of 9223372037 s times 1e9 wraps around to a negative number of
// nanoseconds: the quota would renew with every request.
func TestT60QuotaOverflow(t *testing.T) {
	const year = 365.25 * 24 * 3600
	for _, renewal := range []int64{9223372036, 9223372037, 1 << 53, math.MaxInt64} {
		q := NewQuota(ann, 2, renewal, Reservation{}, &ledger{eager: true})
		for i, at := range []float64{50 * year, 150 * year} {
			now := seconds(at)
			r := ask(Limits{Quota: q}, still(now))
			if r.Outcome != Admitted || r.Quota.Remaining != int64(1-i) || r.Quota.Period <= 0 || r.Quota.Renews != math.MaxInt64 {
				t.Errorf("renewal %d, request %d: %+v", renewal, i, r)
			}
		}
		r := ask(Limits{Quota: q}, still(seconds(240*year)))
		if r.Outcome != OverQuota || r.Retry <= 0 {
			t.Errorf("renewal %d: %+v", renewal, r)
		}
	}
}

func TestT60QuotaAtTheEndOfNumbers(t *testing.T) {
	f := func(limit int64, kept Reservation, want Outcome, remaining int64) {
		t.Helper()
		l := &ledger{eager: true}
		q := NewQuota(ann, limit, 0, kept, l)
		r := ask(Limits{Quota: q}, still(seconds(5)))
		if r.Outcome != want || r.Quota.Remaining != remaining {
			t.Errorf("limit %d after %+v: %v with %+v", limit, kept, r.Outcome, r.Quota)
		}
	}
	const top = math.MaxInt64
	f(top, Reservation{}, Admitted, top-1)
	f(top, Reservation{Start: 1, Reserved: top - 1}, Admitted, 0)
	f(top, Reservation{Start: 1, Reserved: top}, OverQuota, 0)
	f(top, Reservation{Start: top, Reserved: 1}, Admitted, top-2)
	// More than the limit was used before it was lowered.
	f(1, Reservation{Start: 1, Reserved: top}, OverQuota, 0)
	f(5, Reservation{Start: 1, Reserved: 6}, OverQuota, 0)
	f(1, Reservation{}, Admitted, 0)
	f(1<<31, Reservation{}, Admitted, 1<<31-1)
	f(1<<53+1, Reservation{}, Admitted, 1<<53)
}

// Three that wait for the last two of the largest quota: used + waiting must not wrap.
func TestT60QuotaLastOfTheLargest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{eager: true}
		q := NewQuota(ann, math.MaxInt64, 0, Reservation{Start: 1, Reserved: math.MaxInt64 - 2}, l)
		outcomes := make(chan Outcome, 3)
		for range 3 {
			go func() { outcomes <- ask(Limits{Quota: q}, still(seconds(5))).Outcome }()
		}
		var count [QuotaIsStale + 1]int
		for range 3 {
			count[<-outcomes]++
		}
		if count[Admitted] != 2 || count[OverQuota] != 1 {
			t.Errorf("%d admitted, %d refused", count[Admitted], count[OverQuota])
		}
	})
}

// A wall clock that steps back stays in the period; one that steps forward ends it once.
func TestT61QuotaClock(t *testing.T) {
	const hour, tenYears = 3600, 10 * 365 * 24 * 3600
	q := NewQuota(ann, 2, 60, Reservation{}, &ledger{eager: true})
	start := 1e9
	runQuota(t, q, []charge{
		{start, Admitted, 1, start + 60, 0},
		// An hour back: nothing is given twice.
		{start - hour, Admitted, 0, start + 60, (hour + 60) * time.Second},
		{start - hour, OverQuota, 0, start + 60, (hour + 60) * time.Second},
		{start - hour + 61, OverQuota, 0, start + 60, (hour - 1) * time.Second},
		// An hour on: one new period.
		{start + hour, Admitted, 1, start + hour + 60, 0},
		{start, Admitted, 0, start + hour + 60, (hour + 60) * time.Second},
		{start + hour + 59, OverQuota, 0, start + hour + 60, time.Second},
		// Ten years on and back.
		{start + tenYears, Admitted, 1, start + tenYears + 60, 0},
		{start, Admitted, 0, start + tenYears + 60, (tenYears + 60) * time.Second},
		{start + tenYears - 1, OverQuota, 0, start + tenYears + 60, 61 * time.Second},
		{start + tenYears + 60, Admitted, 1, start + tenYears + 120, 0},
	})
}

// The clock says 1970 or earlier: a period begins all the same, and only one.
func TestT61QuotaBeforeTheEpoch(t *testing.T) {
	q := NewQuota(ann, 1, 60, Reservation{}, &ledger{eager: true})
	for i, want := range []Outcome{Admitted, OverQuota, OverQuota} {
		if r := ask(Limits{Quota: q}, still(Now{Mono: 1, Wall: -5e9 + int64(i)})); r.Outcome != want {
			t.Errorf("request %d: %+v", i, r)
		}
	}
	q = NewQuota(ann, 1, 60, Reservation{}, &ledger{eager: true})
	for i, want := range []Outcome{Admitted, OverQuota} {
		if r := ask(Limits{Quota: q}, still(Now{})); r.Outcome != want {
			t.Errorf("request %d at 0: %+v", i, r)
		}
	}
}

// Requests used so far count against a new maximum, and the period goes on.
func TestQuotaSetLimit(t *testing.T) {
	q := NewQuota(ann, 3, 60, Reservation{}, &ledger{eager: true})
	runQuota(t, q, []charge{{10, Admitted, 2, 70, 0}, {11, Admitted, 1, 70, 0}})
	q.SetLimit(2, 60) // down to what was used
	runQuota(t, q, []charge{{12, OverQuota, 0, 70, 58 * time.Second}})
	q.SetLimit(1, 60) // below it
	runQuota(t, q, []charge{{13, OverQuota, 0, 70, 57 * time.Second}})
	q.SetLimit(4, 60) // raised while blocked
	runQuota(t, q, []charge{{14, Admitted, 1, 70, 0}, {15, Admitted, 0, 70, 55 * time.Second}, {16, OverQuota, 0, 70, 54 * time.Second}})
	q.SetLimit(5, 30) // a shorter period, still running
	runQuota(t, q, []charge{{17, Admitted, 0, 40, 23 * time.Second}, {39.5, OverQuota, 0, 40, 500 * time.Millisecond}, {40, Admitted, 4, 70, 0}})
	q.SetLimit(5, 0) // no end
	runQuota(t, q, []charge{{500, Admitted, 3, 0, 0}})
	q.SetLimit(5, math.MaxInt64)
	if r := ask(Limits{Quota: q}, still(seconds(501))); r.Outcome != Admitted || r.Quota.Remaining != 2 {
		t.Errorf("%+v", r)
	}
}

// A limit is lowered while more than it is reserved: the reservation gives no right.
func TestQuotaSetLimitBelowReserved(t *testing.T) {
	q := NewQuota(ann, 100, 0, Reservation{}, &ledger{})
	q.start, q.used, q.reserved = 1, 3, 50
	q.SetLimit(5, 0)
	for i, want := range []Outcome{Admitted, Admitted, OverQuota, OverQuota} {
		if r := Admit(seconds(9), Limits{Quota: q, Edition: q.edition}); r.Outcome != want {
			t.Errorf("request %d: %+v", i, r)
		}
	}
}

func TestQuotaClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		q := NewQuota(ann, 3, 60, Reservation{}, l)
		// A request that waits while the quota is closed is told to look the user up again.
		waited := make(chan Result)
		go func() { waited <- ask(Limits{Quota: q}, still(seconds(1))) }()
		synctest.Wait()
		q.Close()
		l.answer(t, nil, true)
		if r := <-waited; r.Outcome != QuotaIsStale {
			t.Errorf("the waiting request got %+v", r)
		}
		if r := Admit(seconds(1), Limits{Quota: q}); r.Outcome != QuotaIsStale {
			t.Errorf("a later request got %+v", r)
		}
		if !q.Wait(seconds(1), 0) || l.asked() != 1 {
			t.Errorf("a closed quota asked the ledger")
		}
	})
}

// The ledger says that the user was edited: the quota ends by itself.
func TestQuotaStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		q := NewQuota(ann, 3, 60, Reservation{}, l)
		waited := make(chan Result, 2)
		for range 2 {
			go func() { waited <- ask(Limits{Quota: q}, still(seconds(1))) }()
		}
		synctest.Wait()
		l.answer(t, ErrStale, false)
		for range 2 {
			if r := <-waited; r.Outcome != QuotaIsStale {
				t.Errorf("the waiting request got %+v", r)
			}
		}
		if r := Admit(seconds(1), Limits{Quota: q}); r.Outcome != QuotaIsStale {
			t.Errorf("a later request got %+v", r)
		}
	})
}

// No request is admitted because of a commit that has not returned, nor of one that failed,
// whether it was applied or not (bbolt may apply a commit that it reports as failed).
func TestQuotaNeedsTheCommit(t *testing.T) {
	for _, applied := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := &ledger{}
			q := NewQuota(ann, 3, 60, Reservation{}, l)
			waited := make(chan Result)
			request := func() { waited <- ask(Limits{Quota: q}, still(seconds(1))) }
			go request()
			synctest.Wait()
			if r := Admit(seconds(1), Limits{Quota: q}); r.Outcome != NeedsLedger {
				t.Errorf("before the commit has returned: %+v", r)
			}
			l.answer(t, errDisk, applied)
			if r := <-waited; r.Outcome != NeedsLedger || r.Quota.Remaining != 3 {
				t.Errorf("applied %v: after a failed commit: %+v", applied, r)
			}
			if r := Admit(seconds(1), Limits{Quota: q}); r.Outcome != NeedsLedger {
				t.Errorf("applied %v: after a failed commit: %+v", applied, r)
			}
			// The disk recovers.
			go request()
			synctest.Wait()
			l.answer(t, nil, true)
			if r := <-waited; r.Outcome != Admitted || r.Quota.Remaining != 2 {
				t.Errorf("applied %v: after the disk recovered: %+v", applied, r)
			}
		})
	}
}

// A failed commit leaves what was durable before it to be spent.
func TestQuotaSpendsWhatIsDurable(t *testing.T) {
	l := &ledger{}
	q := NewQuota(ann, 1000, 60, Reservation{}, l)
	q.start, q.reserved, q.step, q.askedAt = 1, 10, 10, seconds(1).Mono
	for range 5 {
		Admit(seconds(1), Limits{Quota: q})
	}
	l.answer(t, errDisk, false) // of the refill at half
	admitted := 0
	for Admit(seconds(1), Limits{Quota: q}).Outcome == Admitted {
		admitted++
		if l.open() > 0 {
			l.answer(t, errDisk, true)
		}
	}
	if admitted != 5 {
		t.Errorf("%d of the 5 that were durable were admitted", admitted)
	}
}

func TestQuotaWaitTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		q := NewQuota(ann, 2, 60, Reservation{}, l)
		start := time.Now()
		if q.Wait(seconds(1), 300*time.Millisecond) {
			t.Errorf("trying again makes no sense: nothing is reserved")
		}
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("waited %v", took)
		}
		for _, timeout := range []time.Duration{0, -1, math.MinInt64} {
			if q.Wait(seconds(1), timeout) {
				t.Errorf("timeout %v: trying again makes no sense", timeout)
			}
		}
		if got := q.State(seconds(1)).Remaining; got != 2 {
			t.Errorf("waiting has used up %d", 2-got)
		}
		// The answer comes late: the next request spends the block without a new ask.
		l.answer(t, nil, true)
		if r := Admit(seconds(2), Limits{Quota: q}); r.Outcome != Admitted || l.asked() != 1 {
			t.Errorf("%+v after %d questions", r, l.asked())
		}
	})
}

// An ask ahead of need may wait. A waiting request hurries the ledger, also if the ask is on its
// way already.
func TestQuotaHurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		q := NewQuota(ann, 1000, 0, Reservation{Start: 1, Reserved: 1}, l)
		q.used = 0
		if r := Admit(seconds(1), Limits{Quota: q}); r.Outcome != Admitted || l.asked() != 1 || l.hurried != 0 {
			t.Fatalf("ahead: %v, asked %d times, hurried %d", r.Outcome, l.asked(), l.hurried)
		}
		var group sync.WaitGroup
		group.Go(func() { q.Wait(seconds(1), time.Minute) })
		synctest.Wait()
		if l.asked() != 1 || l.hurried != 1 {
			t.Errorf("a request waits: asked %d times, hurried %d", l.asked(), l.hurried)
		}
		l.answer(t, nil, true)
		group.Wait()
		if q.Wait(seconds(1), time.Minute); l.hurried != 1 {
			t.Errorf("who need not wait: hurried %d times", l.hurried)
		}
	})
}

// Wait returns at once if the quota can answer.
func TestQuotaWaitReturnsAtOnce(t *testing.T) {
	l := &ledger{}
	f := func(name string, used, reserved int64) {
		t.Helper()
		q := NewQuota(ann, 5, 60, Reservation{}, l)
		q.start, q.used, q.reserved = 1, used, reserved
		if !q.Wait(seconds(1), time.Hour) || l.asked() != 0 {
			t.Errorf("%s: asked the ledger", name)
		}
	}
	f("some are reserved", 2, 3)
	f("all is used up", 5, 5)
	f("more than all is used up", 6, 6)
}

// All requests that wait together share one commit, and no request takes two.
func TestQuotaOneCommitForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		q := NewQuota(ann, 50, 60, Reservation{}, l)
		outcomes := make(chan Outcome, 30)
		for range 30 {
			go func() { outcomes <- ask(Limits{Quota: q}, still(seconds(1))).Outcome }()
		}
		synctest.Wait()
		for commits := 0; len(outcomes) < 30; commits++ {
			if l.open() != 1 {
				t.Fatalf("%d asks are open", l.open())
			}
			l.answer(t, nil, true)
			synctest.Wait()
		}
		for range 30 {
			if o := <-outcomes; o != Admitted {
				t.Errorf("%v", o)
			}
		}
		if got := l.onDisk(ann); got.Reserved != 30 {
			t.Errorf("30 admitted of a small quota, %d reserved", got.Reserved)
		}
	})
}

// The block that is reserved ahead is nothing of a small quota, at top 1 % of a large one, a
// quarter of what is left at the end, and as much as 30 s of traffic need.
func TestQuotaAhead(t *testing.T) {
	f := func(limit, used, since int64, elapsed time.Duration, want int64) {
		t.Helper()
		q := &Quota{max: limit, askedUsed: used - since, askedAt: 5e9}
		if got := q.aheadLocked(Now{Mono: 5e9 + int64(elapsed)}, used); got != want {
			t.Errorf("limit %d, used %d, %d of them in the last %v: %d ahead, want %d", limit, used, since, elapsed, got, want)
		}
	}
	f(99, 0, 0, 0, 0)
	f(99, 50, 50, time.Millisecond, 0)
	f(100, 0, 0, 0, 1)
	f(1000, 0, 0, 0, 10)
	f(1000, 500, 500, time.Second, 10)
	f(1e6, 50, 50, time.Second, 1500)
	f(1e6, 500, 500, time.Second, 10_000)
	f(1e6, 50_000, 50_000, 100*time.Millisecond, 10_000)
	f(1e6, 5, 5, time.Second, 150)
	f(1e6, 5, 5, time.Hour, 16)
	f(1e6, 999_900, 100_000, time.Second, 25)
	f(1e6, 999_999, 100_000, time.Second, 0)
	f(1e6, 1e6, 100_000, time.Second, 0)
	// Clocks that stand still or went back, and the largest numbers.
	f(1e6, 10, 10, 0, 10_000)
	f(1e6, 10, 10, -time.Hour, 10_000)
	f(math.MaxInt64, 1<<40, 1<<40, 0, math.MaxInt32)
	f(math.MaxInt64, math.MaxInt64, 1<<40, 0, 0)
}

// After a clean stop nothing is lost, wherever it stops.
func TestQuotaGiveBack(t *testing.T) {
	f := func(name string, want Reservation, wantNeeded bool, prepare func(q *Quota, l *ledger)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				q := NewQuota(ann, 1000, 60, Reservation{Generation: 7}, l)
				prepare(q, l)
				synctest.Wait()
				onDisk := q.seenLocked()
				key, ask, needed := q.GiveBack()
				if needed != wantNeeded || key != ann {
					t.Errorf("%v %v, want %v", key, needed, wantNeeded)
				}
				if r := Admit(seconds(1), Limits{Quota: q}); r.Outcome != QuotaIsStale {
					t.Errorf("a closed quota answered %+v", r)
				}
				for l.open() > 0 {
					l.answer(t, nil, true)
				}
				if r := l.onDisk(ann); r != (Reservation{}) {
					onDisk = r
				}
				if got := onDisk.Grant(ask, true).Reservation; needed && got != want {
					t.Errorf("%+v stays on disk, want %+v", got, want)
				}
			})
		})
	}
	reserved := func(q *Quota, used, reserved int64) { q.start, q.used, q.reserved = 5, used, reserved }
	f("nothing has begun", Reservation{}, false, func(q *Quota, l *ledger) {})
	f("all is used", Reservation{}, false, func(q *Quota, l *ledger) { reserved(q, 9, 9) })
	f("some is left", Reservation{Generation: 7, Start: 5, Reserved: 3}, true, func(q *Quota, l *ledger) { reserved(q, 3, 9) })
	f("nothing was used", Reservation{Generation: 7, Start: 5}, true, func(q *Quota, l *ledger) { reserved(q, 0, 9) })
	f("a reservation is under way", Reservation{Generation: 7, Start: 5, Reserved: 9}, true, func(q *Quota, l *ledger) {
		reserved(q, 9, 9)
		go q.Wait(seconds(1), time.Minute)
	})
	// Its commit is under way: it will be on disk, and no request was admitted for it.
	f("the first reservation of all is under way", Reservation{Generation: 7, Start: seconds(1).Wall}, true, func(q *Quota, l *ledger) {
		go q.Wait(seconds(1), time.Minute)
	})
	// It is unknown whether it is on disk, so it must be given back.
	f("the last reservation failed", Reservation{Generation: 7, Start: 5, Reserved: 9}, true, func(q *Quota, l *ledger) {
		reserved(q, 9, 9)
		go q.Wait(seconds(1), time.Minute)
		synctest.Wait()
		l.answer(t, errDisk, true)
	})
}

// Requests that waited together for the ledger and were then refused by the rate leave their
// reservations. A crash must not cost the user more than 1 % because of them.
func TestQuotaCrashAfterRefusedWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 100
		l := &ledger{}
		limits := Limits{Rate: NewWindow(5, 1000), Quota: NewQuota(ann, limit, 0, Reservation{}, l)}
		results := make(chan Result, 64)
		for range 64 {
			go func() { results <- ask(limits, still(seconds(1))) }()
		}
		synctest.Wait()
		for l.open() > 0 {
			l.answer(t, nil, true)
			synctest.Wait()
		}
		admitted := int64(0)
		for range 64 {
			if (<-results).Outcome == Admitted {
				admitted++
			}
		}
		if admitted != 5 {
			t.Fatalf("%d admitted", admitted)
		}
		// All requests have an answer, none is waiting: here the process crashes.
		after := NewQuota(ann, limit, 0, l.onDisk(ann), l)
		if lost := limit - admitted - after.State(seconds(2)).Remaining; lost > limit/100 {
			t.Errorf("%d of %d are lost", lost, limit)
		}
	})
}

// A request that was looked up under another edition of a quota was overtaken by an edit, and no
// part of the quota judges it.
func TestQuotaEdition(t *testing.T) {
	q := NewQuota(QuotaKey{}, 5, 60, Reservation{Start: 1, Reserved: 0}, nil)
	before := Limits{Quota: q}
	edition := q.SetLimit(2, 60)
	full := NewWindow(1, 60)
	Admit(Now{Wall: 2}, Limits{Rate: full})
	for _, l := range []Limits{before, {Rate: full, Quota: q}, {Quota: q, Edition: edition + 1}} {
		if got := Admit(Now{Wall: 2}, l).Outcome; got != QuotaEdited {
			t.Errorf("%+v: %v", l, got)
		}
	}
	if got := Admit(Now{Wall: 2}, Limits{Quota: q, Edition: edition}); got.Outcome != NeedsLedger {
		t.Errorf("%+v", got)
	}
	q.Close()
	if got := Admit(Now{Wall: 2}, before).Outcome; got != QuotaIsStale {
		t.Errorf("ended: %v", got)
	}
}

// The quota of a user with 40 requests a second asks the ledger twice a second, not with every
// other request: a thousand such users would keep the disk busy.
func TestQuotaAsksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{eager: true}
		q := NewQuota(ann, 1_000_000, 0, Reservation{}, l)
		now := seconds(1)
		for range 400 {
			now.Mono += int64(250 * time.Millisecond)
			ask(Limits{Quota: q}, still(now))
			synctest.Wait()
		}
		if l.count > 10 {
			t.Errorf("asked %d times for 400 requests", l.count)
		}
	})
}
