package memstore

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/store"
)

// Policies implements [store.Policies].
func (s *Store) Policies() (list []session.Policy, damaged, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.downLocked(); err != nil {
		return nil, nil, err
	}
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(s.policies)) {
		p, err := s.policyLocked(id)
		if err != nil {
			problems = append(problems, fmt.Errorf("policy %q: %w", id, err))
			continue
		}
		list = append(list, *p)
	}
	return list, errors.Join(problems...), nil
}

// Policy implements [store.Policies].
func (s *Store) Policy(id string) (*session.Policy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.downLocked(); err != nil {
		return nil, err
	}
	return s.policyLocked(id)
}

func (s *Store) policyLocked(id string) (*session.Policy, error) {
	stored, ok := s.policies[id]
	switch {
	case !ok:
		return nil, nil
	case stored.damaged:
		return nil, auth.ErrDamaged
	}
	var p session.Policy
	err := json.Unmarshal(stored.text, &p)
	return &p, err
}

// UpdatePolicy implements [store.Policies].
func (s *Store) UpdatePolicy(id string, edit func(old *session.Policy, users session.PolicyUsers) (*session.Policy, error)) error {
	return s.commit(1, func() error {
		old, err := s.policyLocked(id)
		if err != nil && !errors.Is(err, auth.ErrDamaged) {
			return err
		}
		after, err := edit(old, func(visit func(session.Session)) error {
			for _, n := range slices.SortedFunc(maps.Keys(s.users), compare) {
				if r, err := s.recordLocked(n); err == nil && slices.Contains(r.Session.ApplyPolicies, id) {
					visit(r.Session)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if after == nil {
			delete(s.policies, id)
			return nil
		}
		text, err := session.MarshalSession(after, json.OmitZeroStructFields(true))
		if err != nil {
			return err
		}
		s.policies[id] = policy{text: text}
		return nil
	}, func(notify store.Notify) { notify.Policy(id) })
}
