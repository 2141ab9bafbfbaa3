package auth

import (
	"math"
	"sync/atomic"
	"time"

	"sidekey/limiter"
)

// notices remembers which refusals have been reported, so that an event for each is sent at
// most once a period. It belongs to a bucket and outlives the account, as the
// bucket's limits do. It is memory only: a restart forgets it.
type notices struct {
	rate    atomic.Int64 // Now.Mono until which RateExceeded is not news
	apiRate atomic.Int64 // the same of APIRateExceeded
	quota   atomic.Int64 // Now.Wall until which QuotaExceeded is not news
}

// shortestNotice is the least time between two notices of one user's rate, whose window
// may be much shorter.
const shortestNotice = int64(time.Second)

// News reports whether a refusal is the first of its kind in its period: of a rate in its
// window (at least a second), of a quota until it renews, of an expired or inactive user
// until an edit. Of many at the same time, one is the first. Call News once for each verdict;
// any other verdict is news.
func (v *Verdict) News(now limiter.Now) bool {
	switch {
	case v.Reason == Expired, v.Reason == Inactive:
		return v.Account.toldBlocked.CompareAndSwap(false, true)
	case v.notices == nil:
		return true
	}
	switch v.Reason {
	case RateExceeded:
		return first(&v.notices.rate, now.Mono, limiter.AddSaturating(now.Mono, max(int64(v.Rate.Per), shortestNotice)))
	case APIRateExceeded:
		return first(&v.notices.apiRate, now.Mono, limiter.AddSaturating(now.Mono, max(limiter.Nanoseconds(v.API.Per), shortestNotice)))
	case QuotaExceeded:
		until := v.Quota.Renews
		if until == 0 {
			until = math.MaxInt64 // the period never ends
		}
		return first(&v.notices.quota, now.Wall, until)
	}
	return true
}

// first reports whether now has reached what until holds (0: nothing yet), and then moves
// it on.
func first(until *atomic.Int64, now, next int64) bool {
	seen := until.Load()
	return (seen == 0 || now >= seen) && until.CompareAndSwap(seen, next)
}
