package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
	"sidekey/store/bolt/boltfile"
)

func TestUpdate(t *testing.T) {
	s := mustOpen(t, newPath(t))
	_, _, err := s.Load("default", "alice")
	want(t, "load before", err, auth.ErrNoUser)

	// Created.
	first := record("default", "alice", "first")
	stored, err := s.Update("default", "alice", func(old *session.Record) (*session.Record, error) {
		if old != nil {
			t.Errorf("there is an old record: %+v", old)
		}
		return &first, nil
	})
	if err != nil || stored.Generation == 0 || stored.Session.Alias != "first" {
		t.Fatalf("stored %+v, %v", stored, err)
	}
	loaded, kept, err := s.Load("default", "alice")
	if err != nil || loaded.Generation != stored.Generation || loaded.Session.Alias != "first" || len(kept) != 0 {
		t.Fatalf("loaded %+v, %v, %v", loaded, kept, err)
	}

	// Refused: nothing changes, and the error is the caller's own.
	mine := errors.New("mine")
	stored, err = s.Update("default", "alice", func(*session.Record) (*session.Record, error) { return &first, mine })
	if err != mine || stored.User != "" {
		t.Errorf("refused: %+v, %v", stored, err)
	}

	// Changed, with the generation that it had.
	_, err = s.Update("default", "alice", func(old *session.Record) (*session.Record, error) {
		if old == nil || old.Session.Alias != "first" {
			t.Errorf("old is %+v", old)
			return nil, mine
		}
		old.Session.Alias = "second"
		return old, nil
	})
	want(t, "change", err, nil)
	changed, _, _ := s.Load("default", "alice")
	if changed.Session.Alias != "second" || changed.Generation != loaded.Generation {
		t.Errorf("changed: %+v, generation %d before", changed, loaded.Generation)
	}

	// Deleted, twice.
	remove(t, s, "default", "alice")
	_, _, err = s.Load("default", "alice")
	want(t, "load after delete", err, auth.ErrNoUser)
	remove(t, s, "default", "alice")
}

// An edit is made before its turn. If the user, or what the edit is checked against, has
// changed when the turn comes, it is made again on what is stored then; otherwise once.
func TestUpdateIsMadeAgain(t *testing.T) {
	s := mustOpen(t, newPath(t))
	put := func(alias string) {
		t.Helper()
		r := record("default", "alice", alias)
		_, err := s.Update("default", "alice", func(*session.Record) (*session.Record, error) { return &r, nil })
		want(t, "put "+alias, err, nil)
	}
	f := func(name string, between func(), saw ...string) {
		t.Helper()
		var seen []string
		_, err := s.Update("default", "alice", func(old *session.Record) (*session.Record, error) {
			alias := "none"
			if old != nil {
				alias = old.Session.Alias
			}
			if seen = append(seen, alias); len(seen) == 1 {
				between()
			}
			r := record("default", "alice", alias+"+")
			return &r, nil
		})
		want(t, name, err, nil)
		now, _, err := s.Load("default", "alice")
		want(t, "load", err, nil)
		if !slices.Equal(seen, saw) || now.Session.Alias != saw[len(saw)-1]+"+" {
			t.Errorf("%s: the edit was given %q, want %q; %q is stored", name, seen, saw, now.Session.Alias)
		}
	}
	f("created", func() {}, "none")
	f("unchanged", func() {}, "none+")
	f("changed in between", func() { put("other") }, "none++", "other")
	f("written afresh in between, with the same session", func() { put("other+") }, "other+", "other+")
	f("deleted in between", func() { remove(t, s, "default", "alice") }, "other++", "none")
	remove(t, s, "default", "alice")
	f("created in between", func() { put("new") }, "none", "new")
	f("checked against other rules", s.RulesChanged, "new+", "new+")
}

