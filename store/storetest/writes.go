package storetest

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/store"
)

var writePromises = []promise{
	{"a write is published before it is answered", testPublished},
	{"what Read returns is published", testReadPublished},
	{"changes of one user are published in their order", testPublishedInOrder},
}

// When the functions of Notify run, the store has the new state, and the writer has no answer yet.
func testPublished(t *testing.T, h *Harness) {
	s := h.Store
	var answered atomic.Bool
	var found []string
	look := func(what, state string) {
		if answered.Load() {
			t.Errorf("%s was published after the answer", what)
		}
		found = append(found, what+" "+state)
	}
	s.Notify(store.Notify{
		User: func(_, user string) { look(user, alias(s, user)) },
		Policy: func(id string) {
			p, err := s.Policy(id)
			look(id, fmt.Sprint(p != nil, " ", err))
		},
	})
	f := func(write func(), want ...string) {
		t.Helper()
		found = nil
		answered.Store(false)
		write()
		answered.Store(true)
		if !slices.Equal(found, want) {
			t.Errorf("published %q, want %q", found, want)
		}
	}
	f(func() { put(t, s, record("alice", "first")) }, "alice first")
	f(func() { put(t, s, record("alice", "second")) }, "alice second")
	f(func() { remove(t, s, "alice") }, "alice "+auth.ErrNoUser.Error())
	f(func() { setPolicy(t, s, "gold", &session.Policy{ID: "gold"}) }, "gold true <nil>")
	f(func() { setPolicy(t, s, "gold", nil) }, "gold false <nil>")
	f(func() {
		err := s.UpdateMany([]session.Name{{Org: "default", User: "bob"}, {Org: "default", User: "carol"}}, func(i int, _ *session.Record) (*session.Record, error) {
			r := record([]string{"bob", "carol"}[i], "many")
			return &r, nil
		})
		want(t, "update many", err, nil)
	}, "bob many", "carol many")
}

// A reader that comes between a commit and its publication waits for the publication.
func testReadPublished(t *testing.T, h *Harness) {
	s := h.Store
	var readers sync.WaitGroup
	var published atomic.Int64 // number of the last write that was published
	s.Notify(store.Notify{User: func(string, string) {
		asking := make(chan struct{})
		readers.Go(func() {
			close(asking)
			r, _, err := s.Read("default", "alice")
			n, _ := strconv.ParseInt(r.Session.Alias, 10, 64)
			if last := published.Load(); err != nil || n > last {
				t.Errorf("read write %d, the last one published is %d, %v", n, last, err)
			}
		})
		readers.Go(func() {
			<-asking
			names, err := s.Names(session.Name{}, 100)
			if last := published.Load(); err != nil || int64(len(names)) > last+1 {
				t.Errorf("listed %d users, the last write published is %d, %v", len(names), last, err)
			}
		})
		<-asking
		for range 1000 {
			runtime.Gosched()
		}
		published.Add(1)
	}})
	for n := range 20 {
		r := record("alice", strconv.Itoa(n+1))
		if n%2 == 1 {
			r = record(fmt.Sprint("user-", n), "new")
		}
		put(t, s, r)
		readers.Wait()
	}
}

// Two writers take turns with one user. The last state that was published is the state that
// stays.
func testPublishedInOrder(t *testing.T, h *Harness) {
	s := h.Store
	var mu sync.Mutex
	var states []string
	s.Notify(store.Notify{User: func(_, user string) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, alias(s, user))
	}})
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 10 {
				put(t, s, record("alice", fmt.Sprint(w, "-", i)))
			}
		})
	}
	writers.Wait()
	if last := alias(s, "alice"); len(states) != 80 || states[79] != last {
		t.Errorf("%d states were published, the last is %q; %q is stored", len(states), states[len(states)-1], last)
	}
}
