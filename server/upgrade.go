package server

import (
	"context"
	"errors"
	"sync"

	"sidekey/auth"
)

// upgrades replaces outdated password hashes, in the background and one at a time.
type upgrades struct {
	p      *Server
	ctx    context.Context
	cancel context.CancelFunc
	one    chan struct{}
	group  sync.WaitGroup
}

func newUpgrades(p *Server) *upgrades {
	u := &upgrades{p: p, one: make(chan struct{}, 1)}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// start replaces one hash, unless it has been changed by the time the new one is made.
// While another is being replaced it does nothing: the next login will ask again.
func (u *upgrades) start(org, user, outdated string, password []byte) {
	select {
	case u.one <- struct{}{}:
	default:
		return
	}
	u.group.Go(func() {
		defer func() { <-u.one }()
		if err := u.replace(org, user, outdated, string(password)); err != nil && !errors.Is(err, errChanged) && u.ctx.Err() == nil {
			u.p.log.Warn("an outdated password hash was not replaced", "org", org, "user", user, "error", err)
		}
	})
}

var errChanged = errors.New("the password was changed meanwhile")

func (u *upgrades) replace(org, user, outdated, password string) error {
	passwords := u.p.checker.Settings().Passwords
	if len(password) > passwords.MaxPassword() {
		return nil // the configured hash could not hold it
	}
	hash, kind, err := passwords.Make(u.ctx, password)
	if err != nil {
		return err
	}
	_, err = u.p.store.Update(org, user, func(old *auth.Record) (*auth.Record, error) {
		if old == nil || old.Session.BasicAuth.Password != outdated {
			return nil, errChanged
		}
		r := *old
		r.Session.BasicAuth.Password, r.Session.BasicAuth.HashType = hash, kind
		return &r, nil
	})
	return err
}

// stop waits for the one that is under way.
func (u *upgrades) stop() {
	u.cancel()
	u.group.Wait()
}
