package auth

import (
	"bytes"
	"errors"
	"time"

	"sidekey/auth/password"
	"sidekey/auth/route"
)

// basicLogin recognises users by name and password (RFC 7617). It is the last way that is tried,
// so it also refuses requests without credentials.
type basicLogin struct {
	given Credentials
	buf   CredentialBuffer
}

func (b *basicLogin) recognise(r *Request, _ *route.API) (mine bool, refusal Reason, message string) {
	switch {
	case r.AuthorizationCount == 0, r.AuthorizationCount == 1 && len(r.Authorization) == 0:
		return true, NoCredentials, ""
	case r.AuthorizationCount > 1:
		return true, MalformedCredentials, string(notBasic)
	}
	var malformed Malformed
	b.given, malformed = ParseBasic(r.Authorization, &b.buf)
	if malformed != "" {
		b.buf = CredentialBuffer{}
		return true, MalformedCredentials, string(malformed)
	}
	return true, Pass, ""
}

func (b *basicLogin) forget() {
	clear(b.buf[:min(len(b.buf), len(b.given.User)+len(":")+len(b.given.Password))])
	b.given = Credentials{}
}

// verify lets a remembered password pass at any time from a network that it was right from.
// From any other network it counts as a guess: while that origin has to wait, the request is
// refused without revealing whether the password is right.
func (b *basicLogin) verify(d *decision) outcome {
	ttl, client := d.settings.VerifiedTTL, d.request.Client
	account, err := d.checker.directory.findFor(d.settings.Compiler, d.api.Org, b.given.User)
	if err == nil && ttl > 0 {
		if v := account.remembered.Find(b.given.Password); v != nil && v.Holds(d.now.Mono) && v.KnowsClient(client) {
			if !d.dry {
				v.Renew(d.now.Mono, ttl, client)
			}
			return outcome{account: account, remembered: true} // Fast path: no hash, no lock.
		}
	}
	if err == errSuperseded {
		return outcome{reason: superseded}
	}
	if err != nil && !errors.Is(err, ErrNoUser) && !errors.Is(err, ErrDamaged) {
		return outcome{reason: Unavailable, retry: time.Second}
	}
	return b.compare(d, account)
}

// compare is verify for a password that must be compared with the hash, or that is remembered
// and comes from a new network. account is nil if there is no such user.
func (b *basicLogin) compare(d *decision, account *Account) outcome {
	s, client := d.settings, d.request.Client
	attempt := password.Attempt{
		Org: d.api.Org, User: b.given.User, Password: b.given.Password, Client: client,
		At: d.now.Mono, Arrived: time.Now().Add(-time.Duration(d.checker.now().Mono - d.now.Mono)),
	}
	var last *password.Verified // this password, if it is the last one that was right
	remembers := account != nil && s.VerifiedTTL > 0
	if account != nil {
		attempt.Hash = account.hash
	}
	if remembers {
		last = account.remembered.Find(b.given.Password)
	}
	failures := s.Failures
	if last != nil && last.KnowsClient(client) {
		failures = nil // guesses of others never refuse a user's right password
	}
	if d.dry {
		if wait := failures.Wait(attempt); wait > 0 {
			return outcome{reason: TooManyFailures, retry: wait}
		}
		failures = nil
	}
	if last != nil && last.Holds(d.now.Mono) {
		pending, wait := failures.Begin(attempt)
		if wait > 0 {
			return outcome{reason: TooManyFailures, retry: wait}
		}
		pending.Succeeded()
		if !d.dry {
			last.CameFrom(client)
			last.Renew(d.now.Mono, s.VerifiedTTL, client)
		}
		return outcome{account: account, remembered: true}
	}
	learn := func() {
		if remembers && !d.dry {
			account.remembered.Learn(b.given.Password, d.checker.now().Mono, s.VerifiedTTL, client)
		}
	}
	attempt.Right, attempt.Familiar = learn, last != nil
	if remembers {
		attempt.Known = func() bool { return account.remembered.Knows(b.given.Password, d.checker.now().Mono) }
	}
	matches, err := s.Passwords.Check(failures, attempt)
	d.now = d.checker.now()
	var tooMany *password.WaitError
	switch {
	case errors.As(err, &tooMany):
		return outcome{reason: TooManyFailures, retry: tooMany.Wait}
	case err != nil:
		return outcome{reason: Busy, retry: time.Second}
	case account == nil || !matches:
		return outcome{reason: BadCredentials, account: account, hashed: true}
	}
	learn() // an attempt that shared the comparison of another one has not learnt it yet
	if !d.dry && s.Upgrade != nil && s.Passwords.Outdated(attempt.Hash) {
		s.Upgrade(d.api.Org, account.user, attempt.Hash, bytes.Clone(b.given.Password))
	}
	return outcome{account: account, hashed: true}
}
