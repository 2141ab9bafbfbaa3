package auth

import (
	"slices"
	"strings"

	"sidekey/auth/session"
	"sidekey/limiter"
)

// LiveLimit is the part that is left of one user's limits of one scope.
type LiveLimit struct {
	Scope string             // "": of the session; "api:ID", "policy:ID,…", "endpoint:API:METHOD:PATH"
	Rate  limiter.RateState  // zero: no limit
	Quota limiter.QuotaState // zero: no limit
}

// Limits returns the live state of all limits of a user in the order of their scopes,
// whether the user is active or not. r and kept are what the store holds. Nothing is
// charged.
func (d *Directory) Limits(r session.Record, kept []KeptQuota, now limiter.Now) []LiveLimit {
	a := d.state(r, kept)
	var all []LiveLimit
	for _, b := range a.buckets {
		all = append(all, LiveLimit{b.scope, b.rate.State(now), b.quota.State(now)})
	}
	for scope, w := range a.endpointWindows {
		all = append(all, LiveLimit{Scope: scope, Rate: w.State(now)})
	}
	slices.SortFunc(all, func(a, b LiveLimit) int { return strings.Compare(a.Scope, b.Scope) })
	return all
}
