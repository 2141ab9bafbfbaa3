package server

import (
	"context"
	"time"

	"sidekey/auth"
)

// censusEvery is how often the users' password hashes are counted: when users log in,
// and hashes are made anew, their kinds change.
const censusEvery = time.Hour

// censusBatch is how many users are read at once, between pauses: nobody waits for it.
const (
	censusBatch = 500
	censusPause = 2 * time.Millisecond
)

// runCensus counts the users' password hashes, again and again until ctx ends, so that a
// password for nobody takes as long as one for somebody.
func (p *Server) runCensus(ctx context.Context) {
	for ctx.Err() == nil {
		if census, err := p.census(ctx); err == nil {
			p.counted.Store(census)
			p.setDecoys(p.checker.Settings().Passwords)
		} else if ctx.Err() == nil {
			p.log.Warn("the users' password hashes were not counted: names that do not exist may take another time than others", "error", err)
		}
		wait(ctx, censusEvery)
	}
}

// setDecoys gives a password checker what was counted last.
func (p *Server) setDecoys(passwords *auth.Passwords) {
	if census := p.counted.Load(); census != nil {
		passwords.SetCensus(census, p.key.Derive("decoys of passwords"))
	}
}

func (p *Server) census(ctx context.Context) (*auth.Census, error) {
	census := auth.NewCensus()
	var last auth.Name
	for {
		next, more, err := p.store.Scan(last, censusBatch, func(user auth.Brief) { census.Add(user.PasswordHash) })
		if err != nil || !more {
			return census, err
		}
		last = next
		if wait(ctx, censusPause); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
