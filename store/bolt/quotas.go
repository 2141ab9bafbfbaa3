package bolt

import (
	"errors"

	"go.etcd.io/bbolt"

	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

// Reserve implements [limiter.Ledger]. Asks wait for each other to share a commit, until a
// request waits for one of them.
func (s *Store) Reserve(key limiter.QuotaKey, ask limiter.Ask, done func(limiter.Grant, error)) {
	s.done.reservations.Add(1)
	var granted limiter.Grant
	s.write(operation{
		apply: func(tx *bbolt.Tx) (err error) {
			granted, err = s.grant(tx, key, ask)
			return err
		},
		patient: true,
		done: func(err error) {
			if err != nil {
				granted = limiter.Grant{}
			}
			done(granted, err)
		},
	})
}

// Hurry implements [limiter.Ledger].
func (s *Store) Hurry() { s.queue.hurry() }

// GiveBack implements [store.Quotas] in one transaction.
func (s *Store) GiveBack(unused map[limiter.QuotaKey]limiter.Ask) error {
	if len(unused) == 0 {
		return nil
	}
	return s.change(operation{
		apply: func(tx *bbolt.Tx) error {
			var problems []error
			for key, ask := range unused {
				if _, err := s.grant(tx, key, ask); err != nil && !errors.Is(err, limiter.ErrStale) {
					problems = append(problems, err)
				}
			}
			return errors.Join(problems...)
		},
	})
}

// grant writes what the ledger answers to ask, unless the user was written afresh or
// deleted since the quota was made. No other process asks: the file is locked.
func (s *Store) grant(tx *bbolt.Tx, key limiter.QuotaKey, ask limiter.Ask) (limiter.Grant, error) {
	user := userKey(key.Org, key.User)
	value := tx.Bucket(boltfile.Users).Get(user)
	if value == nil {
		return limiter.Grant{}, limiter.ErrStale
	}
	payload, err := boltfile.Open(boltfile.Users, user, value)
	if err != nil {
		return limiter.Grant{}, err
	}
	generation, err := userGeneration(payload)
	if err != nil {
		return limiter.Grant{}, err
	}
	if generation != ask.Seen.Generation {
		return limiter.Grant{}, limiter.ErrStale
	}
	name := quotaKey(key)
	// A damaged record counts as none: the one process that asks knows what was granted.
	stored, _ := quotaIn(name, tx.Bucket(boltfile.Quotas).Get(name))
	granted := stored.Grant(ask, true)
	return granted, s.put(tx, boltfile.Quotas, name, encodeQuota(granted.Reservation))
}

// quotaIn reads the reservation that is stored under key; nil: none is.
func quotaIn(key, value []byte) (limiter.Reservation, error) {
	if value == nil {
		return limiter.Reservation{}, nil
	}
	payload, err := boltfile.Open(boltfile.Quotas, key, value)
	if err != nil {
		return limiter.Reservation{}, err
	}
	return decodeQuota(payload)
}
