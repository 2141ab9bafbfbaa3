package server

import (
	"context"
	"errors"
	"sync"

	"sidekey/auth/session"
)

// upgrades replaces outdated password hashes in the background, one at a time.
type upgrades struct {
	server *Server
	ctx    context.Context
	cancel context.CancelFunc
	one    chan struct{} // holds a token while a hash is being replaced
	group  sync.WaitGroup
}

func newUpgrades(s *Server) *upgrades {
	u := &upgrades{server: s, one: make(chan struct{}, 1)}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// start replaces a hash, unless it changes before the new one is made. While another hash is
// being replaced, start does nothing: the next login asks again.
func (u *upgrades) start(org, user, outdated string, password []byte) {
	select {
	case u.one <- struct{}{}:
	default:
		return
	}
	u.group.Go(func() {
		defer func() { <-u.one }()
		if err := u.replace(org, user, outdated, string(password)); err != nil && !errors.Is(err, errChanged) && u.ctx.Err() == nil {
			u.server.log.Warn("cannot replace an outdated password hash", "org", org, "user", user, "error", err)
		}
	})
}

var errChanged = errors.New("the password has changed")

func (u *upgrades) replace(org, user, outdated, password string) error {
	passwords := u.server.checker.Settings().Passwords
	if len(password) > passwords.MaxPassword() {
		return nil // the configured kind of hash cannot hold it
	}
	hash, kind, err := passwords.Make(u.ctx, password)
	if err != nil {
		return err
	}
	_, err = u.server.store.Update(org, user, func(old *session.Record) (*session.Record, error) {
		if old == nil || old.Session.BasicAuth.Password != outdated {
			return nil, errChanged
		}
		r := *old
		r.Session.BasicAuth.Password, r.Session.BasicAuth.HashType = hash, kind
		return &r, nil
	})
	return err
}

// stop waits until no hash is being replaced.
func (u *upgrades) stop() {
	u.cancel()
	u.group.Wait()
}
