package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/store"
)

var userPromises = []promise{
	{"a record comes back as it was written", testRecord},
	{"what Load returns belongs to the caller", testCopies},
	{"what an edit refuses changes nothing", testRefusedEdit},
	{"an edit is given the state that it replaces", testEditState},
	{"UpdateMany changes all users or none", testUpdateMany},
	{"a generation is never used twice", testGenerations},
	{"names are listed by org and user, a page at a time", testNames},
	{"a scan comes to each user once", testScan},
	{"what is answered is there after a restart", testReopen},
	{"a closed store refuses", testClosed},
}

func testRecord(t *testing.T, h *Harness) {
	s := h.Store
	_, _, err := s.Load("default", "alice")
	want(t, "load before the write", err, auth.ErrNoUser)
	_, _, err = s.Read("default", "alice")
	want(t, "read before the write", err, auth.ErrNoUser)
	stored := put(t, s, record("alice", "first"))
	for name, load := range map[string]func(string, string) (session.Record, []auth.KeptQuota, error){"load": s.Load, "read": s.Read} {
		r, quotas, err := load("default", "alice")
		if err != nil || !reflect.DeepEqual(r, stored) || len(quotas) != 0 {
			t.Errorf("%s: %+v, %v, %v; want %+v", name, r, quotas, err, stored)
		}
		_, _, err = load("other", "alice")
		want(t, name+" of another org", err, auth.ErrNoUser)
	}
	if stored.Session.Alias != "first" || stored.Generation == 0 {
		t.Errorf("stored %+v", stored)
	}
	remove(t, s, "alice")
	_, _, err = s.Load("default", "alice")
	want(t, "load after the deletion", err, auth.ErrNoUser)
	remove(t, s, "alice") // again
	if damaged := s.Damaged(); len(damaged) > 0 || s.Ready() != nil {
		t.Errorf("damaged: %q, ready: %v", damaged, s.Ready())
	}
}

func testCopies(t *testing.T, h *Harness) {
	s := h.Store
	text := strings.Repeat("x", 500)
	put(t, s, record("alice", text))
	r, _, err := s.Load("default", "alice")
	want(t, "load", err, nil)
	names, err := s.Names(session.Name{}, 10)
	want(t, "names", err, nil)
	for i := range 100 {
		put(t, s, record(fmt.Sprint("user-", i%7), strings.Repeat("y", 900)))
	}
	remove(t, s, "alice")
	if r.Session.Alias != text || names[0].User != "alice" {
		t.Errorf("changed afterwards: %q %q", r.Session.Alias, names[0].User)
	}
	put(t, s, record("bob", "mine"))
	r, _, _ = s.Load("default", "bob")
	r.Session.Tags[0] = "changed"
	if again, _, _ := s.Load("default", "bob"); again.Session.Tags[0] != "mine" {
		t.Errorf("a caller's change is in the store: %q", again.Session.Tags)
	}
}

var errMine = errors.New("mine")

func testRefusedEdit(t *testing.T, h *Harness) {
	s := h.Store
	put(t, s, record("alice", "first"))
	published := listen(s)
	_, err := s.Update("default", "alice", func(old *session.Record) (*session.Record, error) {
		old.Session.Alias = "refused"
		return old, errMine
	})
	if err != errMine {
		t.Errorf("got %v, want the error of the edit as it is", err)
	}
	if _, err := s.Update("default", "bob", func(old *session.Record) (*session.Record, error) { return nil, errMine }); err != errMine {
		t.Errorf("of a new user: %v", err)
	}
	err = s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) { return nil, errMine })
	if err != errMine {
		t.Errorf("of a policy: %v", err)
	}
	if got := alias(s, "alice"); got != "first" {
		t.Errorf("alice is %q", got)
	}
	if got := published.take(); len(got) > 0 {
		t.Errorf("published: %q", got)
	}
}

