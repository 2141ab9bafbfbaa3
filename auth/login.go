package auth

import (
	"bytes"
	"errors"
	"time"

	"sidekey/limiter"
)

// authenticate returns the account that the credentials belong to, or why not and when
// asking again makes sense; with [BadCredentials] the account that they name, if any.
//
// A password that is remembered passes at any time from a network that it was right from.
// From any other one it is an attempt like those that guess: while that origin has to wait,
// it is refused without telling whether it is right.
func (c *Checker) authenticate(now *limiter.Now, s *Settings, org string, client []byte, given Credentials, t *trace) (*Account, Reason, time.Duration) {
	account, err := c.directory.Find(org, given.User)
	if err == nil && s.VerifiedTTL > 0 {
		if v := account.remembered.find(given.Password); v != nil && v.holds(now.Mono) && v.knowsClient(client) {
			if t == nil {
				v.renew(now.Mono, s.VerifiedTTL, client)
			}
			return account, Pass, 0 // Fast path: no hash, no lock.
		}
	}
	if err != nil && !errors.Is(err, ErrNoUser) && !errors.Is(err, ErrDamaged) {
		return nil, Unavailable, time.Second
	}
	return c.login(now, s, org, client, given, account, t)
}

// login is authenticate for a password that has to be compared with the hash, or that is
// remembered and comes from a new network. account is nil if there is no such user.
func (c *Checker) login(now *limiter.Now, s *Settings, org string, client []byte, given Credentials, account *Account, t *trace) (*Account, Reason, time.Duration) {
	// A copy, because hashing leaks its arguments: without it the buffer that given
	// lies in would be allocated for every request.
	kept := Credentials{User: bytes.Clone(given.User), Password: bytes.Clone(given.Password)}
	client = bytes.Clone(client)
	made := claim{at: now.Mono, from: originOf(client), org: org, user: kept.User, password: kept.Password, came: time.Now().Add(-time.Duration(c.now().Mono - now.Mono))}
	remembers := account != nil && s.VerifiedTTL > 0
	var right *verified // the password, if it is the one that was right last
	if account != nil {
		made.stored = account.hash
	}
	if remembers {
		right = account.remembered.find(kept.Password)
	}
	failures := s.Failures
	if right != nil && right.knowsClient(client) {
		failures = nil
	}
	if t != nil {
		if wait := failures.wait(made); wait > 0 {
			return nil, TooManyFailures, wait
		}
		failures = nil
	}
	if right != nil && right.holds(now.Mono) {
		tried, wait := failures.begin(made)
		if wait > 0 {
			return nil, TooManyFailures, wait
		}
		tried.succeeded()
		if t == nil {
			right.cameFrom(client)
			right.renew(now.Mono, s.VerifiedTTL, client)
		}
		return account, Pass, 0
	}
	learn := func() {
		if remembers && t == nil {
			account.remembered.learn(kept.Password, c.now().Mono, s.VerifiedTTL, client)
		}
	}
	made.right = learn
	if right != nil {
		made.rank = familiar
	}
	if remembers {
		made.known = func() bool { return account.remembered.knows(kept.Password, c.now().Mono) }
	}
	matches, err := s.Passwords.check(failures, made)
	*now = c.now()
	var tooMany *waitError
	switch {
	case errors.As(err, &tooMany):
		return nil, TooManyFailures, tooMany.wait
	case err != nil:
		return nil, Busy, time.Second
	case account == nil || !matches:
		return account, BadCredentials, 0
	}
	learn()
	if t == nil && s.Upgrade != nil && s.Passwords.outdated(made.stored) {
		s.Upgrade(org, account.user, made.stored, kept.Password)
	}
	return account, Pass, 0
}
