package limiter

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Large limits count by 64ths of the window. These tests show what is promised for them: never
// too many, and at most 1.6 % too few.

// smallSubWindows draws a window with sub-windows and a limit that is small enough to be
// compared with the list of all admits.
func smallSubWindows(t *rapid.T) *Window {
	w := &Window{
		n:   rapid.Int64Range(1, 12).Draw(t, "n"),
		per: rapid.Int64Range(1, 1000).Draw(t, "per in ns"),
	}
	w.log = newSubWindows(w.per)
	return w
}

func TestSubWindowsNeverOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := smallSubWindows(t)
		s := newSubWindows(w.per)
		if w.n > 1 && rapid.Bool().Draw(t, "keeps admits at first") {
			w.log = &ring{max: rapid.IntRange(1, int(w.n)-1).Draw(t, "how many"), times: make([]int64, 1)}
		}
		var admits []int64
		var newest, seen int64
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			newest += rapid.Int64Range(0, w.per/2+2).Draw(t, "later by")
			now := max(0, newest-rapid.Int64Range(0, s.length).Draw(t, "read its clock before"))
			seen = max(seen, now)
			result := Admit(nanoseconds(now), Limits{Rate: w})
			if result.Outcome == Admitted {
				admits = append(admits, seen)
				if close := tooClose(admits, w.n, w.per); close != nil {
					t.Fatalf("%d per %d ns, admitted at %v", w.n, w.per, close)
				}
				continue
			}
			// A refusal has a reason: n admits in the last 65 parts.
			recent, _ := slices.BinarySearch(admits, seen-(subWindowCount+1)*s.length)
			if got := int64(len(admits) - recent); got < w.n {
				t.Fatalf("%d per %d ns: refused at %d after %d admits in the window", w.n, w.per, now, got)
			}
		}
	})
}

func TestSubWindowsRetryAndReset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := smallSubWindows(t)
		s := w.log.(*subWindows)
		var now int64
		var state RateState
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now += rapid.Int64Range(0, w.per/3).Draw(t, "later by")
			state = Admit(nanoseconds(now), Limits{Rate: w}).Rate
		}
		passes := func(at int64) (n int64) {
			copied := *s
			for w := (&Window{n: w.n, per: w.per, log: &copied}); n <= w.n && Admit(nanoseconds(at), Limits{Rate: w}).Outcome == Admitted; {
				n++
			}
			return n
		}
		if passes(now) != state.Remaining {
			t.Fatalf("%d pass where %+v", passes(now), state)
		}
		if state.Retry > 0 && (passes(now+int64(state.Retry)) == 0 || passes(now+int64(state.Retry)-1) != 0) {
			t.Fatalf("at %d: one more passes sooner or later than %+v says", now, state)
		}
		if (state.Retry > 0) != (state.Remaining == 0) {
			t.Fatalf("at %d: %+v", now, state)
		}
		if passes(now+int64(state.Reset)) != w.n || passes(now+int64(state.Reset)-1) == w.n {
			t.Fatalf("at %d: all of the window is free sooner or later than %+v says", now, state)
		}
	})
}

// At full size: a client that asks at ten times a rate above 4096 gets that rate except for at
// most 1.6 %, and never more.
func TestT63LivenessOfLargeLimits(t *testing.T) {
	for _, limit := range []struct{ rate, per float64 }{{4097, 1}, {5000, 60}, {30_000, 10}, {4097, 0.0001}} {
		w := NewWindow(limit.rate, limit.per)
		n, per := int64(limit.rate), w.per
		const windows = 4
		gap := max(1, per/(10*n))
		var admits []int64
		for now := int64(0); now < windows*per; now += gap {
			if Admit(nanoseconds(now), Limits{Rate: w}).Outcome == Admitted {
				admits = append(admits, now)
			}
		}
		if close := tooClose(admits, n, per); close != nil {
			t.Errorf("%v per %v s: %d admits within %d ns", limit.rate, limit.per, len(close), close[len(close)-1]-close[0])
		}
		// The window that is enforced is at most 1.6 % longer than the one that is written,
		// so in each that is as long at least n-1 pass.
		long := per + per*16/1000 + gap
		for i, at := range admits {
			if at+long >= windows*per {
				break
			}
			in, _ := slices.BinarySearch(admits, at+1+long)
			if got := int64(in - i - 1); got < n-1 {
				t.Errorf("%v per %v s: %d pass in the window that begins after %d ns", limit.rate, limit.per, got, at)
				break
			}
		}
	}
}

// Parts without requests are skipped, however many they are, and a window that was idle for a
// long time is empty again.
func TestSubWindowsAfterARest(t *testing.T) {
	w := NewWindow(5000, 64)
	fill := func(at float64) (n int) {
		for n <= 5000 && Admit(seconds(at), Limits{Rate: w}).Outcome == Admitted {
			n++
		}
		return n
	}
	for _, s := range []struct {
		at   float64
		want int
	}{
		{0, 5000}, {0.999, 0}, {63.999, 0}, {64, 0}, {64.999, 0}, // the part of second 0 counts until it has left in full
		{65, 5000}, {66, 0}, {129.999, 0}, {130, 5000},
		{1e6, 5000}, {1e6 + 64, 0}, {1e6 + 65, 5000}, {3e9, 5000},
	} {
		if got := fill(s.at); got != s.want {
			t.Errorf("at %v s %d passed, want %d", s.at, got, s.want)
		}
	}
}