// A user cannot be given a policy that is deleted before the edit's turn comes, not even by
// an edit that is made in the moment between the deletion and its publication.
func TestUpdateAfterAPolicyEdit(t *testing.T) {
	s := mustOpen(t, newPath(t))
	var exists atomic.Bool // as the functions of Notify say
	exists.Store(true)
	deleted, made := make(chan bool), make(chan bool)
	s.Notify(store.Notify{User: func(string, string) {}, Policy: func(string) {
		close(deleted)
		<-made
		exists.Store(false)
	}})
	gone := errors.New("there is no such policy")
	calls := 0
	var group sync.WaitGroup
	group.Go(func() {
		<-deleted
		_, err := s.Update("default", "alice", func(*session.Record) (*session.Record, error) {
			if !exists.Load() {
				return nil, gone
			}
			if calls++; calls == 1 {
				close(made)
			}
			r := record("default", "alice", "has the policy")
			return &r, nil
		})
		want(t, "update", err, gone)
	})
	want(t, "delete policy", s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) { return nil, nil }), nil)
	group.Wait()
	if calls != 1 {
		t.Errorf("the edit was made %d times under the policy", calls)
	}
}

// Between a commit and its publication a deletion can be read but does not act yet. An edit is
// made after both, so its answer is true for the checks that follow.
func TestUpdateAfterPublication(t *testing.T) {
	s := mustOpen(t, newPath(t))
	put(t, s, record("default", "alice", "alice"))
	var inForce atomic.Bool
	readable, edit := make(chan error), make(chan bool)
	s.Notify(store.Notify{User: func(string, string) {
		_, _, err := s.Load("default", "alice")
		readable <- err
		<-edit // is waiting for its turn, or about to
		inForce.Store(true)
	}, Policy: func(string) {}})
	var group sync.WaitGroup
	group.Go(func() { remove(t, s, "default", "alice") })
	want(t, "load", <-readable, auth.ErrNoUser)
	missing := errors.New("there is no such user")
	group.Go(func() {
		close(edit)
		_, err := s.Update("default", "alice", func(old *session.Record) (*session.Record, error) {
			switch {
			case old != nil:
				return nil, errors.New("alice is there")
			case !inForce.Load():
				return nil, errors.New("her deletion is not in force")
			}
			return nil, missing
		})
		want(t, "update", err, missing)
	})
	group.Wait()
}

// Generations only rise, also when a user is deleted and created again, and after a restart.
func TestGenerationsRise(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	var last uint64
	rises := func(what string, r session.Record) {
		t.Helper()
		if r.Generation <= last {
			t.Errorf("%s: generation %d after %d", what, r.Generation, last)
		}
		last = r.Generation
	}
	rises("created", put(t, s, record("default", "alice", "x")))
	rises("overwritten", put(t, s, record("default", "alice", "x")))
	rises("another", put(t, s, record("default", "bob", "x")))
	remove(t, s, "default", "alice")
	rises("created again", put(t, s, record("default", "alice", "x")))
	mustClose(t, s)
	s = mustOpen(t, path)
	rises("after a reopen", put(t, s, record("default", "alice", "x")))
}

func TestNames(t *testing.T) {
	s := mustOpen(t, newPath(t))
	all := func(n int) (names []session.Name) {
		t.Helper()
		var after session.Name
		for {
			part, err := s.Names(after, n)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, part...)
			if len(part) < n {
				return names
			}
			after = part[len(part)-1]
		}
	}
	if got := all(10); len(got) != 0 {
		t.Errorf("an empty store has %v", got)
	}
	var wanted []session.Name
	for _, name := range []session.Name{
		{Org: "a", User: "a"}, {Org: "a", User: "a a"}, {Org: "a", User: "aa"}, {Org: "a", User: "b"}, {Org: "a", User: strings.Repeat("z", 255)}, {Org: "a", User: "ü"},
		{Org: "aa", User: "a"}, {Org: "ab", User: "."}, {Org: "ab", User: ".."}, {Org: "ab", User: "a/b"}, {Org: "b", User: "a"},
	} {
		put(t, s, record(name.Org, name.User, "x"))
		wanted = append(wanted, name)
	}
	for n := 1; n <= len(wanted)+1; n++ {
		if got := all(n); !slices.Equal(got, wanted) {
			t.Errorf("%d at a time: got %v, want %v", n, got, wanted)
		}
	}
	// After a name that does not exist, or no longer exists.
	got, err := s.Names(session.Name{Org: "a", User: "a"}, 2)
	if err != nil || !slices.Equal(got, wanted[1:3]) {
		t.Errorf("after a/a: %v, %v", got, err)
	}
	remove(t, s, "a", "a")
	got, err = s.Names(session.Name{Org: "a", User: "a"}, 2)
	if err != nil || !slices.Equal(got, wanted[1:3]) {
		t.Errorf("after the deleted a/a: %v, %v", got, err)
	}
}

