package limiter

import (
	"testing"

	"pgregory.net/rapid"
)

// A limit is changed while it is in use. Earlier requests count under the new limit, as far as
// the old one remembered them.

func TestSetLimit(t *testing.T) {
	w := NewWindow(3, 10)
	run(t, w, []step{{0, pass, 2, 10, 0}, {1, pass, 1, 10, 0}, {2, pass, 0, 10, 8}})
	w.SetLimit(5, 10) // more of the same
	run(t, w, []step{{3, pass, 1, 10, 0}, {4, pass, 0, 10, 6}, {5, refuse, 0, 9, 5}})
	w.SetLimit(2, 10) // fewer
	run(t, w, []step{{6, refuse, 0, 8, 7}, {12, refuse, 0, 2, 1}, {13, pass, 0, 10, 1}})
	w.SetLimit(2, 5) // shorter
	run(t, w, []step{{14, pass, 0, 5, 4}, {15, refuse, 0, 4, 3}, {18, pass, 0, 5, 1}})
	w.SetLimit(2, 20) // longer: those that are remembered stay
	run(t, w, []step{{20, refuse, 0, 18, 14}, {33.9, refuse, 0, 4.1, 0.1}, {34, pass, 0, 20, 4}})
	w.SetLimit(0.5, 1)
	run(t, w, []step{{35, refuse, 0, 1, 1}, {36, pass, 0, 2, 2}})
	w.SetLimit(0.5, 1) // no change
	run(t, w, []step{{37, refuse, 0, 1, 1}})
	if !w.Same(0.5, 1) || w.Same(2, 20) {
		t.Error("the window does not know its new limit")
	}
}

// From each form of the log to the other, and back.
func TestSetLimitLarge(t *testing.T) {
	w := NewWindow(10, 64)
	for range 10 {
		Admit(seconds(1), Limits{Rate: w})
	}
	w.SetLimit(5000, 64)
	if got := w.State(seconds(1)).Remaining; got != 4990 {
		t.Errorf("%d remain", got)
	}
	for range 90 {
		Admit(seconds(2), Limits{Rate: w})
	}
	w.SetLimit(6000, 64)
	if got := w.State(seconds(2)).Remaining; got != 5900 {
		t.Errorf("%d remain", got)
	}
	w.SetLimit(200, 64)
	if got := w.State(seconds(3)).Remaining; got != 100 {
		t.Errorf("%d remain", got)
	}
	w.SetLimit(50, 64)
	if r := Admit(seconds(3), Limits{Rate: w}); r.Outcome != OverRate {
		t.Errorf("%+v", r)
	}
	if r := Admit(seconds(68), Limits{Rate: w}); r.Outcome != Admitted {
		t.Errorf("%+v", r)
	}
}

// A large limit remembers its admits by parts of a window that may be long. If it is made
// small, it must admit what the new limit grants from now on, and not wait for the end of a part
// in the future.
func TestT63LivenessAfterSetLimit(t *testing.T) {
	w := NewWindow(5000, 86400)
	Admit(seconds(1), Limits{Rate: w})
	w.SetLimit(10, 1)
	admitted := 0
	for i := range 100 {
		if Admit(seconds(5+float64(i)/10), Limits{Rate: w}).Outcome == Admitted {
			admitted++
		}
	}
	if admitted < 90 {
		t.Errorf("%d were admitted in 10 s at 10 per second", admitted)
	}
}

// Whatever limits follow one another, in no window of any two of them are there more admits than
// the second grants, in whatever order clocks were read.
func TestSetLimitNeverOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.Bool().Draw(t, "exact logs only")
		draw := func() (n, per int64) {
			n, per = rapid.Int64Range(1, 6).Draw(t, "n"), rapid.Int64Range(1, 200).Draw(t, "per in ns")
			if !small && rapid.Bool().Draw(t, "large") {
				n += maxExact
			}
			return n, per
		}
		n, per := draw()
		w := NewWindow(float64(n), float64(per)*1e-9)
		shortest := w.per // since when everything is remembered
		var admits []int64
		var newest, seen int64
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			newest += rapid.Int64Range(0, 60).Draw(t, "later by")
			now := max(0, newest-rapid.Int64Range(0, 80).Draw(t, "read its clock before"))
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				n, per = draw()
				w.SetLimit(float64(n), float64(per)*1e-9)
				shortest = min(shortest, w.per)
				// An exact log remembers no more than it needs.
				admits = admits[max(0, len(admits)-int(n)):]
				continue
			case 1:
				w.State(nanoseconds(now))
				seen = max(seen, now)
				continue
			}
			seen = max(seen, now)
			if Admit(nanoseconds(now), Limits{Rate: w}).Outcome != Admitted {
				continue
			}
			admits = append(admits, seen)
			if n > maxExact {
				continue // cannot be over with so few
			}
			if close := tooClose(admits[max(0, len(admits)-int(n)-1):], n, min(shortest, w.per)); close != nil {
				t.Fatalf("%d per %d ns, admitted at %v", n, min(shortest, w.per), close)
			}
		}
	})
}
