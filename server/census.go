package server

import (
	"context"
	"time"

	"sidekey/auth/password"
	"sidekey/auth/session"
)

// censusInterval is how often the users' password hashes are counted. Their kinds change, because
// a login replaces an outdated hash.
const censusInterval = time.Hour

// A census reads users in batches with pauses between them: nothing waits for it.
const (
	censusBatch = 500
	censusPause = 2 * time.Millisecond
)

// runCensus counts the users' password hashes again and again until ctx ends, so that checking
// the password of a name that does not exist takes as long as checking one that does.
func (s *Server) runCensus(ctx context.Context) {
	for ctx.Err() == nil {
		if census, err := s.census(ctx); err == nil {
			s.counted.Store(census)
			s.setDecoys(s.checker.Settings().Passwords)
		} else if ctx.Err() == nil {
			s.log.Warn("counting password hashes failed: response times may reveal which users exist", "error", err)
		}
		wait(ctx, censusInterval)
	}
}

// setDecoys gives a password checker the last census, if there is one.
func (s *Server) setDecoys(passwords *password.Passwords) {
	if census := s.counted.Load(); census != nil {
		passwords.SetCensus(census, s.key.Derive("decoys of passwords"))
	}
}

func (s *Server) census(ctx context.Context) (*password.Census, error) {
	census := password.NewCensus()
	var last session.Name
	for {
		next, more, err := s.store.Scan(last, censusBatch, func(user session.Brief) { census.Add(user.PasswordHash) })
		if err != nil || !more {
			return census, err
		}
		last = next
		if wait(ctx, censusPause); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// wait returns after d, or earlier if ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
