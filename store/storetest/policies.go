package storetest

import (
	"slices"
	"testing"

	"sidekey/auth/session"
)

var policyPromises = []promise{
	{"a policy comes back as it was written", testPolicy},
	{"an edit of a policy is given its users", testPolicyUsers},
}

func testPolicy(t *testing.T, h *Harness) {
	s := h.Store
	if p, err := s.Policy("gold"); p != nil || err != nil {
		t.Errorf("before: %+v, %v", p, err)
	}
	gold := session.Policy{ID: "gold", OrgID: "default", Rate: 5, Per: 1, Tags: []string{"t"}}
	setPolicy(t, s, "gold", &gold)
	setPolicy(t, s, "basic", &session.Policy{ID: "basic"})
	err := s.UpdatePolicy("gold", func(old *session.Policy, _ session.PolicyUsers) (*session.Policy, error) {
		if old == nil || old.Rate != 5 {
			t.Errorf("old is %+v", old)
		}
		old.Rate = 6
		return old, nil
	})
	want(t, "edit", err, nil)
	if p, err := s.Policy("gold"); err != nil || p == nil || p.Rate != 6 || !slices.Equal(p.Tags, gold.Tags) {
		t.Errorf("gold: %+v, %v", p, err)
	}
	list, damaged, err := s.Policies()
	if len(list) != 2 || list[0].ID != "basic" || list[1].ID != "gold" || list[1].Rate != 6 || damaged != nil || err != nil {
		t.Errorf("list: %+v, %v, %v", list, damaged, err)
	}
	setPolicy(t, s, "gold", nil)
	setPolicy(t, s, "gold", nil) // again
	if p, err := s.Policy("gold"); p != nil || err != nil {
		t.Errorf("after the deletion: %+v, %v", p, err)
	}
	if list, _, err := s.Policies(); len(list) != 1 || err != nil {
		t.Errorf("list after the deletion: %+v, %v", list, err)
	}
}

// Whole names count, and only those in apply_policies.
func testPolicyUsers(t *testing.T, h *Harness) {
	s := h.Store
	for user, policies := range map[string][]string{"a": {"gold"}, "b": {"silver", "gold"}, "c": {"golden"}, "d": {"old"}, "e": nil} {
		r := record(user, "gold")
		r.Session.ApplyPolicies = policies
		put(t, s, r)
	}
	visited := 0
	err := s.UpdatePolicy("gold", func(old *session.Policy, users session.PolicyUsers) (*session.Policy, error) {
		if err := users(func(session session.Session) {
			visited++
			if !slices.Contains(session.ApplyPolicies, "gold") {
				t.Errorf("visited one with %q", session.ApplyPolicies)
			}
		}); err != nil {
			return nil, err
		}
		return nil, errMine
	})
	if err != errMine || visited != 2 {
		t.Errorf("%d users, %v", visited, err)
	}
}
