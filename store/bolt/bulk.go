package bolt

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/store/bolt/boltfile"
)

// UpdateMany changes users in one transaction: all of them or, where edit returns an
// error, none. edit is called once for each name, in the writer's turn, with the state before
// all of them, so no name may stand there twice. The other promises of [Store.Update] hold.
func (s *Store) UpdateMany(names []auth.Name, edit func(i int, old *auth.Record) (*auth.Record, error)) error {
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

// updateMany makes every record before it writes the first: what an edit refuses must
// leave the transaction, which it shares with others, as it was.
func (s *Store) updateMany(tx *bbolt.Tx, names []auth.Name, keys [][]byte, edit func(int, *auth.Record) (*auth.Record, error)) error {
	after := make([]*auth.Record, len(keys))
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

// userBefore is the record as an edit is given it: nil where there is none, and one
// marked as such where it is damaged.
func userBefore(name auth.Name, key, value []byte) (*auth.Record, error) {
	old, err := userIn(key, value)
	switch {
	case errors.Is(err, auth.ErrNoUser):
		return nil, nil
	case errors.Is(err, auth.ErrDamaged):
		return &auth.Record{Org: name.Org, User: name.User, Damaged: true}, nil
	case err != nil:
		return nil, err
	}
	return &old, nil
}
