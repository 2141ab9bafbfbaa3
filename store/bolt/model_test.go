package bolt

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

// modelUser is what the model knows of a user.
type modelUser struct {
	text       string
	generation uint64
	quotas     map[string]limiter.Reservation
}

// TestModel does random things to the store and to a map, and compares them; the store
// is closed and opened again in between.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := newPath(t)
		s, err := Open(path, quiet)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { mustClose(t, s); checkPages(t, path) }()
		users := make(map[session.Name]*modelUser)
		policies := make(map[string]float64)
		var highest uint64
		step := 0

		// Names that begin alike, so that prefixes would be mixed up.
		name := rapid.Custom(func(rt *rapid.T) session.Name {
			part := rapid.SampledFrom([]string{"a", "aa", "a a", "ab", "b", "ü"})
			return session.Name{Org: part.Draw(rt, "org"), User: part.Draw(rt, "user")}
		})
		scope := rapid.SampledFrom([]string{"", "a", "api:a", "api:aa"})

		write := func(rt *rapid.T, keep bool) {
			n := name.Draw(rt, "name")
			known := users[n]
			step++
			text := texts(step)
			stored, err := s.Update(n.Org, n.User, func(old *session.Record) (*session.Record, error) {
				if (old == nil) != (known == nil) || old != nil && (old.Session.Alias != known.text || old.Generation != known.generation) {
					rt.Errorf("%v: edit was given %+v, want %+v", n, old, known)
				}
				r := record(n.Org, n.User, text)
				if keep && old != nil {
					r.Generation = old.Generation
				}
				return &r, nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			if known != nil && keep {
				known.text = text
			} else {
				known = &modelUser{text: text, generation: stored.Generation, quotas: make(map[string]limiter.Reservation)}
				if stored.Generation <= highest {
					rt.Fatalf("generation %d after %d", stored.Generation, highest)
				}
				highest = stored.Generation
			}
			users[n] = known
			if stored.Generation != known.generation || stored.Session.Alias != text {
				rt.Fatalf("stored %+v, want %+v", stored, known)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write afresh":   func(rt *rapid.T) { write(rt, false) },
			"write and keep": func(rt *rapid.T) { write(rt, true) },
			"delete": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				if _, err := s.Update(n.Org, n.User, func(*session.Record) (*session.Record, error) { return nil, nil }); err != nil {
					rt.Fatal(err)
				}
				delete(users, n)
			},
			"refuse": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				mine := errors.New("mine")
				if _, err := s.Update(n.Org, n.User, func(*session.Record) (*session.Record, error) { return &session.Record{}, mine }); err != mine {
					rt.Fatal(err)
				}
			},
			"reserve": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				ask := limiter.Ask{
					Want: rapid.Int64Range(-5, 5).Draw(rt, "want"),
					Seen: limiter.Reservation{
						Generation: rapid.Uint64Range(0, highest+1).Draw(rt, "generation"),
						Start:      rapid.Int64Min(0).Draw(rt, "start"),
						Reserved:   rapid.Int64Min(0).Draw(rt, "reserved"),
					},
					Max:     rapid.Int64Min(1).Draw(rt, "max"),
					Renewal: rapid.Int64Min(0).Draw(rt, "renewal"),
					Wall:    rapid.Int64().Draw(rt, "wall"),
				}
				known := users[n]
				if known != nil && rapid.Bool().Draw(rt, "of this generation") {
					ask.Seen.Generation = known.generation
				}
				key := limiter.QuotaKey{Org: n.Org, User: n.User, Scope: scope.Draw(rt, "scope")}
				g, err := sendAsk(s, key, ask)
				switch {
				case known != nil && known.generation == ask.Seen.Generation:
					want := known.quotas[key.Scope].Grant(ask, true)
					if err != nil || g != want {
						rt.Fatalf("%+v, %v, want %+v", g, err, want)
					}
					known.quotas[key.Scope] = g.Reservation
				case !errors.Is(err, limiter.ErrStale):
					rt.Fatalf("a stale reservation: %v", err)
				}
			},
			"give back": func(rt *rapid.T) {
				unused := make(map[limiter.QuotaKey]limiter.Ask)
				for n, u := range users {
					if rapid.Bool().Draw(rt, "include") {
						r := limiter.Reservation{Generation: u.generation, Reserved: int64(step)}
						if rapid.Bool().Draw(rt, "stale") {
							r.Generation++
						} else {
							u.quotas[""] = u.quotas[""].Grant(asFound(r), true).Reservation
						}
						unused[limiter.QuotaKey{Org: n.Org, User: n.User}] = asFound(r)
					}
				}
				if err := s.GiveBack(unused); err != nil {
					rt.Fatal(err)
				}
			},
			"policy": func(rt *rapid.T) {
				id := rapid.SampledFrom([]string{"gold", "gol", "golden"}).Draw(rt, "id")
				step++
				var p *session.Policy
				if rapid.Bool().Draw(rt, "delete") {
					delete(policies, id)
				} else {
					policies[id] = float64(step)
					p = &session.Policy{ID: id, Rate: float64(step)}
				}
				if err := s.UpdatePolicy(id, func(*session.Policy, session.PolicyUsers) (*session.Policy, error) { return p, nil }); err != nil {
					rt.Fatal(err)
				}
			},
			"reopen": func(rt *rapid.T) {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if s, err = Open(path, quiet); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				names, err := s.Names(session.Name{}, 1000)
				wanted := slices.SortedFunc(maps.Keys(users), func(a, b session.Name) int {
					return cmp.Or(cmp.Compare(a.Org+boltfile.Separator, b.Org+boltfile.Separator), cmp.Compare(a.User, b.User))
				})
				if err != nil || !slices.Equal(names, wanted) {
					rt.Fatalf("names %v, %v, want %v", names, err, wanted)
				}
				for n, u := range users {
					r, kept, err := s.Load(n.Org, n.User)
					got := make(map[string]limiter.Reservation)
					for _, k := range kept {
						got[k.Scope] = k.Reservation
					}
					if err != nil || r.Session.Alias != u.text || r.Generation != u.generation || !maps.Equal(got, u.quotas) {
						rt.Fatalf("%v: %+v, %+v, %v, want %+v", n, r, kept, err, u)
					}
				}
				list, damaged, err := s.Policies()
				got := make(map[string]float64)
				for _, p := range list {
					got[p.ID] = p.Rate
				}
				if err != nil || damaged != nil || !maps.Equal(got, policies) {
					rt.Fatalf("policies %s, %v, %v, want %v", fmt.Sprint(got), damaged, err, policies)
				}
			},
		})
	})
}
