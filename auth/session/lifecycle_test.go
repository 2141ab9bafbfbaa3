package session

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Patience is how long a test waits for what normally takes milliseconds.
const Patience = 20 * time.Second

func TestRemoveAt(t *testing.T) {
	const never = -1
	deletes := &Policy{PostExpiryAction: "delete"}
	retains := &Policy{PostExpiryAction: "retain", PostExpiryGracePeriod: 7}
	silent := &Policy{PostExpiryGracePeriod: 9}
	for _, c := range []struct {
		name     string
		session  Session
		policies []*Policy
		want     int64
	}{
		{"nothing said", Session{Expires: 50, LastUpdated: "100"}, nil, never},
		{"zero value", Session{}, nil, never},
		{"lifetime", Session{SessionLifetime: 30, LastUpdated: "100"}, nil, 130},
		{"lifetime before expiry", Session{SessionLifetime: 30, Expires: 600, LastUpdated: "100"}, nil, 130},
		{"lifetime and expiry kept", Session{SessionLifetime: 100, Expires: 50, LastUpdated: "100"}, nil, 200},
		{"no lifetime", Session{SessionLifetime: -1, LastUpdated: "100"}, nil, never},
		{"last write unknown", Session{SessionLifetime: 30}, nil, never},
		{"last write unreadable", Session{SessionLifetime: 30, LastUpdated: "2026-01-01"}, nil, never},
		{"lifetime without end", Session{SessionLifetime: math.MaxInt64, LastUpdated: "100"}, nil, never},
		{"delete", Session{PostExpiryAction: "delete", Expires: 50}, nil, 50},
		{"delete, grace does not count", Session{PostExpiryAction: "delete", PostExpiryGracePeriod: 20, Expires: 50}, nil, 50},
		{"delete, never expires", Session{PostExpiryAction: "delete"}, nil, never},
		{"delete, never expires, -1", Session{PostExpiryAction: "delete", Expires: -1}, nil, never},
		{"retain", Session{PostExpiryAction: "retain", PostExpiryGracePeriod: 20, Expires: 50}, nil, 70},
		{"retain, no grace", Session{PostExpiryAction: "retain", Expires: 50}, nil, 50},
		{"retain forever", Session{PostExpiryAction: "retain", PostExpiryGracePeriod: -1, Expires: 50}, nil, never},
		{"retain, never expires", Session{PostExpiryAction: "retain", PostExpiryGracePeriod: 20}, nil, never},
		{"retain, overflow", Session{PostExpiryAction: "retain", PostExpiryGracePeriod: math.MaxInt64, Expires: 50}, nil, never},
		{"the first of both: delete", Session{SessionLifetime: 100, LastUpdated: "100", PostExpiryAction: "delete", Expires: 150}, nil, 150},
		{"the first of both: lifetime", Session{SessionLifetime: 40, LastUpdated: "100", PostExpiryAction: "retain", PostExpiryGracePeriod: 20, Expires: 150}, nil, 140},
		{"retain forever does not stop the lifetime", Session{SessionLifetime: 40, LastUpdated: "100", PostExpiryAction: "retain", PostExpiryGracePeriod: -1, Expires: 50}, nil, 140},
		{"policy deletes", Session{Expires: 50}, []*Policy{deletes}, 50},
		{"policy retains", Session{Expires: 50}, []*Policy{retains}, 57},
		{"session over policy", Session{Expires: 50, PostExpiryAction: "retain", PostExpiryGracePeriod: -1}, []*Policy{deletes}, never},
		{"first policy that says", Session{Expires: 50}, []*Policy{nil, silent, retains, deletes}, 57},
		{"silent policies", Session{Expires: 50}, []*Policy{nil, silent}, never},
		{"policy, never expires", Session{}, []*Policy{deletes}, never},
	} {
		lifetime := c.session.Lifetime()
		at, ever := lifetime.RemoveAt(c.policies)
		if c.want == never && ever || c.want != never && (!ever || at != c.want) {
			t.Errorf("%s: %d, %v, want %d", c.name, at, ever, c.want)
		}
	}
}

// fakeStore is a [Removable] in memory. It records when each record was removed.
type fakeStore struct {
	mu      sync.Mutex
	records map[Name]Record
	removed []time.Time
	before  func(Name) // called before an Update begins
}

func (s *fakeStore) Scan(after Name, n int, f func(Brief)) (last Name, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(s.records), compareNames)
	names = slices.DeleteFunc(names, func(name Name) bool { return compareNames(name, after) <= 0 })
	for _, name := range names[:min(n, len(names))] {
		session := s.records[name].Session
		f(Brief{name, session.BasicAuth.Password, session.Lifetime()})
		last = name
	}
	return last, len(names) > n, nil
}

func compareNames(a, b Name) int {
	return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.User, b.User))
}

