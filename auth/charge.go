package auth

import (
	"time"

	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// charges are the limits that one request is charged to.
type charges struct {
	limits   limiter.Limits
	throttle *session.Throttle
	shadow   struct{ rate, quota, api bool } // those that refuse nobody
	trace    *trace                          // not nil: nothing is charged
	excess   bool                            // the path could not be compared: see [Verdict.Excess]
}

// narrow leaves out what an API does not limit, and puts into shadow what it does not
// enforce.
func (c *charges) narrow(a *route.API) {
	if a.DisableRateLimit {
		c.limits.Rate = nil
	}
	if a.DisableQuota {
		c.limits.Quota = nil
	}
	if a.Shadow {
		c.shadow.rate, c.shadow.quota, c.shadow.api = true, true, true
	}
}

// inShadow reports whether a refusal for that reason is only to be reported.
func (c *charges) inShadow(reason Reason) bool {
	switch reason {
	case RateExceeded:
		return c.shadow.rate
	case QuotaExceeded, Busy:
		return c.shadow.quota
	case APIRateExceeded:
		return c.shadow.api
	}
	return false
}

// enforced returns the limits that are not in shadow.
func (c *charges) enforced() limiter.Limits {
	l := c.limits
	if c.shadow.rate {
		l.Rate = nil
	}
	if c.shadow.quota {
		l.Quota = nil
	}
	if c.shadow.api {
		l.API = nil
	}
	return l
}

// charge uses up one request of every limit, or refuses and uses up nothing. What only
// limits in shadow refuse passes, and is charged to the others: those in shadow count
// what they would have let pass, so they report what enforcing them would refuse.
func (c *Checker) charge(now *limiter.Now, s *Settings, ch *charges, v *Verdict) {
	c.use(now, s, ch.limits, ch.trace, v)
	if ch.inShadow(v.Reason) {
		v.Shadow, v.Reason, v.Message, v.Retry = v.Reason, Pass, "", 0
		c.use(now, s, ch.enforced(), ch.trace, v)
	}
	if v.Reason == RateExceeded {
		v.Throttle = ch.throttle
	}
}

// use charges a request to limits, waiting for a reservation of the quota where none is
// left.
func (c *Checker) use(now *limiter.Now, s *Settings, limits limiter.Limits, t *trace, v *Verdict) {
	deadline := now.Mono + int64(s.QuotaWait)
	for {
		admit := limiter.Admit
		if t != nil {
			admit = limiter.Peek
		}
		result := admit(*now, limits)
		v.Retry, v.At = result.Retry, *now
		if limits.Rate != nil {
			v.Rate = result.Rate
		}
		if limits.Quota != nil {
			v.Quota, v.Reached = result.Quota, result.Reached
		}
		switch result.Outcome {
		case limiter.Admitted:
			return
		case limiter.OverRate:
			v.Reason = RateExceeded
			return
		case limiter.OverQuota:
			v.Reason = QuotaExceeded
			return
		case limiter.OverAPI:
			v.Reason = APIRateExceeded
			return
		case limiter.QuotaIsStale, limiter.QuotaEdited, limiter.Retired:
			v.Reason = retryAccount
			return
		}
		left := time.Duration(deadline - now.Mono)
		again := limits.Quota.Wait(*now, left)
		*now = c.now()
		if !again || now.Mono >= deadline {
			v.Reason, v.Retry = Busy, time.Second
			v.Message = "Quota cannot be recorded at the moment"
			return
		}
	}
}
