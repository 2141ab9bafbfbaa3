package auth

import (
	"bytes"
	"errors"
	"time"

	"sidekey/limiter"
)

// Held is a request that waits because it is over its rate, with all that trying it
// again needs.
type Held struct {
	request      Request // copies of what is needed
	api, version string
	account      *Account // who it is from, when it was held
}

// Request returns what is known of the request: all but its credentials and its other
// headers.
func (h *Held) Request() Request { return h.request }

// Hold returns what [Checker.Retry] needs of a request that was refused with a
// [Throttle]. It keeps nothing of what r borrows.
func (c *Checker) Hold(r *Request, v *Verdict) *Held {
	return &Held{
		request: Request{
			APIID:  bytes.Clone(r.APIID),
			Method: bytes.Clone(r.Method),
			Host:   bytes.Clone(r.Host),
			URI:    bytes.Clone(r.URI),
			Client: bytes.Clone(r.Client),
		},
		api:     v.API.ID,
		version: v.version,
		account: v.Account,
	}
}

// Retry answers a held request anew: everything but its credentials is checked again.
// Who has been given other credentials meanwhile is refused.
func (c *Checker) Retry(now limiter.Now, h *Held) (v Verdict) {
	for {
		s := c.Settings()
		v = c.retryBy(s, now, h)
		if v.Reason != superseded {
			v.Settings = s
			return v
		}
		now = c.now()
	}
}

// retryBy is Retry by these settings; its reason may be [superseded].
func (c *Checker) retryBy(s *Settings, now limiter.Now, h *Held) (v Verdict) {
	api := s.APIs.ByID(h.api)
	if api == nil || !api.Active {
		v.refuse(UnknownAPI, nil)
		return v
	}
	account, err := c.directory.findFor(s.Compiler, h.account.org, []byte(h.account.user))
	switch {
	case err == errSuperseded:
		v.Reason = superseded
	case errors.Is(err, ErrNoUser), errors.Is(err, ErrDamaged), err == nil && !account.sameCredentials(h.account):
		v.refuse(BadCredentials, api)
	case err != nil:
		v.refuse(Unavailable, api)
	default:
		c.admit(&now, s, api, h.version, account, &h.request, &v, nil)
		if v.Reason == retryAccount { // edited in this very moment
			v.refuse(Busy, api)
			v.Retry = time.Second
		}
	}
	return v
}

// sameCredentials reports whether who was let in as before would be let in as a.
func (a *Account) sameCredentials(before *Account) bool {
	if a.signer == nil || before.signer == nil {
		return a.signer == before.signer && a.hash == before.hash
	}
	return a.signer.SameSecret(before.signer.Signer)
}