// Many writers each add one to a number, so each edit must have seen the one before it.
func testEditState(t *testing.T, h *Harness) {
	const writers, rounds = 16, 8
	s := h.Store
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range rounds {
				_, err := s.Update("default", "alice", func(old *session.Record) (*session.Record, error) {
					n := 0
					if old != nil {
						n, _ = strconv.Atoi(old.Session.Alias)
					}
					r := record("alice", strconv.Itoa(n+1))
					return &r, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := alias(s, "alice"); got != strconv.Itoa(writers*rounds) {
		t.Errorf("%s of %d edits are there", got, writers*rounds)
	}
}

func testUpdateMany(t *testing.T, h *Harness) {
	s := h.Store
	alice := put(t, s, record("alice", "before"))
	put(t, s, record("carol", "before"))
	published := listen(s)
	names := []session.Name{{Org: "default", User: "bob"}, {Org: "default", User: "alice"}, {Org: "default", User: "carol"}}
	edit := func(i int, old *session.Record) (*session.Record, error) {
		if (old == nil) != (i == 0) || old != nil && (old.User != names[i].User || old.Session.Alias != "before") {
			t.Errorf("%s: old is %+v", names[i].User, old)
		}
		switch i {
		case 0:
			r := record("bob", "new")
			return &r, nil
		case 1:
			old.Session.Alias = "changed"
			return old, nil
		}
		return nil, nil
	}
	err := s.UpdateMany(names, func(i int, old *session.Record) (*session.Record, error) {
		if i == 2 {
			return nil, errMine
		}
		return edit(i, old)
	})
	if got := published.take(); err != errMine || len(got) > 0 || alias(s, "alice") != "before" || alias(s, "bob") != auth.ErrNoUser.Error() {
		t.Errorf("one was refused: %v, published %q, alice is %q, bob is %q", err, got, alias(s, "alice"), alias(s, "bob"))
	}
	want(t, "update", s.UpdateMany(names, edit), nil)
	if got := published.take(); !slices.Equal(got, []string{"bob", "alice", "carol"}) {
		t.Errorf("published: %q", got)
	}
	bob, _, err := s.Load("default", "bob")
	if err != nil || bob.Session.Alias != "new" || bob.Generation <= alice.Generation {
		t.Errorf("bob: %+v, %v", bob, err)
	}
	if r, _, err := s.Load("default", "alice"); err != nil || r.Session.Alias != "changed" || r.Generation != alice.Generation {
		t.Errorf("alice: %+v, %v", r, err)
	}
	if got := alias(s, "carol"); got != auth.ErrNoUser.Error() {
		t.Errorf("carol: %s", got)
	}
}

func testGenerations(t *testing.T, h *Harness) {
	s := h.Store
	first := put(t, s, record("alice", "first"))
	kept := first
	kept.Session.Alias = "edited"
	if got := put(t, s, kept); got.Generation != first.Generation {
		t.Errorf("an edit that keeps generation %d made it %d", first.Generation, got.Generation)
	}
	seen := []uint64{first.Generation}
	again := func(when string) {
		t.Helper()
		g := put(t, s, record("alice", when)).Generation
		if g <= seen[len(seen)-1] {
			t.Errorf("%s: generation %d after %v", when, g, seen)
		}
		if r, _, err := s.Load("default", "alice"); err != nil || r.Generation != g {
			t.Errorf("%s: stored as %d, loaded as %d, %v", when, g, r.Generation, err)
		}
		seen = append(seen, g)
	}
	again("written afresh")
	remove(t, s, "alice")
	again("created again")
	if h.Reopen != nil {
		remove(t, s, "alice")
		h.Reopen(t)
		s = h.Store
		again("created after a restart")
	}
}

var listed = []session.Name{
	{Org: "a", User: "a"}, {Org: "a", User: "a!"}, {Org: "a", User: "aa"}, {Org: "a", User: "b"},
	{Org: "a!", User: "a"}, {Org: "aa", User: ""}, {Org: "aa", User: "a"}, {Org: "b", User: "a"}, {Org: "b", User: "é"},
}

func putListed(t *testing.T, s store.Store) {
	t.Helper()
	for i := range listed { // in another order
		n := listed[(i*4+3)%len(listed)]
		put(t, s, session.Record{Org: n.Org, User: n.User, Session: session.Session{OrgID: n.Org}})
	}
}

func testNames(t *testing.T, h *Harness) {
	s := h.Store
	f := func(after session.Name, n int, want []session.Name) {
		t.Helper()
		if got, err := s.Names(after, n); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d after %v: %v, %v, want %v", n, after, got, err, want)
		}
	}
	f(session.Name{}, 10, nil)
	putListed(t, s)
	f(session.Name{}, 100, listed)
	f(session.Name{}, len(listed), listed)
	f(session.Name{}, 3, listed[:3])
	f(listed[2], 3, listed[3:6])
	f(listed[len(listed)-1], 3, nil)
	f(session.Name{Org: "a", User: "ab"}, 2, listed[3:5]) // a user that does not exist
	for n := 1; n <= len(listed); n++ {
		var all []session.Name
		var last session.Name
		for {
			page, err := s.Names(last, n)
			if err != nil {
				t.Fatal(err)
			}
			if all = append(all, page...); len(page) < n {
				break
			}
			last = page[len(page)-1]
		}
		if !slices.Equal(all, listed) {
			t.Errorf("%d at a time: %v", n, all)
		}
	}
}

func testScan(t *testing.T, h *Harness) {
	s := h.Store
	scan := func(n int) (all []session.Brief) {
		t.Helper()
		var last session.Name
		for {
			count := 0
			next, more, err := s.Scan(last, n, func(b session.Brief) {
				all = append(all, b)
				count++
			})
			if err != nil || count > n {
				t.Fatalf("%d of %d, %v", count, n, err)
			}
			if !more {
				return all
			}
			last = next
		}
	}
	if got := scan(10); len(got) != 0 {
		t.Errorf("an empty store has %v", got)
	}
	sess := session.Session{OrgID: "default", Expires: 7, SessionLifetime: 8, PostExpiryAction: "retain", PostExpiryGracePeriod: -1, LastUpdated: "9", ApplyPolicies: []string{"gold"}, BasicAuth: session.BasicAuth{Password: "hash"}}
	put(t, s, session.Record{Org: "default", User: "alice", Session: sess})
	wanted := []session.Brief{{Name: session.Name{Org: "default", User: "alice"}, PasswordHash: "hash", Lifetime: sess.Lifetime()}}
	if got := scan(1); !reflect.DeepEqual(got, wanted) {
		t.Errorf("got %+v, want %+v", got, wanted)
	}
	remove(t, s, "alice")
	putListed(t, s)
	for n := 1; n <= len(listed)+1; n++ {
		var names []session.Name
		for _, b := range scan(n) {
			names = append(names, b.Name)
		}
		if !slices.Equal(names, listed) {
			t.Errorf("%d at a time: %v", n, names)
		}
	}
}

func testReopen(t *testing.T, h *Harness) {
	if h.Reopen == nil {
		t.Log("the store has nothing to open again")
		return
	}
	put(t, h.Store, record("alice", "first"))
	remove(t, h.Store, "alice")
	alice := put(t, h.Store, record("alice", "second"))
	setPolicy(t, h.Store, "gold", &session.Policy{ID: "gold", Rate: 5})
	key := quotaKey("alice", "")
	g, err := reserve(t, h.Store, key, ask(alice, 3, 0))
	want(t, "reserve", err, nil)
	h.Reopen(t)
	r, quotas, err := h.Store.Load("default", "alice")
	if err != nil || !reflect.DeepEqual(r, alice) || !slices.Equal(quotas, []auth.KeptQuota{{Reservation: g.Reservation}}) {
		t.Errorf("alice: %+v, %+v, %v", r, quotas, err)
	}
	if p, err := h.Store.Policy("gold"); err != nil || p == nil || p.Rate != 5 {
		t.Errorf("gold: %+v, %v", p, err)
	}
}

func testClosed(t *testing.T, h *Harness) {
	s := h.Store
	alice := put(t, s, record("alice", "first"))
	want(t, "close", s.Close(), nil)
	_, _, err := s.Load("default", "alice")
	want(t, "load", err, auth.ErrStoreDown)
	_, _, err = s.Read("default", "alice")
	want(t, "read", err, auth.ErrStoreDown)
	_, err = s.Names(session.Name{}, 1)
	want(t, "names", err, auth.ErrStoreDown)
	_, _, err = s.Scan(session.Name{}, 1, func(session.Brief) {})
	want(t, "scan", err, auth.ErrStoreDown)
	_, err = s.Update("default", "alice", func(old *session.Record) (*session.Record, error) { return old, nil })
	want(t, "update", err, auth.ErrStoreDown)
	want(t, "update many", s.UpdateMany([]session.Name{{Org: "default", User: "bob"}}, func(int, *session.Record) (*session.Record, error) { return nil, nil }), auth.ErrStoreDown)
	_, _, err = s.Policies()
	want(t, "policies", err, auth.ErrStoreDown)
	_, err = s.Policy("gold")
	want(t, "policy", err, auth.ErrStoreDown)
	want(t, "update policy", s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) { return nil, nil }), auth.ErrStoreDown)
	_, err = reserve(t, s, quotaKey("alice", ""), ask(alice, 1, 0))
	want(t, "reserve", err, auth.ErrStoreDown)
	want(t, "ready", s.Ready(), auth.ErrStoreDown)
	want(t, "close again", s.Close(), nil)
}
