package limiter

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// step is a line of a ledger: what a window answers at a moment. Lines are in the
// order of time, so that a table can be checked with a pencil.
type step struct {
	at        float64 // seconds
	admitted  bool
	remaining int64
	reset     float64 // seconds
	retry     float64 // seconds
}

const (
	pass   = true
	refuse = false
)

func run(t *testing.T, w *Window, steps []step) {
	t.Helper()
	for i, s := range steps {
		now := seconds(s.at)
		result := Admit(now, Limits{Rate: w})
		got := result.Rate
		if (result.Outcome == Admitted) != s.admitted || got.Remaining != s.remaining ||
			got.Reset != duration(s.reset) || got.Retry != duration(s.retry) {
			t.Errorf("step %d, %v s: admitted %v, remaining %d, reset %v, retry %v; want %+v",
				i, s.at, result.Outcome == Admitted, got.Remaining, got.Reset, got.Retry, s)
		}
		if after := w.State(now); after != got {
			t.Errorf("step %d, %v s: the answer says %+v, the window %+v", i, s.at, got, after)
		}
	}
}

func duration(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

func TestWindowFivePerFour(t *testing.T) {
	run(t, NewWindow(5, 4), []step{
		{0, pass, 4, 4, 0},
		{0.5, pass, 3, 4, 0},
		{1, pass, 2, 4, 0},
		{2, pass, 1, 4, 0},
		{3, pass, 0, 4, 1},
		// Full. Refusals are free: none of them delays what comes after.
		{3, refuse, 0, 4, 1},
		{3.5, refuse, 0, 3.5, 0.5},
		{3.999999999, refuse, 0, 3.000000001, 0.000000001},
		// Exactly per after the first, one more, and not two.
		{4, pass, 0, 4, 0.5},
		{4, refuse, 0, 4, 0.5},
		{4.499999999, refuse, 0, 3.500000001, 0.000000001},
		{4.5, pass, 0, 4, 0.5},
		{5, pass, 0, 4, 1},
		// Two have left by 7: those of 2 and 3.
		{7, pass, 1, 4, 0},
		{7, pass, 0, 4, 1},
		{7.25, refuse, 0, 3.75, 0.75},
		// After a pause the window is empty.
		{11, pass, 4, 4, 0},
		{100, pass, 4, 4, 0},
	})
}

func TestWindowFractions(t *testing.T) {
	t.Run("0.5 per 1 is one per 2", func(t *testing.T) {
		run(t, NewWindow(0.5, 1), []step{
			{0, pass, 0, 2, 2},
			{1, refuse, 0, 1, 1},
			{1.999999999, refuse, 0, 0.000000001, 0.000000001},
			{2, pass, 0, 2, 2},
			{5, pass, 0, 2, 2},
			{6, refuse, 0, 1, 1},
		})
	})
	t.Run("2.5 per 10 is 2 per 10", func(t *testing.T) {
		run(t, NewWindow(2.5, 10), []step{
			{0, pass, 1, 10, 0},
			{1, pass, 0, 10, 9},
			{9, refuse, 0, 2, 1},
			{10, pass, 0, 10, 1},
			{10.5, refuse, 0, 9.5, 0.5},
			{11, pass, 0, 10, 9},
		})
	})
	t.Run("3 per 0.25", func(t *testing.T) {
		run(t, NewWindow(3, 0.25), []step{
			{0, pass, 2, 0.25, 0},
			{0.1, pass, 1, 0.25, 0},
			{0.2, pass, 0, 0.25, 0.05},
			{0.249, refuse, 0, 0.201, 0.001},
			{0.25, pass, 0, 0.25, 0.1},
			{0.3, refuse, 0, 0.2, 0.05},
		})
	})
	t.Run("0.1 per 0.1 is one per 1", func(t *testing.T) {
		run(t, NewWindow(0.1, 0.1), []step{
			{0, pass, 0, 1, 1},
			{0.1, refuse, 0, 0.9, 0.9},
			{1, pass, 0, 1, 1},
		})
	})
}

// A fixed window lets twice the limit pass around its edge. A sliding one does not.
func TestT62NoEdge(t *testing.T) {
	w := NewWindow(3, 10)
	steps := []step{
		{9.7, pass, 2, 10, 0}, {9.8, pass, 1, 10, 0}, {9.9, pass, 0, 10, 9.8},
		{10, refuse, 0, 9.9, 9.7}, {10.1, refuse, 0, 9.8, 9.6}, {19.6, refuse, 0, 0.3, 0.1},
		{19.7, pass, 0, 10, 0.1},
	}
	run(t, w, steps)
}

func TestT60Effective(t *testing.T) {
	f := func(rate, per float64, n, ns int64) {
		t.Helper()
		gotN, gotNS := enforced(rate, per)
		if gotN != n || gotNS != ns {
			t.Errorf("enforced(%v, %v) = %d per %d ns, want %d per %d ns", rate, per, gotN, gotNS, n, ns)
		}
		w := NewWindow(rate, per)
		if (w == nil) != (n == 0) {
			t.Fatalf("NewWindow(%v, %v) is nil: %v", rate, per, w == nil)
		}
		if !w.Same(rate, per) {
			t.Errorf("a window of %v per %v is not the same as itself", rate, per)
		}
		if n == 0 {
			return
		}
		// Whatever the numbers are: the first passes, and one more than n does not.
		now := Now{Mono: 5}
		if r := Admit(now, Limits{Rate: w}); r.Outcome != Admitted || r.Rate.Limit != n || r.Rate.Per != time.Duration(ns) {
			t.Errorf("rate %v per %v: the first request got %+v", rate, per, r)
		}
		for range min(n, 10_000) - 1 {
			Admit(now, Limits{Rate: w})
		}
		if r := Admit(now, Limits{Rate: w}); n <= 10_000 && (r.Outcome != OverRate || r.Retry <= 0) {
			t.Errorf("rate %v per %v: request %d got %+v", rate, per, n+1, r)
		}
	}
	// No limit.
	f(0, 1, 0, 0)
	f(1, 0, 0, 0)
	f(0, 0, 0, 0)
	f(-1, 1, 0, 0)
	f(1, -1, 0, 0)
	f(-1, -1, 0, 0)
	f(math.Copysign(0, -1), 1, 0, 0)
	f(math.NaN(), 1, 0, 0)
	f(1, math.NaN(), 0, 0)
	f(math.Inf(-1), 1, 0, 0)
	// A limit beyond what can be counted is no limit: it cannot be used up.
	f(math.Inf(1), 1, 0, 0)
	f(math.MaxInt64, 1, 0, 0)
	f(1e300, 1e300, 0, 0)
	// Fractions.
	f(1, 1, 1, 1e9)
	f(1.999, 1, 1, 1e9)
	f(2.5, 10, 2, 10e9)
	f(0.5, 1, 1, 2e9)
	f(0.1, 1, 1, 10e9)
	f(0.001, 1, 1, 1000e9)
	f(1, 0.001, 1, 1e6)
	// Smaller and larger than a clock can tell: one nanosecond, 146 years.
	f(1, 1e-300, 1, 1)
	f(0.5, 1e-300, 1, 1)
	f(5000, 1e-300, 5000, 1)
	f(1e-300, 1, 1, maxWindow)
	f(1e-300, 1e-300, 1, 1e9)
	f(1e-300, 1e300, 1, maxWindow)
	f(math.SmallestNonzeroFloat64, 1, 1, maxWindow)
	f(math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64, 1, 1e9)
	f(1, 9223372037, 1, maxWindow)
	f(1, 1e300, 1, maxWindow)
	f(1, math.Inf(1), 1, maxWindow)
	f(5000, math.Inf(1), 5000, maxWindow)
	f(1<<31, 1, 1<<31, 1e9)
	f(1<<53+1, 1, 1<<53, 1e9)
}

func TestWindowSame(t *testing.T) {
	f := func(rate, per, otherRate, otherPer float64, want bool) {
		t.Helper()
		if got := NewWindow(rate, per).Same(otherRate, otherPer); got != want {
			t.Errorf("%v per %v and %v per %v alike: %v, want %v", rate, per, otherRate, otherPer, got, want)
		}
	}
	f(5, 4, 5, 4, true)
	f(5, 4, 5.9, 4, true)
	f(0.5, 1, 1, 2, true)
	f(0, 1, 1, 0, true)
	f(-1, -1, 0, 0, true)
	f(5, 4, 6, 4, false)
	f(5, 4, 5, 5, false)
	f(10, 20, 5, 10, false)
	f(5, 4, 0, 0, false)
	f(0, 0, 5, 4, false)
}

// Idle reports whether no request would be admitted earlier if the window were forgotten at now.
func (w *Window) Idle(now Now) bool {
	return w == nil || w.State(now).Reset == 0
}

func TestWindowIdle(t *testing.T) {
	f := func(w *Window, at float64, want bool) {
		t.Helper()
		if got := w.Idle(seconds(at)); got != want {
			t.Errorf("idle at %v s: %v, want %v", at, got, want)
		}
	}
	f(nil, 0, true)
	w := NewWindow(3, 10)
	f(w, 0, true)
	Admit(seconds(1), Limits{Rate: w})
	Admit(seconds(4), Limits{Rate: w})
	f(w, 4, false)
	f(w, 11, false)
	f(w, 13.999999999, false)
	f(w, 14, true)
	// A refusal is not remembered.
	w = NewWindow(1, 10)
	Admit(seconds(0), Limits{Rate: w})
	Admit(seconds(9), Limits{Rate: w})
	f(w, 10, true)

	// A large limit goes by parts of the window once there are many admits.
	admitted := func(n int) *Window {
		large := NewWindow(5000, 64)
		f(large, 0, true)
		for range n {
			Admit(seconds(0.5), Limits{Rate: large})
		}
		return large
	}
	few, many := admitted(minParts), admitted(minParts+1)
	f(few, 64.499999999, false)
	f(few, 64.5, true)
	f(many, 64, false)
	f(many, 64.999999999, false)
	f(many, 65, true)
}

func TestWindowNil(t *testing.T) {
	var w *Window
	if got := w.State(seconds(1)); got != (RateState{}) {
		t.Errorf("no limit has the state %+v", got)
	}
	if r := Admit(seconds(1), Limits{Rate: w}); r.Outcome != Admitted || r.Rate != (RateState{}) {
		t.Errorf("no limit answered %+v", r)
	}
}

// A request that read its clock before another one was admitted counts as if it had
// come at the same time as that one: earlier, and the window would end too soon.
func TestWindowOvertaken(t *testing.T) {
	for _, rate := range []float64{2, 5000} {
		w := NewWindow(rate, 10)
		for range int(rate) - 1 {
			if r := Admit(seconds(10), Limits{Rate: w}); r.Outcome != Admitted {
				t.Fatal(r)
			}
		}
		if r := Admit(seconds(3), Limits{Rate: w}); r.Outcome != Admitted {
			t.Fatalf("rate %v: the overtaken request got %+v", rate, r)
		}
		for _, at := range []float64{3, 10, 13, 19.999} {
			if r := Admit(seconds(at), Limits{Rate: w}); r.Outcome != OverRate {
				t.Errorf("rate %v, %v s: %+v", rate, at, r)
			}
		}
	}
}

// The same if the request that overtook was refused by another limit, or only peeked: what was
// dropped for it is still in the window of the late one.
func TestWindowOvertakenByOneThatWasNotAdmitted(t *testing.T) {
	full := NewWindow(1, 1000)
	Admit(seconds(0), Limits{Rate: full})
	for _, look := range []struct {
		name string
		at   func(w *Window, now Now)
	}{
		{"refused", func(w *Window, now Now) { Admit(now, Limits{Rate: w, API: full}) }},
		{"asked for its state", func(w *Window, now Now) { w.State(now) }},
	} {
		for _, rate := range []float64{1, 3, 5000} {
			w := NewWindow(rate, 10)
			for range int(rate) {
				Admit(seconds(0), Limits{Rate: w})
			}
			look.at(w, seconds(11))
			first := Admit(seconds(9), Limits{Rate: w})
			// Whether the late one counts as if it had come at 11 or is refused: between the
			// times that admits count as there must be 10 s.
			if first.Outcome == Admitted && w.Idle(seconds(20.9)) {
				t.Errorf("%s, rate %v: at 9 s, after the window was full at 0 s: %+v", look.name, rate, first)
			}
		}
	}
}

// The ring takes memory for the requests that there were, not for those that there may be.
func TestWindowGrows(t *testing.T) {
	w := NewWindow(1000, 10)
	for i := range 3 {
		Admit(seconds(float64(i)), Limits{Rate: w})
	}
	if got := len(w.log.(*ring).times); got > 4 {
		t.Errorf("three admits take %d places", got)
	}
	for i := range 100_000 {
		Admit(seconds(float64(i)*0.009), Limits{Rate: w})
	}
	if got := len(w.log.(*ring).times); got != 1000 {
		t.Errorf("a full window of 1000 takes %d places", got)
	}
	f := func(rate float64, admits int, want bool) {
		t.Helper()
		w := NewWindow(rate, 1)
		for range admits {
			Admit(seconds(0), Limits{Rate: w})
		}
		if _, got := w.log.(*ring); got != want {
			t.Errorf("a limit of %v keeps each of %d admits: %v", rate, admits, got)
		}
	}
	f(maxExact, maxExact, true)
	f(maxExact+1, minParts, true)
	f(maxExact+1, minParts+1, false)
}

// Exactly n pass at one moment, however many requests come at once.
func TestWindowConcurrent(t *testing.T) {
	for _, rate := range []float64{1, 7, 100, maxExact, maxExact + 1} {
		w := NewWindow(rate, 10)
		for round := range 3 {
			now := seconds(float64(round) * 11)
			var admitted atomic.Int64
			var group sync.WaitGroup
			for range 64 {
				group.Go(func() {
					for range int(rate)/64 + 3 {
						if Admit(now, Limits{Rate: w}).Outcome == Admitted {
							admitted.Add(1)
						}
					}
				})
			}
			group.Wait()
			if got := admitted.Load(); got != int64(rate) {
				t.Errorf("rate %v, round %d: %d admitted", rate, round, got)
			}
		}
	}
}
