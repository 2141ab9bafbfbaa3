package limiter

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Each trigger is reported by the request that reaches it, whatever the order in which
// they are written, and again in the next period.
func TestTriggers(t *testing.T) {
	f := func(limit int64, triggers []float64, want ...string) {
		t.Helper()
		q := NewQuota(ann, limit, 60, Reservation{}, &ledger{eager: true})
		q.SetTriggers(triggers)
		for period := range 3 {
			var got []string
			for i := range limit + 2 {
				if r := ask(Limits{Quota: q}, still(seconds(float64(1+period*100)))); len(r.Reached) > 0 {
					got = append(got, fmt.Sprint(i+1, r.Reached))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v of %d, period %d: %q, want %q", triggers, limit, period, got, want)
			}
		}
	}
	f(10, nil)
	f(10, []float64{80, 50}, "5 [50]", "8 [80]")
	f(10, []float64{50, 80}, "5 [50]", "8 [80]")
	f(10, []float64{100, 50, 50, 1}, "1 [1]", "5 [50]", "10 [100]")
	f(3, []float64{10, 33, 34, 66.6, 100}, "1 [10 33]", "2 [34 66.6]", "3 [100]")
	f(1, []float64{80, 60, 50}, "1 [50 60 80]")
	f(10, []float64{0, -5, 101, 90}, "9 [90]")
}

// A value that is not above 0, or not a number, is not a trigger.
func TestTriggersThatAreNone(t *testing.T) {
	var nan float64
	nan /= nan
	q := NewQuota(ann, 2, 60, Reservation{}, &ledger{eager: true})
	q.SetTriggers([]float64{nan, -1, 0, 50})
	if r := ask(Limits{Quota: q}, still(seconds(1))); !slices.Equal(r.Reached, []float64{50}) {
		t.Errorf("reached %v, want 50", r.Reached)
	}
	(*Quota)(nil).SetTriggers([]float64{50})
}

// Exactly one of many requests at once reports a trigger.
func TestTriggersAtOnce(t *testing.T) {
	const limit, callers = 2000, 16
	l := &ledger{eager: true}
	q := NewQuota(ann, limit, 60, Reservation{}, l)
	triggers := []float64{100, 12.5, 50, 80, 99.95}
	q.SetTriggers(triggers)
	var mu sync.Mutex
	counts := make(map[float64]int)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range limit / callers * 2 {
				for _, p := range ask(Limits{Quota: q}, still(seconds(1))).Reached {
					mu.Lock()
					counts[p]++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	for _, p := range triggers {
		if counts[p] != 1 {
			t.Errorf("%v %%: reported %d times", p, counts[p])
		}
	}
}

// After a clean stop the ledger's record says which triggers were reported.
func TestTriggersAfterRestart(t *testing.T) {
	l := &ledger{eager: true}
	q := NewQuota(ann, 10, 0, Reservation{}, l)
	q.SetTriggers([]float64{50, 80})
	for range 5 {
		ask(Limits{Quota: q}, still(seconds(1)))
	}
	_, back, _ := q.GiveBack()
	q = NewQuota(ann, 10, 0, l.onDisk(ann).Grant(back, true).Reservation, l)
	q.SetTriggers([]float64{50, 80, 20})
	var got []float64
	for range 10 {
		got = append(got, ask(Limits{Quota: q}, still(seconds(2))).Reached...)
	}
	if !slices.Equal(got, []float64{80}) {
		t.Errorf("after the restart: %v, want 80 alone", got)
	}
}

// Whatever is edited within a period, no trigger is reported twice in it, and only triggers that
// were reached are reported.
func TestTriggersProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		percents := rapid.SliceOfN(rapid.SampledFrom([]float64{10, 25, 33.3, 50, 75, 90, 100}), 0, 5)
		limits := rapid.Int64Range(1, 40)
		limit := limits.Draw(t, "limit")
		q := NewQuota(ann, limit, 100, Reservation{}, &ledger{eager: true})
		triggers := percents.Draw(t, "triggers")
		q.SetTriggers(triggers)
		at, period := 1.0, int64(0)
		var used int64
		var told float64
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				limit = limits.Draw(t, "limit")
				q.SetLimit(limit, 100)
			case 1:
				triggers = percents.Draw(t, "triggers")
				q.SetTriggers(triggers)
			case 2:
				at += float64(rapid.IntRange(1, 70).Draw(t, "pass"))
			default:
				r := ask(Limits{Quota: q}, still(seconds(at)))
				if r.Quota.Renews != period {
					period, used, told = r.Quota.Renews, 0, 0
				}
				if r.Outcome == Admitted {
					used++
				}
				var want []float64
				for _, p := range slices.Compact(slices.Sorted(slices.Values(triggers))) {
					if r.Outcome == Admitted && p > told && float64(used)*100/float64(limit) >= p {
						want = append(want, p)
					}
				}
				if len(want) > 0 {
					told = want[len(want)-1]
				}
				if !slices.Equal(r.Reached, want) {
					t.Fatalf("%d of %d used, %v: reported %v, want %v", used, limit, triggers, r.Reached, want)
				}
			}
		}
	})
}
