package admin

import (
	"crypto/rand"

	"sidekey/auth/session"
)

// Secrets seals the secrets that users sign requests with, so that the store never has
// one that can be read.
type Secrets interface {
	Seal(org, user, secret string) (sealed string)
	// Open returns the secret that was sealed for a user, or an error where the key or
	// the user is another one.
	Open(org, user, sealed string) (secret string, err error)
}

// sealSecret puts the secret that a user signs with into a record that is to be stored:
// the given one, or else the one that the record has. A user who has to sign and has
// none that can be read gets a new one, which is returned: this is the one time that it
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
