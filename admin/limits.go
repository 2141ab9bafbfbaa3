package admin

import (
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/limiter"
)

// liveRate is what is left of a rate at the moment of the answer.
type liveRate struct {
	Limit     int64   `json:"limit"` // requests per window; 0 = no limit
	Per       float64 `json:"per"`   // seconds
	Remaining int64   `json:"remaining"`
	Reset     float64 `json:"reset"` // seconds until all of it is free again
}

// liveQuota is what is left of a quota at the moment of the answer.
type liveQuota struct {
	Limit     int64 `json:"limit"`  // requests per period; 0 = no limit
	Period    int64 `json:"period"` // seconds; 0 = never renews
	Remaining int64 `json:"remaining"`
	Renews    int64 `json:"renews"` // Unix seconds; 0 = no period has begun, or it never ends
}

type liveLimit struct {
	Scope string    `json:"scope"` // see [auth.LiveLimit]
	Rate  liveRate  `json:"rate"`
	Quota liveQuota `json:"quota"`
}

// userLimits answers what is left of a user's limits. Asking uses nothing up.
func (c *call) userLimits() error {
	name, err := c.gatewayName(dashboardMissing)
	if err != nil {
		return err
	}
	r, kept, err := c.Users.Read(name.Org, name.User)
	if errors.Is(err, auth.ErrNoUser) {
		return dashboardMissing
	}
	if err != nil {
		return err
	}
	limits := make([]liveLimit, 0)
	for _, l := range c.Directory.Limits(r, kept, c.now()) {
		limits = append(limits, liveLimit{l.Scope, showRate(l.Rate), showQuota(l.Quota)})
	}
	c.send(fasthttp.StatusOK, map[string][]liveLimit{"limits": limits})
	return nil
}

func showRate(s limiter.RateState) liveRate {
	return liveRate{s.Limit, s.Per.Seconds(), s.Remaining, s.Reset.Seconds()}
}

func showQuota(s limiter.QuotaState) liveQuota {
	renews := s.Renews / int64(time.Second)
	if s.Renews%int64(time.Second) > 0 {
		renews++
	}
	return liveQuota{s.Limit, int64(s.Period / time.Second), s.Remaining, renews}
}
