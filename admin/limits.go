package admin

import (
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/auth"
	"sidekey/limiter"
)

// userLimits answers what is left of a user's limits. The request itself uses nothing up.
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
	limits := make([]api.UserLimit, 0)
	for _, l := range c.Directory.Limits(r, kept, c.now()) {
		limits = append(limits, api.UserLimit{Scope: l.Scope, Rate: showRate(l.Rate), Quota: showQuota(l.Quota)})
	}
	c.send(fasthttp.StatusOK, api.UserLimits{Limits: limits})
	return nil
}

func showRate(s limiter.RateState) api.Rate {
	return api.Rate{Limit: s.Limit, Per: s.Per.Seconds(), Remaining: s.Remaining, Reset: s.Reset.Seconds()}
}

// showQuota rounds the end of the period up to a whole second.
func showQuota(s limiter.QuotaState) api.Quota {
	renews := s.Renews / int64(time.Second)
	if s.Renews%int64(time.Second) > 0 {
		renews++
	}
	return api.Quota{Limit: s.Limit, Period: int64(s.Period / time.Second), Remaining: s.Remaining, Renews: renews}
}
