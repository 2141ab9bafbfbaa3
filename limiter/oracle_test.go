package limiter

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// oracle is a sliding window written without regard for memory: the times of all admits that
// there ever were.
type oracle struct {
	n, per int64
	admits []int64 // ascending
}

// inWindow returns the admits that count at now.
func (o *oracle) inWindow(now int64) []int64 {
	first, _ := slices.BinarySearch(o.admits, now-o.per+1)
	return o.admits[first:]
}

// want returns what a window has to answer at now, without a request.
func (o *oracle) want(now int64) RateState {
	in := o.inWindow(now)
	s := RateState{Limit: o.n, Per: time.Duration(o.per), Remaining: o.n - int64(len(in))}
	if len(in) > 0 {
		s.Reset = time.Duration(in[len(in)-1] + o.per - now)
	}
	if s.Remaining == 0 {
		s.Retry = time.Duration(in[0] + o.per - now)
	}
	return s
}

// tooClose returns the first n+1 admits that stand less than per apart.
func tooClose(admits []int64, n, per int64) []int64 {
	admits = slices.Sorted(slices.Values(admits))
	for i := int64(0); i+n < int64(len(admits)); i++ {
		if admits[i+n]-admits[i] < per {
			return admits[i : i+n+1]
		}
	}
	return nil
}

// smallWindow draws a window with numbers so small that random requests come to all its edges: a
// few requests, a few nanoseconds.
func smallWindow(t *rapid.T) (*Window, *oracle) {
	n := rapid.Int64Range(1, 9).Draw(t, "n")
	w := NewWindow(float64(n), rapid.Float64Range(1, 60).Draw(t, "per in ns")*1e-9)
	return w, &oracle{n: n, per: w.per}
}

// Whatever requests come, in whatever order of time, the window answers as the oracle does: it
// admits whenever it may (refusals change nothing), and state, Reset and Retry are exact.
func TestWindowIsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, o := smallWindow(t)
		var now int64
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += rapid.Int64Range(0, o.per/2+2).Draw(t, "later by")
			want := o.want(now)
			if rapid.Bool().Draw(t, "only look") {
				if got := w.State(nanoseconds(now)); got != want {
					t.Fatalf("at %d: state %+v, want %+v", now, got, want)
				}
				continue
			}
			outcome := Admitted
			if want.Remaining == 0 {
				outcome = OverRate
			} else {
				o.admits = append(o.admits, now)
				want = o.want(now)
			}
			got := Admit(nanoseconds(now), Limits{Rate: w})
			if got.Outcome != outcome || got.Rate != want {
				t.Fatalf("at %d: %+v, want %v with %+v", now, got, outcome, want)
			}
			if outcome == OverRate && got.Retry != want.Retry {
				t.Fatalf("at %d: retry after %v, want %v", now, got.Retry, want.Retry)
			}
			if w.Idle(nanoseconds(now)) != (want.Reset == 0) {
				t.Fatalf("at %d: idle, but reset in %v", now, want.Reset)
			}
		}
	})
}

// Retry is right to the nanosecond: then one passes, and one nanosecond before none
// does. So is Reset: then all n pass at once, and one nanosecond before one is missing.
func TestWindowRetryAndReset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, o := smallWindow(t)
		var now int64
		var state RateState
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now += rapid.Int64Range(0, o.per/2).Draw(t, "later by")
			result := Admit(nanoseconds(now), Limits{Rate: w})
			if result.Outcome == Admitted {
				o.admits = append(o.admits, now)
			}
			state = result.Rate
		}
		// A new window for each question: to look at a later time may forget admits.
		again := func() *Window {
			w := &Window{n: o.n, per: o.per}
			w.log = &ring{max: int(o.n), times: make([]int64, 1)}
			for _, at := range o.admits {
				Admit(nanoseconds(at), Limits{Rate: w})
			}
			return w
		}
		passes := func(at int64) (n int64) {
			for w := again(); n <= o.n && Admit(nanoseconds(at), Limits{Rate: w}).Outcome == Admitted; {
				n++
			}
			return n
		}
		if state.Retry > 0 {
			if n := passes(now + int64(state.Retry)); n < 1 {
				t.Fatalf("refused after Retry, admits at %v, now %d, %+v", o.admits, now, state)
			}
			if n := passes(now + int64(state.Retry) - 1); n != 0 {
				t.Fatalf("%d pass 1 ns before Retry, admits at %v, now %d, %+v", n, o.admits, now, state)
			}
		}
		if n := passes(now + int64(state.Reset)); n != o.n {
			t.Fatalf("%d of %d pass at Reset, admits at %v, now %d, %+v", n, o.n, o.admits, now, state)
		}
		if n := passes(now + int64(state.Reset) - 1); n >= o.n {
			t.Fatalf("all %d pass 1 ns before Reset, admits at %v, now %d, %+v", n, o.admits, now, state)
		}
	})
}

// Requests arrive in another order than that in which they read their clocks, refused ones
// among them. Still no two admits that are n apart are closer than promised.
func TestWindowOutOfOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, o := smallWindow(t)
		full := NewWindow(1, 1e9)
		Admit(nanoseconds(0), Limits{Rate: full})
		var newest, seen int64
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			newest += rapid.Int64Range(0, o.per/3+1).Draw(t, "later by")
			now := max(0, newest-rapid.Int64Range(0, o.per+3).Draw(t, "read its clock before"))
			seen = max(seen, now)
			limits := Limits{Rate: w}
			if rapid.Bool().Draw(t, "refused by another limit") {
				limits.API = full
			}
			if Admit(nanoseconds(now), limits).Outcome == Admitted {
				// However long ago it read its clock, it passed after all that the window saw
				// before it.
				o.admits = append(o.admits, seen)
				if close := tooClose(o.admits, o.n, o.per); close != nil {
					t.Fatalf("%d per %d ns, admitted at %v", o.n, o.per, close)
				}
			}
		}
	})
}

// A client that asks at ten times its rate gets all of it: in every window at least
// n-1, where each refusal of a fixed window or a counter of refusals would starve it
// (Tyk#1876, envoyproxy/ratelimit#185).
func TestT63Liveness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 50).Draw(t, "n")
		gap := rapid.Int64Range(1, 1000).Draw(t, "ns between two requests")
		w := NewWindow(float64(n), float64(10*n*gap)*1e-9)
		per := w.per
		var admits []int64
		end := 5 * per
		for now := int64(0); now < end; now += gap {
			if Admit(nanoseconds(now), Limits{Rate: w}).Outcome == Admitted {
				admits = append(admits, now)
			}
		}
		if close := tooClose(admits, n, per); close != nil {
			t.Fatalf("%d per %d ns, admitted at %v", n, per, close)
		}
		// The windows with the fewest begin right after an admit.
		for i, at := range admits {
			if at+per >= end {
				break
			}
			in, _ := slices.BinarySearch(admits, at+1+per)
			if got := int64(in - i - 1); got < n-1 {
				t.Fatalf("%d per %d ns, one request each %d ns: %d in the window that begins after %d", n, per, gap, got, at)
			}
		}
	})
}
