package admin

import (
	"crypto/rand"

	"sidekey/auth/session"
)

// Secrets seals the secrets that users sign requests with, so that the store never contains a
// readable one.
type Secrets interface {
	Seal(org, user, secret string) (sealed string)
	// Open returns the secret that was sealed for a user. It fails if the secret was sealed with
	// another key or for another user.
	Open(org, user, sealed string) (secret string, err error)
}

// sealSecret prepares the secret that a user signs with in a record that is about to be stored. It
// seals the given secret; without one, the record's own stays. If the user must sign and has no
// secret that can be opened, sealSecret generates one and returns it. That is the only time that it
// can be shown.
func (c *call) sealSecret(r *session.Record, given string) (generated string) {
	s := &r.Session
	if given != "" {
		s.HMACString = c.Secrets.Seal(r.Org, r.User, given)
		return ""
	}
	if e := c.Directory.Effective(s); !e.HMAC {
		return ""
	}
	if _, err := c.Secrets.Open(r.Org, r.User, s.HMACString); err == nil {
		return ""
	}
	generated = rand.Text()
	s.HMACString = c.Secrets.Seal(r.Org, r.User, generated)
	return generated
}
