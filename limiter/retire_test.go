package limiter

import (
	"testing"
	"testing/synctest"
	"time"
)

// Windows are retired when they are empty, all of an account or none, and admit no request then.
func TestRetireWindows(t *testing.T) {
	one, other := NewWindow(2, 10), NewWindow(5000, 20)
	f := func(at float64, want bool) {
		t.Helper()
		if got := Retire(seconds(at), []*Window{one, nil, other}, []*Quota{nil}); got != want {
			t.Errorf("at %v: %v", at, got)
		}
	}
	Admit(seconds(1), Limits{Rate: one})
	Admit(seconds(2), Limits{Rate: other})
	f(10.9, false)
	f(11.1, false)
	if r := Admit(seconds(12), Limits{Rate: one}); r.Outcome != Admitted {
		t.Errorf("%+v", r)
	}
	f(21.9, false)
	f(23, true)
	for _, w := range []*Window{one, other} {
		if r := Admit(seconds(1e6), Limits{Rate: w}); r.Outcome != Retired {
			t.Errorf("%+v", r)
		}
	}
}

// A request that came before a window was retired does not get from the next window what the
// first one had already let pass.
func TestRetireThenEarlier(t *testing.T) {
	w := NewWindow(1, 10)
	Admit(seconds(1), Limits{Rate: w})
	if !Retire(seconds(11), []*Window{w}, nil) {
		t.Fatal("it stays")
	}
	next := NewWindow(1, 10)
	next.Begin(seconds(11))
	if r := Admit(seconds(5), Limits{Rate: next}); r.Outcome != Admitted {
		t.Errorf("%+v", r)
	}
	if r := Admit(seconds(20.9), Limits{Rate: next}); r.Outcome != OverRate {
		t.Errorf("%+v", r)
	}
	(*Window)(nil).Begin(seconds(1))
}

// A smoothed window is retired when its allowed rate is at the threshold, where a new one
// begins, and may change as early as that of a new one.
func TestRetireSmoothed(t *testing.T) {
	w := NewWindow(10, 1)
	w.SetSmoothing(&Smoothing{Threshold: 1, Step: 1, Trigger: 1, Delay: 5 * time.Second})
	for at := 1.0; at < 21; at += 0.1 { // up to 5 requests a second
		Admit(seconds(at), Limits{Rate: w})
	}
	state := w.State(seconds(21))
	if state.Limit < 4 {
		t.Fatalf("%+v", state)
	}
	for at := 22.0; ; at++ {
		if Retire(seconds(at), []*Window{w}, nil) {
			// Down by one every 5 s, and 5 s until it may go up.
			if want := 21 + 5*float64(state.Limit-1); at < want || at > want+10 {
				t.Errorf("at %v, from %d", at, state.Limit)
			}
			return
		}
		if at > 100 {
			t.Fatal("it stays")
		}
	}
}

// A quota is retired when the ledger holds exactly what was used. Retire gives the rest back.
func TestRetireQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{eager: true}
		q := NewQuota(ann, 10_000, 60, Reservation{}, l)
		now := seconds(1)
		for range 500 {
			now.Mono += 1000
			ask(Limits{Quota: q}, still(now))
		}
		synctest.Wait()
		if got := l.disk[ann].Reserved; got <= 500 {
			t.Fatalf("%d are reserved: nothing ahead", got)
		}
		full := NewWindow(1, 60)
		Admit(now, Limits{Rate: full})
		asked := l.count
		if Retire(now, []*Window{full}, []*Quota{q}) || l.count != asked {
			t.Error("a quota is given back whose window stays")
		}
		l.eager = false
		for range 2 {
			if Retire(now, nil, []*Quota{q}) {
				t.Error("it left before the ledger has answered")
			}
		}
		if r := Admit(now, Limits{Quota: q}); r.Outcome != NeedsLedger {
			t.Errorf("what is given back is spent: %+v", r)
		}
		l.drain()
		if got := l.disk[ann].Reserved; got != 500 || l.count != asked+1 {
			t.Errorf("%d are reserved, asked %d times", got, l.count-asked)
		}
		if !Retire(now, nil, []*Quota{q}) {
			t.Error("it stays")
		}
		if r := Admit(now, Limits{Quota: q}); r.Outcome != QuotaIsStale {
			t.Errorf("%+v", r)
		}
		if Retire(now, nil, []*Quota{q}) {
			t.Error("one that has ended is retired")
		}
	})
}

// A quota is not retired while the ledger does not show which triggers were reported.
func TestRetireTriggers(t *testing.T) {
	f := func(name string, change func(q *Quota), want bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			q := NewQuota(ann, 10, 60, Reservation{}, &ledger{eager: true})
			q.SetTriggers([]float64{50, 80})
			for range 5 {
				ask(Limits{Quota: q}, still(seconds(1)))
			}
			change(q)
			synctest.Wait()
			if got := Retire(seconds(2), nil, []*Quota{q}); got != want {
				t.Errorf("%s: %v", name, got)
			}
			if got := q.reported; got != 50 {
				t.Errorf("told %v", got)
			}
		})
	}
	f("as it is", func(*Quota) {}, true)
	f("told, and not reached any more", func(q *Quota) { q.SetLimit(100, 60) }, false)
	f("reached, and not told", func(q *Quota) { q.SetLimit(6, 60) }, false)
	f("the same, in a period that is over", func(q *Quota) { q.SetLimit(6, 1) }, true)
}
