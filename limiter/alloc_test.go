//go:build !race

package limiter

import "testing"

// Admitting and refusing allocate nothing, because they happen for every request.
func TestAllocAdmit(t *testing.T) {
	f := func(name string, l Limits, want Outcome) {
		t.Helper()
		now := seconds(10)
		allocs := testing.AllocsPerRun(1000, func() {
			now.Mono++
			now.Wall++
			if r := Admit(now, l); r.Outcome != want {
				t.Fatalf("%s: %+v", name, r)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
	quota := func(used int64) *Quota {
		q := NewQuota(ann, 1_000_000, 0, Reservation{}, &ledger{})
		q.start, q.used, q.reserved = 1, used, 1_000_000
		return q
	}
	window := func() *Window {
		w := NewWindow(3000, 1)
		for i := range 3000 {
			Admit(Now{Mono: int64(i)}, Limits{Rate: w})
		}
		return w
	}
	f("no limits", Limits{}, Admitted)
	f("all limits", Limits{Rate: window(), Quota: quota(0), API: NewWindow(100_000, 10)}, Admitted)
	f("over the rate", Limits{Rate: usedWindow(1, 1), Quota: quota(0), API: window()}, OverRate)
	f("over the quota", Limits{Rate: window(), Quota: quota(1_000_000), API: window()}, OverQuota)
	f("over the API's rate", Limits{Rate: window(), Quota: quota(0), API: usedWindow(1, 1)}, OverAPI)
}
