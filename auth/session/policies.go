package session

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sidekey/internal/problem"
)

// Policies holds the policies in force: those of the configuration file, which the
// admin API cannot change, and those that the store keeps. Where both have an id, the
// file's counts.
//
// An account remembers which state of its policies it was compiled from, so a change
// is one write here: each user's next request notices it.
type Policies struct {
	mu     sync.Mutex // protects everything below
	file   map[string]*Policy
	stored map[string]*Policy
	slots  map[string]*policySlot
}

// PolicyUsers visits the session of each user that has a policy.
type PolicyUsers func(visit func(Session)) error

// policySlot is the place of one policy id, whether there is such a policy or not. The
// policy it points to is never changed, only replaced.
type policySlot struct {
	Policy atomic.Pointer[Policy] // nil: there is none
}

// NewPolicies returns the policies that the store keeps.
func NewPolicies(stored []Policy) *Policies {
	p := &Policies{stored: make(map[string]*Policy), slots: make(map[string]*policySlot)}
	for _, policy := range stored {
		p.stored[policy.ID] = &policy
	}
	return p
}

// SetFile replaces the policies of the configuration file.
func (p *Policies) SetFile(list []Policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.file = make(map[string]*Policy)
	for _, policy := range list {
		p.file[policy.ID] = &policy
	}
	for id := range p.slots {
		p.updateLocked(id)
	}
}

// SetStored replaces one stored policy; nil removes it. Every check that starts after
// it returns sees the change.
func (p *Policies) SetStored(id string, policy *Policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if policy == nil {
		delete(p.stored, id)
	} else {
		p.stored[id] = policy
	}
	p.updateLocked(id)
}

func (p *Policies) updateLocked(id string) {
	if slot := p.slots[id]; slot != nil && slot.Policy.Load() != p.getLocked(id) {
		slot.Policy.Store(p.getLocked(id))
	}
}

// Get returns a policy, or nil. It must not be changed.
func (p *Policies) Get(id string) *Policy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.getLocked(id)
}

func (p *Policies) getLocked(id string) *Policy {
	if policy := p.file[id]; policy != nil {
		return policy
	}
	return p.stored[id]
}

// Fixed reports whether a policy stands in the configuration file.
func (p *Policies) Fixed(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.file[id] != nil
}

// All returns the policies in force, by id.
func (p *Policies) All() []*Policy {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := maps.Clone(p.stored)
	maps.Copy(all, p.file)
	return slices.SortedFunc(maps.Values(all), func(a, b *Policy) int { return strings.Compare(a.ID, b.ID) })
}

// PolicyUse is one policy of an account, as it was when the account was compiled.
type PolicyUse struct {
	Slot *policySlot
	Seen *Policy
}

// Use returns the policies with those ids, nil where there is none, and how to find
// out later whether they are still the same.
func (p *Policies) Use(ids []string) (policies []*Policy, uses []PolicyUse) {
	if len(ids) == 0 {
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		slot := p.slots[id]
		if slot == nil {
			slot = &policySlot{}
			slot.Policy.Store(p.getLocked(id))
			p.slots[id] = slot
		}
		policy := slot.Policy.Load()
		policies = append(policies, policy)
		uses = append(uses, PolicyUse{slot, policy})
	}
	return policies, uses
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
