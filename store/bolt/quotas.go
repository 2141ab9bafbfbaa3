package bolt

import (
	"errors"

	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/limiter"
)

// Reserve implements [limiter.Ledger]. Reservations wait for each other to share a commit,
// until somebody waits for one of them.
func (s *Store) Reserve(key limiter.QuotaKey, r limiter.Reservation, done func(error)) {
	s.done.reservations.Add(1)
	s.write(operation{
		apply:   func(tx *bbolt.Tx) error { return s.putQuota(tx, key, r) },
		patient: true,
		done:    done,
	})
}

// Hurry implements [limiter.Ledger].
func (s *Store) Hurry() { s.queue.hurry() }

// Settle keeps what is left of all quotas in one transaction.
func (s *Store) Settle(unused map[limiter.QuotaKey]limiter.Reservation) error {
	if len(unused) == 0 {
		return nil
	}
	return s.change(operation{
		apply: func(tx *bbolt.Tx) error {
			var problems []error
			for key, r := range unused {
				// One that was ended meanwhile has nothing to give back.
				if err := s.putQuota(tx, key, r); err != nil && !errors.Is(err, limiter.ErrStale) {
					problems = append(problems, err)
				}
			}
			return errors.Join(problems...)
		},
	})
}

// putQuota keeps r unless the user was written afresh or deleted since r's quota
// was made.
func (s *Store) putQuota(tx *bbolt.Tx, key limiter.QuotaKey, r limiter.Reservation) error {
	user := userKey(key.Org, key.User)
	value := tx.Bucket(bucketUsers).Get(user)
	if value == nil {
		return limiter.ErrStale
	}
	payload, err := open(bucketUsers, user, value)
	if err != nil {
		return err
	}
	generation, err := userGeneration(payload)
	if err != nil {
		return err
	}
	if generation != r.Generation {
		return limiter.ErrStale
	}
	return s.put(tx, bucketQuotas, quotaKey(key), encodeQuota(r))
}

var (
	_ limiter.Ledger = (*Store)(nil)
	_ auth.Source    = (*Store)(nil)
)
