package auth

import (
	"bytes"
	"errors"
	"time"

	"sidekey/auth/password"
	"sidekey/limiter"
)

// authenticate returns the account that the credentials belong to, or why not and when
// asking again makes sense; with [BadCredentials] the account that they name, if any.
//
// A password that is remembered passes at any time from a network that it was right from.
// From any other one it is an attempt like those that guess: while that origin has to wait,
// it is refused without telling whether it is right.
func (c *Checker) authenticate(now *limiter.Now, s *Settings, org string, client []byte, given Credentials, t *trace) (*Account, Reason, time.Duration) {
	account, err := c.directory.findFor(s.Compiler, org, given.User)
	if err == nil && s.VerifiedTTL > 0 {
		if v := account.remembered.Find(given.Password); v != nil && v.Holds(now.Mono) && v.KnowsClient(client) {
			if t == nil {
				v.Renew(now.Mono, s.VerifiedTTL, client)
			}
			return account, Pass, 0 // Fast path: no hash, no lock.
		}
	}
	if err == errSuperseded {
		return nil, superseded, 0
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
	made := password.Attempt{At: now.Mono, From: password.OriginOf(client), Org: org, User: kept.User, Password: kept.Password, Came: time.Now().Add(-time.Duration(c.now().Mono - now.Mono))}
	remembers := account != nil && s.VerifiedTTL > 0
	var right *password.Verified // the password, if it is the one that was right last
	if account != nil {
		made.Stored = account.hash
	}
	if remembers {
		right = account.remembered.Find(kept.Password)
	}
	failures := s.Failures
	if right != nil && right.KnowsClient(client) {
		failures = nil
	}
	if t != nil {
		if wait := failures.Wait(made); wait > 0 {
			return nil, TooManyFailures, wait
		}
		failures = nil
	}
	if right != nil && right.Holds(now.Mono) {
		tried, wait := failures.Begin(made)
		if wait > 0 {
			return nil, TooManyFailures, wait
		}
		tried.Succeeded()
		if t == nil {
			right.CameFrom(client)
			right.Renew(now.Mono, s.VerifiedTTL, client)
		}
		return account, Pass, 0
	}
	learn := func() {
		if remembers && t == nil {
			account.remembered.Learn(kept.Password, c.now().Mono, s.VerifiedTTL, client)
		}
	}
	made.Right = learn
	if right != nil {
		made.Rank = password.Familiar
	}
	if remembers {
		made.Known = func() bool { return account.remembered.Knows(kept.Password, c.now().Mono) }
	}
	matches, err := s.Passwords.Check(failures, made)
	*now = c.now()
	var tooMany *password.WaitError
	switch {
	case errors.As(err, &tooMany):
		return nil, TooManyFailures, tooMany.Wait
	case err != nil:
		return nil, Busy, time.Second
	case account == nil || !matches:
		return account, BadCredentials, 0
	}
	learn()
	if t == nil && s.Upgrade != nil && s.Passwords.Outdated(made.Stored) {
		s.Upgrade(org, account.user, made.Stored, kept.Password)
	}
	return account, Pass, 0
}
