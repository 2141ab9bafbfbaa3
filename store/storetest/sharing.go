package storetest

import (
	"sync"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

var sharingPromises = []promise{
	{"changes made elsewhere are published here", testElsewhere},
	{"several processes share one quota", testSharedQuota},
}

func testElsewhere(t *testing.T, h *Harness) {
	if h.Another == nil {
		t.Log("no other process can have the data of this store")
		return
	}
	s, other := h.Store, h.Another(t)
	states := make(chan string, 10)
	s.Notify(store.Notify{
		User: func(_, user string) { states <- alias(s, user) },
		Policy: func(id string) {
			if p, err := s.Policy(id); err != nil || p == nil {
				states <- "no policy"
			} else {
				states <- "policy " + p.Name
			}
		},
	})
	f := func(want string) {
		t.Helper()
		select {
		case got := <-states:
			if got != want {
				t.Errorf("published %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("%q was not published", want)
		}
	}
	put(t, other, record("alice", "elsewhere"))
	f("elsewhere")
	remove(t, other, "alice")
	f(auth.ErrNoUser.Error())
	setPolicy(t, other, "gold", &session.Policy{ID: "gold", Name: "elsewhere"})
	f("policy elsewhere")
	setPolicy(t, other, "gold", nil)
	f("no policy")
}

// Three processes spend one quota as fast as they can: exactly all of it is used.
func testSharedQuota(t *testing.T, h *Harness) {
	if h.Another == nil {
		t.Log("no other process can have the data of this store")
		return
	}
	const limit = 2000
	alice := put(t, h.Store, record("alice", "x"))
	stores := []store.Store{h.Store, h.Another(t), h.Another(t)}
	var quotas []*limiter.Quota
	for _, s := range stores {
		quotas = append(quotas, limiter.NewQuota(quotaKey("alice", ""), limit, 0, limiter.Reservation{Generation: alice.Generation}, s))
	}
	var mu sync.Mutex
	admitted := 0
	var group sync.WaitGroup
	for _, q := range quotas {
		for range 4 {
			group.Go(func() {
				n := spend(q)
				mu.Lock()
				defer mu.Unlock()
				admitted += n
			})
		}
	}
	group.Wait()
	if admitted != limit {
		t.Errorf("%d of %d were admitted", admitted, limit)
	}
}
