// Package storetest is the suite that every store passes: each promise of package store is a
// subtest that is named after it.
package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

// Harness is a store under test, and what the suite does to it from outside. A nil function
// says that it cannot happen to this store; the promises that need it are then left out.
type Harness struct {
	Store store.Store

	// Reopen closes the store and opens it again, and sets Store.
	Reopen func(t *testing.T)
	// FailCommit has the next commit fail with an unknown outcome. It is lost.
	FailCommit func(t *testing.T)
	// Damage makes what is stored of a user unreadable.
	Damage func(t *testing.T, n session.Name)
	// DamagePolicy makes what is stored of a policy unreadable.
	DamagePolicy func(t *testing.T, id string)
	// Another opens the same data as another process does, until the test ends.
	Another func(t *testing.T) store.Store
}

// Run runs the suite. open returns a new, empty store that is closed when its test ends.
func Run(t *testing.T, open func(t *testing.T) *Harness) {
	for _, p := range slices.Concat(userPromises, writePromises, policyPromises, failurePromises, sharingPromises) {
		t.Run(p.name, func(t *testing.T) { p.test(t, open(t)) })
	}
	RunQuotas(t, func(t *testing.T) QuotaStore { return open(t).Store })
}

// promise is one promise of a store, and its test.
type promise struct {
	name string
	test func(t *testing.T, h *Harness)
}

// patience bounds how long anything may take that normally takes milliseconds.
const patience = 20 * time.Second

// record returns a user with text in several places, so that a record put together from
// two would show.
func record(user, text string) session.Record {
	return session.Record{Org: "default", User: user, Session: session.Session{OrgID: "default", Alias: text, Tags: []string{text, "end"}}}
}

// want fails the test unless err is an error like target (nil: none).
func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

// updater is the method of a store by which tests write users.
type updater interface {
	Update(org, user string, edit func(old *session.Record) (*session.Record, error)) (session.Record, error)
}

// put stores a record as it is.
func put(t *testing.T, s updater, r session.Record) session.Record {
	t.Helper()
	stored, err := s.Update(r.Org, r.User, func(*session.Record) (*session.Record, error) { return &r, nil })
	if err != nil {
		t.Fatalf("write %s: %v", r.User, err)
	}
	return stored
}

func remove(t *testing.T, s updater, user string) {
	t.Helper()
	if _, err := s.Update("default", user, func(*session.Record) (*session.Record, error) { return nil, nil }); err != nil {
		t.Fatalf("delete %s: %v", user, err)
	}
}

// alias returns the text of a user as checks see it, or the error's.
func alias(s auth.Source, user string) string {
	r, _, err := s.Load("default", user)
	if err != nil {
		return err.Error()
	}
	return r.Session.Alias
}

func setPolicy(t *testing.T, s store.Policies, id string, p *session.Policy) {
	t.Helper()
	if err := s.UpdatePolicy(id, func(*session.Policy, session.PolicyUsers) (*session.Policy, error) { return p, nil }); err != nil {
		t.Fatalf("write policy %s: %v", id, err)
	}
}

// notified gathers what a store publishes.
type notified struct {
	mu   sync.Mutex
	list []string
}

// listen has everything that s publishes gathered from now on.
func listen(s store.Store) *notified {
	n := &notified{}
	s.Notify(store.Notify{
		User:   func(_, user string) { n.add(user) },
		Policy: func(id string) { n.add("policy " + id) },
	})
	return n
}

func (n *notified) add(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, what)
}

// take returns what was published since the last call.
func (n *notified) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}

// reserve sends an ask and waits for the answer.
func reserve(t *testing.T, l limiter.Ledger, key limiter.QuotaKey, ask limiter.Ask) (g limiter.Grant, err error) {
	t.Helper()
	done := make(chan struct{})
	l.Reserve(key, ask, func(granted limiter.Grant, failure error) {
		g, err = granted, failure
		close(done)
	})
	l.Hurry()
	select {
	case <-done:
		return g, err
	case <-time.After(patience):
		t.Fatal("no answer to an ask")
		return g, err
	}
}
