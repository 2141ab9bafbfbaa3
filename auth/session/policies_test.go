package session

import "testing"

func TestPoliciesWithFile(t *testing.T) {
	stored := NewPolicies([]Policy{{ID: "a", Name: "stored a"}, {ID: "b", Name: "stored b"}})
	one := stored.WithFile([]Policy{{ID: "a", Name: "file a"}, {ID: "c", Name: "file c", Tags: []string{"t"}}})
	f := func(p *Policies, id, want string) {
		t.Helper()
		got := "(none)"
		if policy := p.Get(id); policy != nil {
			got = policy.Name
		}
		used, uses := p.Use([]string{id})
		if got != want || used[0] != p.Get(id) || uses[0].Seen != used[0] || uses[0].Slot.Policy.Load() != used[0] {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
	f(stored, "a", "stored a")
	f(one, "a", "file a")
	f(one, "b", "stored b")
	f(one, "c", "file c")
	f(stored, "c", "(none)")
	if !one.Fixed("a") || one.Fixed("b") || stored.Fixed("a") {
		t.Error("the wrong policies stand in the file")
	}

	// An equal file is the same value; of another file, equal policies stay the same.
	if one.WithFile([]Policy{{ID: "c", Name: "file c", Tags: []string{"t"}}, {ID: "a", Name: "file a"}}) != one {
		t.Error("an equal file makes other policies")
	}
	if stored.WithFile(nil) != stored {
		t.Error("no file makes other policies")
	}
	two := one.WithFile([]Policy{{ID: "a", Name: "file a"}, {ID: "c", Name: "file c", Tags: []string{"u"}}})
	if two == one || two.Get("a") != one.Get("a") || two.Get("c") == one.Get("c") {
		t.Error("the wrong policies have changed")
	}

	// A stored policy changes with every file; the file's counts.
	_, uses := two.Use([]string{"a", "b"})
	two.SetStored("a", &Policy{ID: "a", Name: "edited a"})
	two.SetStored("b", &Policy{ID: "b", Name: "edited b"})
	f(two, "a", "file a")
	f(one, "b", "edited b")
	f(stored, "a", "edited a")
	if uses[0].Slot.Policy.Load() != uses[0].Seen || uses[1].Slot.Policy.Load() == uses[1].Seen {
		t.Error("an account notices the wrong change")
	}
	two.SetStored("b", nil)
	f(two, "b", "(none)")
	none := two.WithFile(nil)
	f(none, "a", "edited a")
	if all := none.All(); len(all) != 1 || all[0].Name != "edited a" {
		t.Errorf("%v", all)
	}
}
