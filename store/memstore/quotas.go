package memstore

import (
	"errors"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

// Reserve implements [limiter.Ledger]. Asks are answered one after the other.
func (s *Store) Reserve(key limiter.QuotaKey, ask limiter.Ask, done func(limiter.Grant, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Reservations++
	s.asks = append(s.asks, func() {
		var g limiter.Grant
		err := s.commit(1, func() (err error) {
			g, err = s.grantLocked(key, ask)
			return err
		}, func(store.Notify) {})
		if err != nil {
			g = limiter.Grant{}
		}
		done(g, err)
	})
	if !s.answering {
		s.answering = true
		go s.answerAll()
	}
}

func (s *Store) answerAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.asks) > 0 {
		ask := s.asks[0]
		s.asks = s.asks[1:]
		s.mu.Unlock()
		ask()
		s.mu.Lock()
	}
	s.answering = false
}

// Hurry implements [limiter.Ledger]: no ask waits for others.
func (s *Store) Hurry() {}

// GiveBack implements [store.Quotas].
func (s *Store) GiveBack(unused map[limiter.QuotaKey]limiter.Ask) error {
	if len(unused) == 0 {
		return nil
	}
	return s.commit(1, func() error {
		for key, ask := range unused {
			if _, err := s.grantLocked(key, ask); err != nil && !errors.Is(err, limiter.ErrStale) {
				return err
			}
		}
		return nil
	}, func(store.Notify) {})
}

func (s *Store) grantLocked(key limiter.QuotaKey, ask limiter.Ask) (limiter.Grant, error) {
	u, ok := s.users[session.Name{Org: key.Org, User: key.User}]
	switch {
	case !ok || u.generation != ask.Seen.Generation:
		return limiter.Grant{}, limiter.ErrStale
	case u.damaged:
		return limiter.Grant{}, auth.ErrDamaged
	}
	g := s.quotas[key].Grant(ask, !s.shared)
	s.quotas[key] = g.Reservation
	return g, nil
}
