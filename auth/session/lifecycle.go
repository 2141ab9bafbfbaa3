package session

import (
	"math"
	"strconv"

	"sidekey/limiter"
)

// Lifetime is the part of a session that decides when its record is removed.
type Lifetime struct {
	Expires               int64    `json:"expires"`
	SessionLifetime       int64    `json:"session_lifetime"`
	PostExpiryAction      string   `json:"post_expiry_action"`
	PostExpiryGracePeriod int64    `json:"post_expiry_grace_period"`
	LastUpdated           string   `json:"last_updated"`
	ApplyPolicies         []string `json:"apply_policies"`
}

// Lifetime returns the [Lifetime] of the session.
func (s *Session) Lifetime() Lifetime {
	return Lifetime{
		Expires:               s.Expires,
		SessionLifetime:       s.SessionLifetime,
		PostExpiryAction:      s.PostExpiryAction,
		PostExpiryGracePeriod: s.PostExpiryGracePeriod,
		LastUpdated:           s.LastUpdated,
		ApplyPolicies:         s.ApplyPolicies,
	}
}

// Brief is the part of a record that background jobs need when they go over all users. It is read
// several times as fast as the whole record.
type Brief struct {
	Name
	PasswordHash string
	Lifetime     Lifetime
}

// RemoveAt returns the Unix second at which the record of a session must be removed, or ever = false.
// That is session_lifetime seconds after its last write; at expires with post_expiry_action "delete";
// and post_expiry_grace_period seconds after expires with "retain" (-1: never). The earliest counts. If
// the session has no post_expiry_action, that of the first policy that has one applies. Entries of
// policies may be nil.
//
// A session with expires 1000, post_expiry_action "retain" and post_expiry_grace_period 50 is removed
// at 1050.
func (l *Lifetime) RemoveAt(policies []*Policy) (at int64, ever bool) {
	at = math.MaxInt64
	if l.SessionLifetime > 0 {
		// A record without the time of its last write stays: nothing is removed on a guess.
		if written, err := strconv.ParseInt(l.LastUpdated, 10, 64); err == nil {
			at = limiter.AddSaturating(written, l.SessionLifetime)
		}
	}
	action, grace := l.PostExpiryAction, l.PostExpiryGracePeriod
	for _, p := range policies {
		if action == "" && p != nil {
			action, grace = p.PostExpiryAction, p.PostExpiryGracePeriod
		}
	}
	if l.Expires > 0 {
		switch {
		case action == "delete":
			at = min(at, l.Expires)
		case action == "retain" && grace >= 0:
			at = min(at, limiter.AddSaturating(l.Expires, grace))
		}
	}
	return at, at != math.MaxInt64
}
