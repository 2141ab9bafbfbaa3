package limiter

import (
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// usedWindow returns a window of n per 1000 s of which used are used.
func usedWindow(n, used int) *Window {
	w := NewWindow(float64(n), 1000)
	for range used {
		Admit(seconds(1), Limits{Rate: w})
	}
	return w
}

// usedQuota returns a quota of n without end of which used are used.
func usedQuota(n, used int64) *Quota {
	q := NewQuota(ann, n, 0, Reservation{}, &ledger{eager: true})
	for range used {
		ask(Limits{Quota: q}, still(seconds(1)))
	}
	return q
}

// The order of the answers is that of the contract: rate, quota, the API's rate.
func TestAdmitOrder(t *testing.T) {
	closed := usedQuota(3, 1)
	closed.Close()
	untouched := NewQuota(ann, 3, 0, Reservation{}, &ledger{eager: true})
	free, full := usedWindow(3, 1), usedWindow(3, 3)
	freeAPI, fullAPI := usedWindow(3, 1), usedWindow(3, 3)
	freeQuota, fullQuota := usedQuota(3, 1), usedQuota(3, 3)

	f := func(name string, l Limits, want Outcome, retry bool) {
		t.Helper()
		got := Admit(seconds(2), l)
		if got.Outcome != want || (got.Retry > 0) != retry {
			t.Errorf("%s: %+v", name, got)
		}
	}
	f("all are used up", Limits{Rate: full, Quota: fullQuota, API: fullAPI}, OverRate, true)
	f("rate and quota", Limits{Rate: full, Quota: fullQuota, API: freeAPI}, OverRate, true)
	f("rate and a quota that has ended", Limits{Rate: full, Quota: closed, API: fullAPI}, OverRate, true)
	f("rate and a quota that must wait", Limits{Rate: full, Quota: untouched, API: fullAPI}, OverRate, true)
	f("rate alone", Limits{Rate: full, Quota: freeQuota, API: freeAPI}, OverRate, true)
	f("quota and API", Limits{Rate: free, Quota: fullQuota, API: fullAPI}, OverQuota, true)
	f("quota alone", Limits{Rate: free, Quota: fullQuota, API: freeAPI}, OverQuota, true)
	f("a quota that has ended, and API", Limits{Rate: free, Quota: closed, API: fullAPI}, QuotaIsStale, false)
	f("API", Limits{Rate: free, Quota: freeQuota, API: fullAPI}, OverAPI, true)
	// Nothing is reserved for a request that the API refuses.
	f("API and a quota that must wait", Limits{Rate: free, Quota: untouched, API: fullAPI}, OverAPI, true)
	f("a quota that must wait", Limits{Rate: free, Quota: untouched, API: freeAPI}, NeedsLedger, false)
	f("only an API", Limits{API: fullAPI}, OverAPI, true)
	f("only a quota", Limits{Quota: fullQuota}, OverQuota, true)
	f("no limits", Limits{}, Admitted, false)
	if r := ask(Limits{Rate: free, Quota: freeQuota, API: freeAPI}, still(seconds(2))); r.Outcome != Admitted || r.Retry != 0 {
		t.Errorf("none is used up: %+v", r)
	}
}

// A refused request uses up nothing of any limit, and neither does one that has to wait. (Tyk
// counts it everywhere.)
func TestAdmitRefusedUsesNothing(t *testing.T) {
	const n = 3
	for rate := range n + 1 {
		for quota := range n + 1 {
			for api := range n + 1 {
				if rate < n && quota < n && api < n {
					continue
				}
				l := Limits{Rate: usedWindow(n, rate), Quota: usedQuota(n, int64(quota)), API: usedWindow(n, api)}
				asked := l.Quota.ledger.(*ledger).asked()
				before := states(l)
				for range 100 {
					if r := Admit(seconds(2), l); r.Outcome == Admitted {
						t.Fatalf("%d, %d and %d of %d are used, and one more passed", rate, quota, api, n)
					}
				}
				if after := states(l); !reflect.DeepEqual(after, before) {
					t.Errorf("%d, %d and %d of %d are used: refused requests made %+v of %+v", rate, quota, api, n, after, before)
				}
				if l.Quota.ledger.(*ledger).asked() != asked {
					t.Errorf("%d, %d and %d of %d are used: a refused request asked the ledger", rate, quota, api, n)
				}
			}
		}
	}
	l := Limits{Rate: usedWindow(n, 1), Quota: NewQuota(ann, n, 0, Reservation{}, &ledger{}), API: usedWindow(n, 1)}
	before := states(l)
	for range 100 {
		if r := Admit(seconds(2), l); r.Outcome != NeedsLedger {
			t.Fatalf("%+v", r)
		}
	}
	if after := states(l); !reflect.DeepEqual(after, before) {
		t.Errorf("requests that have to wait made %+v of %+v", after, before)
	}
}

func states(l Limits) []any {
	now := seconds(2)
	return []any{l.Rate.State(now), l.Quota.State(now), l.API.State(now)}
}

// The result is the state right after the request, not before it.
func TestAdmitResult(t *testing.T) {
	l := Limits{Rate: usedWindow(5, 1), Quota: usedQuota(4, 1), API: usedWindow(3, 1)}
	r := ask(l, still(seconds(2)))
	if r.Rate.Remaining != 3 || r.Quota.Remaining != 2 || l.API.State(seconds(2)).Remaining != 1 {
		t.Errorf("%+v", r)
	}
	// The states of a refusal are there as well.
	ask(l, still(seconds(2)))
	r = ask(l, still(seconds(2)))
	if r.Outcome != OverAPI || r.Rate.Remaining != 2 || r.Quota.Remaining != 1 || r.Retry != 999*time.Second {
		t.Errorf("%+v", r)
	}
}

// Many users, each with a rate and a quota, use one API with a limit at the same time, from the
// first request of every period on. Every limit is used to the last request and no further, and
// a request that one limit refuses is not missing from another.
func TestAdmitConcurrent(t *testing.T) {
	const goroutines, users = 64, 8
	l := &ledger{eager: true}
	type user struct {
		limits   Limits
		admitted atomic.Int64
	}
	f := func(name string, rate, quota, api int64) {
		t.Helper()
		apiLimit := NewWindow(float64(api), 1e6)
		all := make([]*user, users)
		for i := range all {
			key := QuotaKey{User: name, Scope: string(rune('a' + i))}
			all[i] = &user{limits: Limits{Rate: NewWindow(float64(rate), 1e6), Quota: NewQuota(key, quota, 0, Reservation{}, l), API: apiLimit}}
		}
		var refused [QuotaIsStale + 1]atomic.Int64
		var group sync.WaitGroup
		for range goroutines {
			group.Go(func() {
				for range 30 + 3*max(min(rate, quota), api/users)*users/goroutines {
					u := all[rand.N(users)]
					r := ask(u.limits, still(seconds(1)))
					if r.Outcome == Admitted {
						u.admitted.Add(1)
					} else {
						refused[r.Outcome].Add(1)
					}
				}
			})
		}
		group.Wait()
		if n := refused[NeedsLedger].Load() + refused[QuotaIsStale].Load(); n > 0 {
			t.Errorf("%s: %d neither admitted nor refused", name, n)
		}
		var sum int64
		for i, u := range all {
			got := u.admitted.Load()
			sum += got
			if want := min(rate, quota); got > want || api > users*want && got != want {
				t.Errorf("%s: user %d was admitted %d times, with rate %d and quota %d", name, i, got, rate, quota)
			}
			if used := quota - u.limits.Quota.State(seconds(1)).Remaining; used != got {
				t.Errorf("%s: user %d was admitted %d times, the quota shows %d", name, i, got, used)
			}
			if used := rate - u.limits.Rate.State(seconds(1)).Remaining; used != got {
				t.Errorf("%s: user %d was admitted %d times, the rate shows %d", name, i, got, used)
			}
		}
		if want := min(api, users*min(rate, quota)); sum != want {
			t.Errorf("%s: %d admitted on the API, want %d", name, sum, want)
		}
		if used := api - apiLimit.State(seconds(1)).Remaining; used != sum {
			t.Errorf("%s: %d admitted, the API shows %d", name, sum, used)
		}
	}
	f("the rate is the narrowest", 50, 300, 5000)
	f("the quota is the narrowest", 300, 50, 5000)
	f("the API is the narrowest", 300, 300, 100)
	f("all alike", 100, 100, 800)
	f("one", 1, 1, 8)
	f("large", 5000, 3000, 30_000)
}

// Exactly the maximum passes in every period, from its first request on, however many requests
// come at once. (Of 30 allowed, Tyk let 245 pass.)
func TestQuotaConcurrent(t *testing.T) {
	for _, limit := range []int64{1, 2, 30, 99, 100, 1000, 5000} {
		q := NewQuota(ann, limit, 60, Reservation{}, &ledger{eager: true})
		for p := range 3 {
			now := still(seconds(float64(1000 * (p + 1))))
			var admitted atomic.Int64
			var group sync.WaitGroup
			for range 64 {
				group.Go(func() {
					for ask(Limits{Quota: q}, now).Outcome == Admitted {
						admitted.Add(1)
					}
				})
			}
			group.Wait()
			if got := admitted.Load(); got != limit {
				t.Errorf("limit %d, period %d: %d admitted", limit, p, got)
			}
		}
	}
}

// The same while the clock runs across the ends of periods.
func TestQuotaConcurrentRollover(t *testing.T) {
	const limit, periods = 20, 50
	q := NewQuota(ann, limit, 1, Reservation{}, &ledger{eager: true})
	var clock atomic.Int64
	now := func() Now { return nanoseconds(clock.Add(int64(time.Second) / (limit * 10))) }
	var mu sync.Mutex
	admitted := make(map[int64]int64) // by the end of the period
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for range limit * 10 * periods / 64 {
				if r := ask(Limits{Quota: q}, now); r.Outcome == Admitted {
					mu.Lock()
					admitted[r.Quota.Renews]++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	for end, n := range admitted {
		if n > limit {
			t.Errorf("%d admitted in the period that ends at %d", n, end)
		}
	}
	if len(admitted) < 10 {
		t.Errorf("only %d periods", len(admitted))
	}
}
