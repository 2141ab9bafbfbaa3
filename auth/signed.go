package auth

import (
	"bytes"
	"errors"
	"time"

	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/route"
)

// signedLogin recognises users by a signature that their secret has made of the request
// (draft-cavage-http-signatures-12), if the API accepts signed requests.
type signedLogin struct {
	given httpsig.Signature
	buf   httpsig.Buffer
	spent bool // so that a request that is checked again is not taken for its own replay
}

const tooManySignatures = "Too many signed requests to remember"

func (l *signedLogin) recognise(r *Request, api *route.API) (mine bool, refusal Reason, message string) {
	if !api.HMAC || r.AuthorizationCount != 1 || !httpsig.Recognize(r.Authorization) {
		return false, Pass, ""
	}
	var err error
	l.given, err = httpsig.Parse(r.Authorization, &l.buf)
	switch err {
	case nil:
		return true, Pass, ""
	case httpsig.ErrNotBase64:
		return true, MalformedCredentials, string(notBase64)
	}
	return true, MalformedCredentials, string(notBasic)
}

func (l *signedLogin) forget() { l.given, l.spent = httpsig.Signature{}, false }

// verify first checks what depends on the request alone, which does not count as a guess. After
// that, a key that does not exist costs the same as one that does. Wrong signatures count like
// wrong passwords. A right signature passes at any time from a network that an earlier one came
// from, like a remembered password; from any other network it is refused unchecked while that
// origin has to wait.
func (l *signedLogin) verify(d *decision) outcome {
	r, s := d.request, d.settings
	message := httpsig.Message{Method: r.Method, URI: r.URI, Host: r.Host, Headers: r.Headers}
	seconds, skew := d.now.Wall/int64(time.Second), int64(s.SignatureSkew/time.Second)
	date, timely := l.given.Date(&message, seconds, skew)
	if !l.given.Supported() || !timely {
		return outcome{reason: BadCredentials}
	}
	user, ofOrg := bytes.CutPrefix(l.given.KeyID, []byte(d.api.Org))
	account, err := d.findKey(user, ofOrg)
	if err == errSuperseded {
		return outcome{reason: superseded}
	}
	if err != nil && !errors.Is(err, ErrNoUser) && !errors.Is(err, ErrDamaged) {
		return outcome{reason: Unavailable, retry: time.Second}
	}
	signer := decoySigner
	if account != nil && account.signer != nil {
		signer = account.signer
	}
	matches := signer.Matches(&message, &l.given) && signer != decoySigner
	var pending password.Pending
	end := password.Pending.Undecided
	if !matches || s.VerifiedTTL <= 0 || !signer.from.Has(r.Client) {
		attempt := password.Attempt{Org: d.api.Org, User: user, Client: r.Client, At: d.now.Mono}
		var wait time.Duration
		if d.dry {
			wait = s.Failures.Wait(attempt)
		} else {
			pending, wait = s.Failures.Begin(attempt)
		}
		if wait > 0 {
			return outcome{reason: TooManyFailures, retry: wait}
		}
		defer func() { end(pending) }()
	}
	if !matches {
		end = password.Pending.Failed
		return outcome{reason: BadCredentials, account: account}
	}
	if !l.spent && !d.dry {
		switch s.Signatures.Spend(seconds, skew, date, signer.Owner(), l.given.MAC) {
		case httpsig.SpentBefore:
			return outcome{reason: BadCredentials, account: account}
		case httpsig.NoRoom:
			return outcome{reason: Busy, message: tooManySignatures, retry: time.Second}
		}
		l.spent = true
	}
	end = password.Pending.Succeeded
	if !d.dry && s.VerifiedTTL > 0 {
		signer.from.Add(r.Client)
	}
	return outcome{account: account}
}

// findKey returns the account that a key id names: the org's id followed by the user's name.
func (d *decision) findKey(user []byte, ofOrg bool) (*Account, error) {
	if !ofOrg || len(user) == 0 {
		return nil, ErrNoUser
	}
	return d.checker.directory.findFor(d.settings.Compiler, d.api.Org, user)
}

// signer makes the signatures of one user, and remembers the networks that right ones came from.
type signer struct {
	*httpsig.Signer

	from password.Networks
}

// decoySigner stands in for users who do not exist or do not sign.
var decoySigner = &signer{Signer: httpsig.NewDecoy()}
