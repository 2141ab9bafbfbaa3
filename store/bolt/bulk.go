package bolt

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/store/bolt/boltfile"
)

// UpdateMany implements [store.Users] in one transaction.
func (s *Store) UpdateMany(names []session.Name, edit func(i int, old *session.Record) (*session.Record, error)) error {
	keys := make([][]byte, len(names))
	for i, name := range names {
		keys[i] = userKey(name.Org, name.User)
	}
	err := s.change(operation{
		apply: func(tx *bbolt.Tx) error { return s.updateMany(tx, names, keys, edit) },
		committed: func() {
			for _, name := range names {
				s.notify.User(name.Org, name.User)
			}
		},
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		s.forgetDamage(key)
	}
	return nil
}

// updateMany makes all edits before it writes the first record: if an edit is refused, the
// transaction, which it shares with other writes, must be as it was.
func (s *Store) updateMany(tx *bbolt.Tx, names []session.Name, keys [][]byte, edit func(int, *session.Record) (*session.Record, error)) error {
	after := make([]*session.Record, len(keys))
	bodies := make([][]byte, len(keys))
	for i, key := range keys {
		before, err := userBefore(names[i], key, tx.Bucket(boltfile.Users).Get(key))
		if err != nil {
			return err
		}
		if after[i], err = edit(i, before); err != nil {
			return refused{err}
		}
		if after[i] == nil {
			continue
		}
		if bodies[i], err = encodeUser(after[i]); err != nil {
			return fmt.Errorf("user %q: %w", names[i].User, err)
		}
	}
	for i, key := range keys {
		var err error
		if after[i] == nil {
			err = s.deleteUser(tx, key)
		} else {
			_, err = s.putBody(tx, key, after[i].Generation, bodies[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// userBefore returns the record as an edit is given it: nil if there is none, and one with
// Damaged set if it is damaged.
func userBefore(name session.Name, key, value []byte) (*session.Record, error) {
	old, err := userIn(key, value)
	switch {
	case errors.Is(err, auth.ErrNoUser):
		return nil, nil
	case errors.Is(err, auth.ErrDamaged):
		return &session.Record{Org: name.Org, User: name.User, Damaged: true}, nil
	case err != nil:
		return nil, err
	}
	return &old, nil
}
