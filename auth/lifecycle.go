package auth

import (
	"math"
	"strconv"

	"sidekey/limiter"
)

// RemoveAt returns the Unix second at which the record of a session itself is to be
// removed, or false for never: session_lifetime seconds after its last write; at
// expires with post_expiry_action "delete"; post_expiry_grace_period seconds later with
// "retain" (-1: never). The first that comes counts. Where the session says nothing of
// what happens after its expiry, the first of its policies that does is asked.
func (s *Session) RemoveAt(policies []*Policy) (at int64, ever bool) {
	at = math.MaxInt64
	if s.SessionLifetime > 0 {
		// A record without the time of its last write is kept: nothing is removed on a guess.
		if written, err := strconv.ParseInt(s.LastUpdated, 10, 64); err == nil {
			at = limiter.AddSaturating(written, s.SessionLifetime)
		}
	}
	action, grace := s.PostExpiryAction, s.PostExpiryGracePeriod
	for _, p := range policies {
		if action == "" && p != nil {
			action, grace = p.PostExpiryAction, p.PostExpiryGracePeriod
		}
	}
	if s.Expires > 0 {
		switch {
		case action == "delete":
			at = min(at, s.Expires)
		case action == "retain" && grace >= 0:
			at = min(at, limiter.AddSaturating(s.Expires, grace))
		}
	}
	return at, at != math.MaxInt64
}
