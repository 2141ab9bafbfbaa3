package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"go.etcd.io/bbolt"

	"sidekey/auth"
)

// Policies returns all stored policies. One that does not match its checksum is an
// error of its own in damaged, and missing from the list: sessions that have it are
// refused.
func (s *Store) Policies() (list []auth.Policy, damaged, err error) {
	var problems []error
	err = s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketPolicies).Cursor()
		for key, value := c.First(); key != nil; key, value = c.Next() {
			p, err := decodePolicy(key, value)
			if err != nil {
				problems = append(problems, fmt.Errorf("policy %q: %w", key, err))
				continue
			}
			list = append(list, p)
		}
		return nil
	})
	return list, errors.Join(problems...), err
}

// Policy returns one stored policy, or nil where there is none.
func (s *Store) Policy(id string) (policy *auth.Policy, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		policy, err = readPolicy(tx, id)
		return err
	})
	return policy, err
}

func readPolicy(tx *bbolt.Tx, id string) (*auth.Policy, error) {
	key := []byte(id)
	value := tx.Bucket(bucketPolicies).Get(key)
	if value == nil {
		return nil, nil
	}
	p, err := decodePolicy(key, value)
	return &p, err
}

func decodePolicy(key, value []byte) (p auth.Policy, err error) {
	payload, err := open(bucketPolicies, key, value)
	if err != nil {
		return auth.Policy{}, err
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return auth.Policy{}, fmt.Errorf("%w: %v", auth.ErrDamaged, err)
	}
	return p, nil
}

// UpdatePolicy changes one policy in one transaction. edit is given the policy as it
// stands (nil: there is none) and returns the one to store, or nil to delete it, or an
// error to change nothing. When UpdatePolicy returns, the change is on disk and acts on
// every check that starts from then on.
func (s *Store) UpdatePolicy(id string, edit func(old *auth.Policy) (*auth.Policy, error)) error {
	return s.change(operation{
		apply: func(tx *bbolt.Tx) error {
			old, err := readPolicy(tx, id)
			if errors.Is(err, auth.ErrDamaged) {
				old = nil // to be written anew
			} else if err != nil {
				return err
			}
			after, err := edit(old)
			if err != nil {
				return refused{err}
			}
			if after == nil {
				return s.delete(tx, bucketPolicies, []byte(id))
			}
			payload, err := json.Marshal(after, json.OmitZeroStructFields(true))
			if err != nil {
				return err
			}
			return s.put(tx, bucketPolicies, []byte(id), payload)
		},
		committed: func() { s.notify.Policy(id) },
	})
}

// PolicyUsers counts the users whose session names a policy.
func (s *Store) PolicyUsers(id string) (count int, err error) {
	quoted, err := json.Marshal(id)
	if err != nil {
		return 0, err
	}
	var last []byte
	for more := true; more; {
		// A part at a time, so that no writer waits for the whole.
		err := s.view(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketUsers).Cursor()
			key, value := c.Seek(last)
			if key != nil && bytes.Equal(key, last) {
				key, value = c.Next()
			}
			for n := 0; key != nil && n < 1000; n++ {
				if bytes.Contains(value, quoted) && names(key, value, id) {
					count++
				}
				last = bytes.Clone(key)
				key, value = c.Next()
			}
			more = key != nil
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return count, nil
}

func names(key, value []byte, policy string) bool {
	payload, err := open(bucketUsers, key, value)
	if err != nil {
		return false
	}
	r, err := decodeUser(payload)
	if err != nil {
		return false
	}
	for _, id := range r.Session.ApplyPolicies {
		if id == policy {
			return true
		}
	}
	return false
}