// One damaged key does not hide all other users.
func TestNamesWithDamagedKey(t *testing.T) {
	s := mustOpen(t, newPath(t))
	put(t, s, record("default", "alice", "x"))
	put(t, s, record("default", "bob", "x"))
	raw(t, s, func(tx *bbolt.Tx) error {
		users := tx.Bucket(boltfile.Users)
		key := userKey("default", "bob")
		value := users.Get(key)
		damaged := append([]byte("default"), 0x20) // one bit of the NUL
		damaged = append(damaged, "bob"...)
		if err := users.Put(damaged, value); err != nil {
			return err
		}
		return users.Delete(key)
	})
	names, err := s.Names(session.Name{}, 10)
	if err != nil || !slices.Contains(names, session.Name{Org: "default", User: "alice"}) {
		t.Errorf("got %v, %v, want alice all the same", names, err)
	}
}

// A scan comes to every user once, with the values that Load returns, whatever the length of
// its steps. A user whose record is damaged is left out and named.
func TestScan(t *testing.T) {
	s := mustOpen(t, newPath(t))
	briefs := func(n int) (all []session.Brief) {
		t.Helper()
		var last session.Name
		for {
			next, more, err := s.Scan(last, n, func(b session.Brief) { all = append(all, b) })
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				return all
			}
			last = next
		}
	}
	if got := briefs(10); len(got) != 0 {
		t.Errorf("an empty store has %v", got)
	}
	var wanted []session.Brief
	for i, sess := range []session.Session{
		{},
		{Expires: 7, SessionLifetime: 8, PostExpiryAction: "retain", PostExpiryGracePeriod: -1, LastUpdated: "9", ApplyPolicies: []string{"gold", "basic"}},
		{Alias: "x", BasicAuth: session.BasicAuth{Password: "$2b$10$x", HashType: "bcrypt"}},
		{MetaData: map[string]jsontext.Value{"expires": jsontext.Value("5")}, Expires: -1},
	} {
		r := session.Record{Org: "default", User: fmt.Sprintf("user-%d", i), Session: sess}
		put(t, s, r)
		wanted = append(wanted, session.Brief{Name: r.Name(), PasswordHash: sess.BasicAuth.Password, Lifetime: sess.Lifetime()})
	}
	for n := 1; n <= len(wanted)+1; n++ {
		if got := briefs(n); !reflect.DeepEqual(got, wanted) {
			t.Errorf("%d at a time: got %v, want %v", n, got, wanted)
		}
	}
	raw(t, s, func(tx *bbolt.Tx) error {
		users := tx.Bucket(boltfile.Users)
		value := bytes.Clone(users.Get(userKey("default", "user-1")))
		value[len(value)-2] ^= 1
		return users.Put(userKey("default", "user-1"), value)
	})
	if got := briefs(1); !reflect.DeepEqual(got, slices.Delete(wanted, 1, 2)) {
		t.Errorf("with a damaged record: got %v", got)
	}
	if got := s.Damaged(); !slices.Equal(got, []string{"default/user-1"}) {
		t.Errorf("damaged: %q", got)
	}
}

