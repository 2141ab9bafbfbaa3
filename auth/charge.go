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
	shadow   struct{ rate, quota, api bool } // limits that are counted and refuse nothing
}

// chargesOf returns the limits of a grant and its API.
func chargesOf(g *grant, api *route.API) (c charges) {
	b := g.limits
	c.limits = limiter.Limits{Rate: b.rate, Quota: b.quota, API: api.Limit, Edition: b.edition}
	c.throttle = b.throttle
	c.shadow.rate, c.shadow.quota = b.shadow, b.shadow
	return c
}

// narrow removes the limits that an API switches off, and puts those into shadow that it does not
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

// inShadow reports whether a refusal for that reason must only be reported.
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

// charge takes one request from every limit, or refuses and takes nothing. A request that only
// limits in shadow refuse passes and is charged to the other limits. Limits in shadow count what
// they would have let pass, so they report exactly what enforcing them would refuse.
func (d *decision) charge(c *charges) {
	v := d.verdict
	d.take(c.limits)
	if c.inShadow(v.Reason) {
		v.Shadow, v.Reason, v.Message, v.Retry = v.Reason, Pass, "", 0
		d.take(c.enforced())
	}
	if v.Reason == RateExceeded {
		v.Throttle = c.throttle
	}
}

// take charges the request to limits. If no reservation of the quota is left, it waits for one,
// for as long as the settings allow.
func (d *decision) take(limits limiter.Limits) {
	v := d.verdict
	deadline := d.now.Mono + int64(d.settings.QuotaWait)
	for {
		admit := limiter.Admit
		if d.dry {
			admit = limiter.Peek
		}
		result := admit(d.now, limits)
		v.Retry, v.At = result.Retry, d.now
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
		left := time.Duration(deadline - d.now.Mono)
		again := limits.Quota.Wait(d.now, left)
		d.now = d.checker.now()
		if !again || d.now.Mono >= deadline {
			v.Reason, v.Retry = Busy, time.Second
			v.Message = "Quota cannot be recorded at the moment"
			return
		}
	}
}
