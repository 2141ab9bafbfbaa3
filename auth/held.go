package auth

import (
	"bytes"
	"errors"
	"time"

	"sidekey/limiter"
)

// Held is a request that waits because it is over its rate, with everything that is needed to
// try it again.
type Held struct {
	request      Request // copies of what is needed
	api, version string
	account      *Account // whose request it was when it was held
}

// Request returns the request without its credentials and its other headers. Callers must not
// change its bytes.
func (h *Held) Request() Request { return h.request }

// Hold returns what [Checker.Retry] needs of a request that was refused with a
// [Verdict.Throttle]. It copies the bytes of r that it keeps.
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

// Retry decides about a held request again. It checks everything but the credentials. If the
// user's credentials changed while the request was held, it is refused with [BadCredentials].
func (c *Checker) Retry(now limiter.Now, h *Held) Verdict {
	v := new(Verdict)
	d := c.start(now, &h.request, v)
	defer d.release()
	d.byOneConfiguration(func() { d.retry(h) })
	return *v
}

// retry takes the steps of a held request that come after its credentials.
func (d *decision) retry(h *Held) {
	d.version = h.version
	d.api = d.settings.APIs.ByID(h.api)
	if d.api == nil || !d.api.Active {
		d.api = nil
		d.refuse(UnknownAPI)
		return
	}
	account, err := d.checker.directory.findFor(d.settings.Compiler, h.account.org, []byte(h.account.user))
	switch {
	case err == errSuperseded:
		d.verdict.Reason = superseded
	case errors.Is(err, ErrNoUser), errors.Is(err, ErrDamaged), err == nil && !account.sameCredentials(h.account):
		d.refuse(BadCredentials)
	case err != nil:
		d.refuse(Unavailable)
	default:
		d.account = account
		d.admit()
		if d.verdict.Reason == retryAccount { // the user is being edited
			d.refuse(Busy)
			d.verdict.Retry = time.Second
		}
	}
}

// sameCredentials reports whether the credentials that were right for before are right for a.
func (a *Account) sameCredentials(before *Account) bool {
	if a.signer == nil || before.signer == nil {
		return a.signer == before.signer && a.hash == before.hash
	}
	return a.signer.SameSecret(before.signer.Signer)
}
