package auth

import (
	"bytes"
	"errors"
	"time"

	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/limiter"
)

const tooManySignatures = "Too many signed requests to remember"

// authenticateSigned returns the account whose secret has signed the request, or the reason
// for refusing it and when to ask again. message is "" if the reason's own message applies.
// spent is set when the signature has been used up, so that a request that is checked again,
// because its account was replaced, is not taken for its own replay.
//
// What depends on the request alone is checked first and does not count as a guess. After
// that, a key that does not exist costs the same as one that does. Wrong signatures count like
// wrong passwords. A right signature passes at any time from a network that an earlier one came
// from, like a remembered password; from any other network it is refused unchecked while that
// origin has to wait.
func (c *Checker) authenticateSigned(now limiter.Now, s *Settings, api *route.API, r *Request, spent *bool, t *trace) (_ *Account, refusal Reason, message string, retry time.Duration) {
	var buf httpsig.Buffer
	given, err := httpsig.Parse(r.Authorization, &buf)
	if err != nil {
		message := notBasic
		if err == httpsig.ErrNotBase64 {
			message = notBase64
		}
		return nil, MalformedCredentials, string(message), 0
	}
	signed := httpsig.Message{Method: r.Method, URI: r.URI, Host: r.Host, Headers: r.Headers}
	seconds, skew := now.Wall/int64(time.Second), int64(s.SignatureSkew/time.Second)
	date, timely := given.Date(&signed, seconds, skew)
	if !given.Supported() || !timely {
		return nil, BadCredentials, "", 0
	}
	user, ofOrg := bytes.CutPrefix(given.KeyID, []byte(api.Org))
	account, err := c.findKey(s, api.Org, user, ofOrg)
	if err == errSuperseded {
		return nil, superseded, "", 0
	}
	if err != nil && !errors.Is(err, ErrNoUser) && !errors.Is(err, ErrDamaged) {
		return nil, Unavailable, "", time.Second
	}
	signer := decoySigner
	if account != nil && account.signer != nil {
		signer = account.signer
	}
	matches := signer.Matches(&signed, &given) && signer != decoySigner
	var tried password.Counted
	outcome := password.Counted.Undecided
	from := password.OriginOf(r.Client)
	if !matches || s.VerifiedTTL <= 0 || !signer.from.Has(from.Network()) {
		made := password.Attempt{At: now.Mono, From: from, Org: api.Org, User: user}
		var wait time.Duration
		if t != nil {
			wait = s.Failures.Wait(made)
		} else {
			tried, wait = s.Failures.Begin(made)
		}
		if wait > 0 {
			return nil, TooManyFailures, "", wait
		}
		defer func() { outcome(tried) }()
	}
	if !matches {
		outcome = password.Counted.Failed
		return account, BadCredentials, "", 0
	}
	if !*spent {
		switch s.Signatures.Spend(seconds, skew, date, signer.Owner(), given.MAC) {
		case httpsig.SpentBefore:
			return account, BadCredentials, "", 0
		case httpsig.NoRoom:
			return nil, Busy, tooManySignatures, time.Second
		}
		*spent = true
	}
	outcome = password.Counted.Succeeded
	if t == nil && s.VerifiedTTL > 0 {
		signer.from.Add(from.Network())
	}
	return account, Pass, "", 0
}

// findKey returns the account that a key id names: the org's id followed by the user's name.
func (c *Checker) findKey(s *Settings, org string, user []byte, ofOrg bool) (*Account, error) {
	if !ofOrg || len(user) == 0 {
		return nil, ErrNoUser
	}
	return c.directory.findFor(s.Compiler, org, user)
}

// signer makes the signatures of one user, and remembers that one was right.
type signer struct {
	*httpsig.Signer

	from password.Networks // that signatures were right from
}

// decoySigner stands in for users who do not exist or do not sign.
var decoySigner = &signer{Signer: httpsig.NewDecoy()}
