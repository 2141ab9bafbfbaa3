package storetest

import (
	"slices"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

var failurePromises = []promise{
	{"a failed commit has an unknown outcome and is published", testFailedCommit},
	{"a failed ask for quota loses nothing that was granted", testFailedAsk},
	{"a damaged record refuses its user alone", testDamagedUser},
	{"a damaged policy is named and can be written again", testDamagedPolicy},
}

// ready waits until the store can be written again.
func ready(t *testing.T, s store.Store) {
	t.Helper()
	for deadline := time.Now().Add(patience); s.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not ready after %v: %v", patience, s.Ready())
		}
	}
}

func testFailedCommit(t *testing.T, h *Harness) {
	if h.FailCommit == nil {
		t.Log("no commit of this store fails with an unknown outcome")
		return
	}
	s := h.Store
	published := listen(s)
	put(t, s, record("alice", "before"))
	published.take()
	f := func(what string, write func() error, wanted ...string) {
		t.Helper()
		h.FailCommit(t)
		want(t, what, write(), store.ErrOutcomeUnknown)
		if got := published.take(); !slices.Equal(got, wanted) {
			t.Errorf("%s: published %q, want %q", what, got, wanted)
		}
		ready(t, s)
		if r, _, err := s.Read("default", "alice"); err != nil || r.Session.Alias != "before" {
			t.Errorf("%s: alice is %+v, %v", what, r, err)
		}
	}
	lost := record("alice", "lost")
	f("update", func() error {
		_, err := s.Update("default", "alice", func(*session.Record) (*session.Record, error) { return &lost, nil })
		return err
	}, "alice")
	f("update many", func() error {
		return s.UpdateMany([]session.Name{{Org: "default", User: "alice"}, {Org: "default", User: "bob"}}, func(i int, _ *session.Record) (*session.Record, error) {
			if i == 0 {
				return nil, nil
			}
			r := record("bob", "lost")
			return &r, nil
		})
	}, "alice", "bob")
	f("update a policy", func() error {
		return s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) {
			return &session.Policy{ID: "gold"}, nil
		})
	}, "policy gold")
	put(t, s, record("alice", "after"))
	if got := alias(s, "alice"); got != "after" {
		t.Errorf("after the recovery alice is %q", got)
	}
}

func testFailedAsk(t *testing.T, h *Harness) {
	if h.FailCommit == nil {
		t.Log("no commit of this store fails with an unknown outcome")
		return
	}
	s := h.Store
	alice := put(t, s, record("alice", "x"))
	key := quotaKey("alice", "")
	first, err := reserve(t, s, key, ask(alice, 10, 0))
	want(t, "reserve", err, nil)
	h.FailCommit(t)
	g, err := reserve(t, s, key, askAgain(first, 10))
	want(t, "an ask whose commit fails", err, store.ErrOutcomeUnknown)
	if g != (limiter.Grant{}) {
		t.Errorf("it was granted %+v", g)
	}
	ready(t, s)
	second, err := reserve(t, s, key, askAgain(first, 10))
	if err != nil || second.Count != 10 || second.Reserved < 20 || second.Reserved > 30 {
		t.Errorf("asked again: %+v, %v", second, err)
	}
}

func testDamagedUser(t *testing.T, h *Harness) {
	if h.Damage == nil {
		t.Log("no record of this store is damaged")
		return
	}
	s := h.Store
	alice := put(t, s, record("alice", "x"))
	put(t, s, record("bob", "sound"))
	put(t, s, record("carol", "sound"))
	h.Damage(t, session.Name{Org: "default", User: "alice"})
	_, _, err := s.Load("default", "alice")
	want(t, "load", err, auth.ErrDamaged)
	_, _, err = s.Read("default", "alice")
	want(t, "read", err, auth.ErrDamaged)
	if got := s.Damaged(); !slices.Equal(got, []string{"default/alice"}) {
		t.Errorf("damaged: %q", got)
	}
	if got := alias(s, "bob"); got != "sound" {
		t.Errorf("bob is %q", got)
	}
	if names, err := s.Names(session.Name{}, 10); err != nil || len(names) != 3 {
		t.Errorf("listed: %v, %v", names, err)
	}
	var scanned []string
	last, more, err := s.Scan(session.Name{}, 2, func(b session.Brief) { scanned = append(scanned, b.User) })
	if !slices.Equal(scanned, []string{"bob"}) || last.User != "bob" || !more || err != nil {
		t.Errorf("scanned %q up to %v, more: %t, %v", scanned, last, more, err)
	}
	_, err = reserve(t, s, quotaKey("alice", ""), ask(alice, 1, 0))
	want(t, "reserve", err, auth.ErrDamaged)

	_, err = s.Update("default", "alice", func(old *session.Record) (*session.Record, error) {
		if old == nil || !old.Damaged || old.User != "alice" || old.Generation != 0 {
			t.Errorf("old is %+v", old)
		}
		r := record("alice", "mended")
		return &r, nil
	})
	want(t, "write again", err, nil)
	r, _, err := s.Load("default", "alice")
	if err != nil || r.Session.Alias != "mended" || r.Generation <= alice.Generation || len(s.Damaged()) != 0 {
		t.Errorf("written again: %+v, %v, damaged: %q", r, err, s.Damaged())
	}
	h.Damage(t, session.Name{Org: "default", User: "alice"})
	remove(t, s, "alice")
	if _, _, err := s.Load("default", "alice"); err != auth.ErrNoUser || len(s.Damaged()) != 0 {
		t.Errorf("deleted: %v, damaged: %q", err, s.Damaged())
	}
}

func testDamagedPolicy(t *testing.T, h *Harness) {
	if h.DamagePolicy == nil {
		t.Log("no record of this store is damaged")
		return
	}
	s := h.Store
	setPolicy(t, s, "gold", &session.Policy{ID: "gold", Rate: 5})
	setPolicy(t, s, "basic", &session.Policy{ID: "basic"})
	h.DamagePolicy(t, "gold")
	list, damaged, err := s.Policies()
	if len(list) != 1 || list[0].ID != "basic" || err != nil {
		t.Errorf("list: %+v, %v", list, err)
	}
	want(t, "damaged", damaged, auth.ErrDamaged)
	_, err = s.Policy("gold")
	want(t, "load", err, auth.ErrDamaged)
	err = s.UpdatePolicy("gold", func(old *session.Policy, _ session.PolicyUsers) (*session.Policy, error) {
		if old != nil {
			t.Errorf("old is %+v", old)
		}
		return &session.Policy{ID: "gold", Rate: 6}, nil
	})
	want(t, "write again", err, nil)
	if p, err := s.Policy("gold"); err != nil || p.Rate != 6 {
		t.Errorf("written again: %+v, %v", p, err)
	}
}