// What Load returns belongs to the caller: no part of it refers to the file.
func TestLoadReturnsCopies(t *testing.T) {
	s := mustOpen(t, newPath(t))
	stored := put(t, s, record("default", "alice", strings.Repeat("x", 500)))
	want(t, "reserve", reserve(s, limiter.QuotaKey{Org: "default", User: "alice", Scope: "orders"}, limiter.Reservation{Generation: stored.Generation, Reserved: 1}), nil)
	loaded, kept, err := s.Load("default", "alice")
	if err != nil {
		t.Fatal(err)
	}
	names, _ := s.Names(session.Name{}, 10)
	for i := range 200 {
		put(t, s, record("default", fmt.Sprintf("user-%d", i%7), strings.Repeat("y", 900)))
	}
	remove(t, s, "default", "alice")
	mustClose(t, s) // the file is no longer mapped
	if loaded.Session.Alias != strings.Repeat("x", 500) || kept[0].Scope != "orders" || names[0].User != "alice" {
		t.Errorf("changed afterwards: %q %q %q", loaded.Session.Alias, kept[0].Scope, names[0].User)
	}
}

func TestPolicies(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	gold := session.Policy{ID: "gold", OrgID: "default", Rate: 5, Per: 1, Tags: []string{"t"}}
	set := func(p *session.Policy) error {
		return s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) { return p, nil })
	}
	p, err := s.Policy("gold")
	if p != nil || err != nil {
		t.Errorf("before: %v, %v", p, err)
	}
	want(t, "create", set(&gold), nil)
	mine := errors.New("mine")
	if err := s.UpdatePolicy("gold", func(old *session.Policy, _ session.PolicyUsers) (*session.Policy, error) {
		if old == nil || old.Rate != 5 {
			t.Errorf("old is %+v", old)
		}
		return nil, mine
	}); err != mine {
		t.Errorf("refused: %v", err)
	}
	mustClose(t, s)
	s = mustOpen(t, path)
	list, damaged, err := s.Policies()
	if len(list) != 1 || list[0].ID != "gold" || list[0].Tags[0] != "t" || damaged != nil || err != nil {
		t.Errorf("after a reopen: %+v, %v, %v", list, damaged, err)
	}

	// Its users: whole names count, and only those in apply_policies.
	for user, policies := range map[string][]string{"a": {"gold"}, "b": {"silver", "gold"}, "c": {"golden"}, "d": {"old"}, "e": nil} {
		r := record("default", user, "gold")
		r.Session.ApplyPolicies = policies
		put(t, s, r)
	}
	if n, err := policyUsers(s, "gold"); n != 2 || err != nil {
		t.Errorf("users: %d, %v, want 2", n, err)
	}
	want(t, "delete", set(nil), nil)
	if p, err := s.Policy("gold"); p != nil || err != nil {
		t.Errorf("deleted: %v, %v", p, err)
	}
	want(t, "delete again", set(nil), nil)
}

func TestPolicyUsersOfMany(t *testing.T) {
	s := mustOpen(t, newPath(t))
	raw(t, s, func(tx *bbolt.Tx) error {
		for i := range 2500 {
			r := record("default", fmt.Sprintf("user-%05d", i), "x")
			if i%2 == 0 {
				r.Session.ApplyPolicies = []string{"gold"}
			}
			if _, err := s.putUser(tx, userKey(r.Org, r.User), &r); err != nil {
				return err
			}
		}
		return nil
	})
	if n, err := policyUsers(s, "gold"); n != 1250 || err != nil {
		t.Errorf("%d, %v, want 1250", n, err)
	}
}

// policyUsers counts the users of a policy, and changes nothing.
func policyUsers(s *Store, id string) (n int, err error) {
	errCounted := errors.New("counted")
	err = s.UpdatePolicy(id, func(_ *session.Policy, users session.PolicyUsers) (*session.Policy, error) {
		if err := users(func(session.Session) { n++ }); err != nil {
			return nil, err
		}
		return nil, errCounted
	})
	if err == errCounted {
		err = nil
	}
	return n, err
}
