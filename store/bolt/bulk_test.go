package bolt

import (
	"errors"
	"slices"
	"testing"

	"sidekey/auth"
)

func TestUpdateMany(t *testing.T) {
	s := mustOpen(t, newPath(t))
	var told []string
	s.Notify(Notify{User: func(_, user string) { told = append(told, user) }, Policy: func(string) {}})
	alice := put(t, s, record("default", "alice", "before"))
	put(t, s, record("default", "carol", "before"))
	names := []auth.Name{{Org: "default", User: "bob"}, {Org: "default", User: "alice"}, {Org: "default", User: "carol"}}
	edit := func(i int, old *auth.Record) (*auth.Record, error) {
		if (old == nil) != (i == 0) || old != nil && old.User != names[i].User {
			t.Errorf("%s: old is %+v", names[i].User, old)
		}
		switch i {
		case 0:
			r := record("default", "bob", "new")
			return &r, nil
		case 1:
			old.Session.Alias = "changed"
			return old, nil
		}
		return nil, nil
	}

	// One is refused: nothing changes, nobody is told.
	mine := errors.New("mine")
	told = nil
	err := s.UpdateMany(names, func(i int, old *auth.Record) (*auth.Record, error) {
		if i == 2 {
			return nil, mine
		}
		return edit(i, old)
	})
	if err != mine {
		t.Errorf("refused: %v", err)
	}
	_, _, err = s.Load("default", "bob")
	want(t, "bob after the refusal", err, auth.ErrNoUser)
	if r, _, _ := s.Load("default", "alice"); r.Session.Alias != "before" || len(told) > 0 {
		t.Errorf("after the refusal: %+v, told %v", r, told)
	}

	// A new one, a changed one, a deleted one.
	want(t, "update", s.UpdateMany(names, edit), nil)
	if r, _, err := s.Load("default", "bob"); err != nil || r.Generation <= alice.Generation {
		t.Errorf("bob: %+v, %v", r, err)
	}
	if r, _, err := s.Load("default", "alice"); err != nil || r.Session.Alias != "changed" || r.Generation != alice.Generation {
		t.Errorf("alice: %+v, %v", r, err)
	}
	_, _, err = s.Load("default", "carol")
	want(t, "carol", err, auth.ErrNoUser)
	if !slices.Equal(told, []string{"bob", "alice", "carol"}) {
		t.Errorf("told %v", told)
	}

	mustClose(t, s)
	want(t, "after close", s.UpdateMany(names, edit), auth.ErrStoreDown)
}
