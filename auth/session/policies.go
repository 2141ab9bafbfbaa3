package session

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sidekey/internal/problem"
)

// Policies are the policies in force: those of one configuration file, which the admin API
// cannot change, and those that the store keeps. If both have an id, the file's policy counts.
//
// The policies of the file never change: another file makes another Policies, which shares the
// stored ones ([Policies.WithFile]). An account remembers which policies it was compiled from,
// so a change of a stored policy is one write here: each user's next request notices it.
type Policies struct {
	file   map[string]*policySlot // never changed, nor what it points to
	stored *storedPolicies
}

type storedPolicies struct {
	mu    sync.Mutex // protects everything below
	byID  map[string]*Policy
	slots map[string]*policySlot
}

// PolicyUsers visits the session of each user that has a policy.
type PolicyUsers func(visit func(Session)) error

// policySlot is the place of one policy id, whether there is such a policy or not. The
// policy it points to is never changed, only replaced.
type policySlot struct {
	Policy atomic.Pointer[Policy] // nil: no such policy
}

// NewPolicies returns the policies that the store keeps, without a file.
func NewPolicies(list []Policy) *Policies {
	s := &storedPolicies{byID: make(map[string]*Policy), slots: make(map[string]*policySlot)}
	for _, policy := range list {
		s.byID[policy.ID] = &policy
	}
	return &Policies{stored: s}
}

// WithFile returns the same stored policies with another file's, or p itself if the file's
// policies are equal. A policy that is equal in both files stays what accounts know.
func (p *Policies) WithFile(list []Policy) *Policies {
	file := make(map[string]*policySlot, len(list))
	changed := len(list) != len(p.file)
	for _, policy := range list {
		if before := p.file[policy.ID]; before != nil && reflect.DeepEqual(*before.Policy.Load(), policy) {
			file[policy.ID] = before
			continue
		}
		changed = true
		slot := new(policySlot)
		slot.Policy.Store(&policy)
		file[policy.ID] = slot
	}
	if !changed {
		return p
	}
	return &Policies{file: file, stored: p.stored}
}

// SetStored replaces one stored policy; nil removes it. Every check that starts after
// it returns sees the change, whatever the file.
func (p *Policies) SetStored(id string, policy *Policy) {
	s := p.stored
	s.mu.Lock()
	defer s.mu.Unlock()
	if policy == nil {
		delete(s.byID, id)
	} else {
		s.byID[id] = policy
	}
	if slot := s.slots[id]; slot != nil {
		slot.Policy.Store(policy)
	}
}

// Get returns a policy, or nil. It must not be changed.
func (p *Policies) Get(id string) *Policy {
	if slot := p.file[id]; slot != nil {
		return slot.Policy.Load()
	}
	p.stored.mu.Lock()
	defer p.stored.mu.Unlock()
	return p.stored.byID[id]
}

// Fixed reports whether a policy stands in the configuration file.
func (p *Policies) Fixed(id string) bool { return p.file[id] != nil }

// All returns the policies in force, by id.
func (p *Policies) All() []*Policy {
	p.stored.mu.Lock()
	all := maps.Clone(p.stored.byID)
	p.stored.mu.Unlock()
	for id, slot := range p.file {
		all[id] = slot.Policy.Load()
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *Policy) int { return strings.Compare(a.ID, b.ID) })
}

// PolicyUse is one policy of an account, as it was when the account was compiled.
type PolicyUse struct {
	Slot *policySlot
	Seen *Policy
}

// Use returns the policies with those ids, nil for each that does not exist, and how to find
// out later whether they are still the same.
func (p *Policies) Use(ids []string) (policies []*Policy, uses []PolicyUse) {
	if len(ids) == 0 {
		return nil, nil
	}
	p.stored.mu.Lock()
	defer p.stored.mu.Unlock()
	for _, id := range ids {
		slot := p.file[id]
		if slot == nil {
			slot = p.stored.slotLocked(id)
		}
		policy := slot.Policy.Load()
		policies = append(policies, policy)
		uses = append(uses, PolicyUse{slot, policy})
	}
	return policies, uses
}

func (s *storedPolicies) slotLocked(id string) *policySlot {
	slot := s.slots[id]
	if slot == nil {
		slot = new(policySlot)
		slot.Policy.Store(s.byID[id])
		s.slots[id] = slot
	}
	return slot
}

// names lists the ids of an org's policies, for error messages.
func (p *Policies) names(org string) string {
	var ids []string
	for _, policy := range p.All() {
		if policy.OrgID == org {
			ids = append(ids, policy.ID)
		}
	}
	if len(ids) == 0 {
		return "there is none"
	}
	return problem.Clip(strings.Join(ids, ", "))
}
