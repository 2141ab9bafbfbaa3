package server

import (
	"errors"

	"sidekey/auth"
	"sidekey/auth/session"
)

// loadPolicies loads the policies of the store.
func (s *Server) loadPolicies() error {
	stored, damaged, err := s.store.Policies()
	if err != nil {
		return err
	}
	if damaged != nil {
		s.log.Error("policies are damaged: their users are refused until the policies are written again", "error", damaged)
	}
	s.stored = session.NewPolicies(stored)
	return nil
}

// publishUser puts a user in force as the store has it now.
func (s *Server) publishUser(org, user string) {
	s.secrets.forget(session.Name{Org: org, User: user})
	s.directory.Publish(org, user)
}

// publishPolicy puts a policy in force as the store has it now. If the policy cannot be read, its
// users are refused. While the store is down, the policy that is in force stays: the store
// notifies again when it is back.
func (s *Server) publishPolicy(id string) {
	policy, err := s.store.Policy(id)
	if errors.Is(err, auth.ErrStoreDown) {
		return
	}
	if err != nil {
		s.log.Error("cannot read a policy: its users are refused", "policy", id, "error", err)
		policy = nil
	}
	s.stored.SetStored(id, policy)
}
