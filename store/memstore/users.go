package memstore

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

// Load implements [store.Users].
func (s *Store) Load(org, user string) (session.Record, []auth.KeptQuota, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.downLocked(); err != nil {
		return session.Record{}, nil, err
	}
	n := session.Name{Org: org, User: user}
	r, err := s.recordLocked(n)
	if err != nil {
		return session.Record{}, nil, err
	}
	return r, s.quotasLocked(n), nil
}

// Read implements [store.Users]: between writes everything is published.
func (s *Store) Read(org, user string) (session.Record, []auth.KeptQuota, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.Load(org, user)
}

func (s *Store) recordLocked(n session.Name) (r session.Record, err error) {
	u, ok := s.users[n]
	switch {
	case !ok:
		return session.Record{}, auth.ErrNoUser
	case u.damaged:
		return session.Record{}, auth.ErrDamaged
	}
	err = json.Unmarshal(u.text, &r)
	r.Generation = u.generation
	return r, err
}

func (s *Store) quotasLocked(n session.Name) (list []auth.KeptQuota) {
	for key, r := range s.quotas {
		if key.Org == n.Org && key.User == n.User {
			list = append(list, auth.KeptQuota{Scope: key.Scope, Reservation: r})
		}
	}
	slices.SortFunc(list, func(a, b auth.KeptQuota) int {
		return compare(session.Name{User: a.Scope}, session.Name{User: b.Scope})
	})
	return list
}

// Update implements [store.Users].
func (s *Store) Update(org, user string, edit func(old *session.Record) (*session.Record, error)) (stored session.Record, err error) {
	n := session.Name{Org: org, User: user}
	err = s.commit(1, func() (err error) {
		stored, err = s.updateLocked(n, edit)
		return err
	}, func(notify store.Notify) { notify.User(org, user) })
	if err != nil {
		return session.Record{}, err
	}
	return stored, nil
}

func (s *Store) updateLocked(n session.Name, edit func(old *session.Record) (*session.Record, error)) (session.Record, error) {
	old, err := s.beforeLocked(n)
	if err != nil {
		return session.Record{}, err
	}
	if f := s.beforeEdit; f != nil {
		s.beforeEdit = nil
		f()
	}
	after, err := edit(old)
	if err != nil {
		return session.Record{}, err
	}
	return s.putLocked(n, after)
}

// beforeLocked returns the record as an edit is given it.
func (s *Store) beforeLocked(n session.Name) (*session.Record, error) {
	r, err := s.recordLocked(n)
	switch err {
	case nil:
		return &r, nil
	case auth.ErrNoUser:
		return nil, nil
	case auth.ErrDamaged:
		return &session.Record{Org: n.Org, User: n.User, Damaged: true}, nil
	}
	return nil, err
}

// putLocked stores a record, or removes it if r is nil.
func (s *Store) putLocked(n session.Name, r *session.Record) (session.Record, error) {
	if r == nil {
		s.forgetQuotasLocked(n)
		delete(s.users, n)
		return session.Record{}, nil
	}
	text, err := session.MarshalSession(r, json.OmitZeroStructFields(true))
	if err != nil {
		return session.Record{}, err
	}
	stored := *r
	if stored.Generation == 0 {
		s.generation++
		stored.Generation = s.generation
		s.forgetQuotasLocked(n)
	}
	s.users[n] = user{text: text, generation: stored.Generation}
	return stored, nil
}

func (s *Store) forgetQuotasLocked(n session.Name) {
	maps.DeleteFunc(s.quotas, func(key limiter.QuotaKey, _ limiter.Reservation) bool { return key.Org == n.Org && key.User == n.User })
}

// UpdateMany implements [store.Users].
func (s *Store) UpdateMany(names []session.Name, edit func(i int, old *session.Record) (*session.Record, error)) error {
	return s.commit(1, func() error {
		after := make([]*session.Record, len(names))
		for i, n := range names {
			old, err := s.beforeLocked(n)
			if err != nil {
				return err
			}
			if after[i], err = edit(i, old); err != nil {
				return err
			}
		}
		for i, n := range names {
			if _, err := s.putLocked(n, after[i]); err != nil {
				return err
			}
		}
		return nil
	}, func(notify store.Notify) {
		for _, n := range names {
			notify.User(n.Org, n.User)
		}
	})
}

// Names implements [store.Users].
func (s *Store) Names(after session.Name, n int) ([]session.Name, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.downLocked(); err != nil {
		return nil, err
	}
	names := s.afterLocked(after)
	return names[:min(n, len(names))], nil
}

func (s *Store) afterLocked(after session.Name) []session.Name {
	names := slices.SortedFunc(maps.Keys(s.users), compare)
	return slices.DeleteFunc(names, func(n session.Name) bool { return compare(n, after) <= 0 })
}

// Scan implements [store.Users].
func (s *Store) Scan(after session.Name, n int, f func(session.Brief)) (last session.Name, more bool, err error) {
	briefs, last, more, err := s.briefs(after, n)
	for _, b := range briefs {
		f(b)
	}
	return last, more, err
}

func (s *Store) briefs(after session.Name, n int) (briefs []session.Brief, last session.Name, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.downLocked(); err != nil {
		return nil, after, false, err
	}
	last = after
	names := s.afterLocked(after)
	for _, name := range names[:min(n, len(names))] {
		last = name
		if r, err := s.recordLocked(name); err == nil {
			briefs = append(briefs, session.Brief{Name: name, PasswordHash: r.Session.BasicAuth.Password, Lifetime: r.Session.Lifetime()})
		}
	}
	return briefs, last, len(names) > n, nil
}

// Damaged implements [store.Users].
func (s *Store) Damaged() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range slices.SortedFunc(maps.Keys(s.users), compare) {
		if s.users[n].damaged {
			names = append(names, n.Org+"/"+n.User)
		}
	}
	return names
}