func (s *fakeStore) Update(org, user string, edit func(*Record) (*Record, error)) (Record, error) {
	name := Name{org, user}
	if s.before != nil {
		s.before(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var old *Record
	if r, ok := s.records[name]; ok {
		old = &r
	}
	changed, err := edit(old)
	switch {
	case err != nil:
		return Record{}, err
	case changed == nil:
		delete(s.records, name)
		s.removed = append(s.removed, time.Now())
		return Record{}, nil
	}
	s.records[name] = *changed
	return *changed, nil
}

func (s *fakeStore) put(user string, session Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[Name{"default", user}] = Record{Org: "default", User: user, Session: session}
}

func (s *fakeStore) users() (users []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.records {
		users = append(users, name.User)
	}
	slices.Sort(users)
	return users
}

func reap(t *testing.T, s *fakeStore, perSecond int, policies ...Policy) *Policies {
	p := NewPolicies(policies)
	r := &Reaper{Users: s, Policies: func() *Policies { return p }, Every: time.Minute, PerSecond: perSecond, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

// Only records whose time is over are removed, in the round after that.
func TestReaper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		s := &fakeStore{records: make(map[Name]Record)}
		s.put("over", Session{PostExpiryAction: "delete", Expires: now - 1})
		s.put("just-over", Session{PostExpiryAction: "delete", Expires: now})
		s.put("soon", Session{PostExpiryAction: "delete", Expires: now + 90})
		s.put("expired-and-kept", Session{Expires: now - 1000})
		s.put("retained", Session{PostExpiryAction: "retain", PostExpiryGracePeriod: -1, Expires: now - 1000})
		s.put("in-grace", Session{PostExpiryAction: "retain", PostExpiryGracePeriod: 200, Expires: now - 1})
		s.put("old", Session{SessionLifetime: 10, LastUpdated: fmt.Sprint(now - 11)})
		s.put("by-policy", Session{Expires: now - 1, ApplyPolicies: []string{"gone", "short"}})
		s.put("plain", Session{})
		policies := reap(t, s, 100, Policy{ID: "short", PostExpiryAction: "delete"})
		users := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if got := s.users(); !slices.Equal(got, want) {
				t.Errorf("after %d s: %q, want %q", time.Now().Unix()-now, got, want)
			}
		}
		time.Sleep(time.Second)
		users("expired-and-kept", "in-grace", "plain", "retained", "soon")
		time.Sleep(80 * time.Second)
		users("expired-and-kept", "in-grace", "plain", "retained", "soon")
		time.Sleep(60 * time.Second)
		users("expired-and-kept", "in-grace", "plain", "retained")

		// A policy's edit counts, too.
		s.put("by-policy", Session{Expires: now, ApplyPolicies: []string{"short"}})
		policies.SetStored("short", &Policy{ID: "short", PostExpiryAction: "retain", PostExpiryGracePeriod: -1})
		time.Sleep(180 * time.Second)
		users("by-policy", "expired-and-kept", "plain", "retained")
	})
}

// A record that was renewed after the round has read it stays. One that was deleted since is no error.
func TestReaperRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		s := &fakeStore{records: make(map[Name]Record)}
		over := Session{PostExpiryAction: "delete", Expires: now - 1}
		s.put("deleted", over)
		s.put("over", over)
		s.put("renewed", over)
		s.before = func(name Name) {
			switch name.User {
			case "renewed":
				s.put("renewed", Session{PostExpiryAction: "delete", Expires: now + 1_000_000})
			case "deleted":
				s.mu.Lock()
				delete(s.records, name)
				s.mu.Unlock()
			}
		}
		reap(t, s, 100)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := s.users(); !slices.Equal(got, []string{"renewed"}) {
			t.Errorf("left: %q, want only renewed", got)
		}
		if len(s.removed) != 1 {
			t.Errorf("%d removed, want 1", len(s.removed))
		}
	})
}

// However the records that are over lie among the others, no second sees more than
// PerSecond removals.
func TestReaperPace(t *testing.T) {
	const perSecond = 10
	for _, c := range []struct{ others, over int }{{0, 500}, {300, 300}, {20_000, 300}} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeStore{records: make(map[Name]Record)}
			for i := range c.others {
				s.put(fmt.Sprintf("a%06d", i), Session{})
			}
			for i := range c.over {
				s.put(fmt.Sprintf("b%06d", i), Session{PostExpiryAction: "delete", Expires: 1})
			}
			reap(t, s, perSecond)
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if len(s.removed) != c.over {
				t.Errorf("%d of %d removed", len(s.removed), c.over)
			}
			for i := 0; i+perSecond < len(s.removed); i++ {
				if took := s.removed[i+perSecond].Sub(s.removed[i]); took < time.Second*9/10 {
					t.Errorf("%d others: %d removals within %v", c.others, perSecond+1, took)
					return
				}
			}
		})
	}
}

// A reaper that is told to stop does, in the middle of a round.
func TestReaperStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{records: make(map[Name]Record)}
		for i := range 1000 {
			s.put(fmt.Sprintf("u%06d", i), Session{PostExpiryAction: "delete", Expires: 1})
		}
		r := &Reaper{Users: s, Policies: func() *Policies { return NewPolicies(nil) }, Every: time.Minute, PerSecond: 10, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r.Run(ctx)
		if n := len(s.removed); n < 20 || n > 40 {
			t.Errorf("%d removed in 3 s at 10 a second", n)
		}
	})
}
