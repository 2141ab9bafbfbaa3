package bolt

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

// A commit is published before it is answered, in the order of commits, and what is published
// can be read.
func TestNewsBeforeAnswer(t *testing.T) {
	s := mustOpen(t, newPath(t))
	var mu sync.Mutex
	published := make(map[string]int) // what the last news of a user said
	var order []int
	s.Notify(store.Notify{
		User: func(org, user string) {
			r, _, err := s.Load(org, user)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, auth.ErrNoUser):
				published[user] = -1
			case err != nil:
				t.Errorf("news of %s: %v", user, err)
			default:
				n := number(r.Session.Alias)
				if n < published[user] {
					t.Errorf("%s: news of %d after %d", user, n, published[user])
				}
				published[user] = n
				order = append(order, int(r.Generation))
			}
		},
		Policy: func(id string) {
			p, err := s.Policy(id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || p == nil {
				t.Errorf("news of policy %s: %v, %v", id, p, err)
				return
			}
			published["policy "+id] = int(p.Rate)
		},
	})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			user := fmt.Sprintf("user-%d", w)
			for n := 1; n <= 20; n++ {
				put(t, s, record("default", user, texts(n)))
				mu.Lock()
				if published[user] != n {
					t.Errorf("%s: answered %d while the last news was %d", user, n, published[user])
				}
				mu.Unlock()
				if w == 0 {
					want(t, "policy", s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) {
						return &session.Policy{ID: "gold", Rate: float64(n)}, nil
					}), nil)
					mu.Lock()
					if published["policy gold"] != n {
						t.Errorf("policy: answered %d while the last news was %d", n, published["policy gold"])
					}
					mu.Unlock()
				}
			}
			remove(t, s, "default", user)
			mu.Lock()
			if published[user] != -1 {
				t.Errorf("%s: deleted while the last news was %d", user, published[user])
			}
			mu.Unlock()
		})
	}
	wg.Wait()
	if !slices.IsSorted(order) {
		t.Errorf("news not in the order of the commits: %v", order)
	}
}

// Waiting writers share a commit.
func TestGroupCommit(t *testing.T) {
	s := mustOpen(t, newPath(t))
	release := holdWriter(t, s)
	var wg sync.WaitGroup
	before := s.file.Load().db.Stats()
	const writers = 200
	var queued atomic.Int64
	for i := range writers {
		wg.Go(func() {
			queued.Add(1)
			put(t, s, record("default", fmt.Sprintf("user-%d", i), "x"))
		})
	}
	until(t, "all writers wait", func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return len(s.queue.waiting) == writers
	})
	release()
	wg.Wait()
	// A commit writes pages and a meta page; alone, 200 writers would make 200 times that.
	after := s.file.Load().db.Stats()
	if writes := after.TxStats.GetWrite() - before.TxStats.GetWrite(); writes > 100 {
		t.Errorf("%d writers made %d writes of pages", writers, writes)
	}
	names, err := s.Names(session.Name{}, 1000)
	if err != nil || len(names) != writers+1 {
		t.Errorf("%d names, %v", len(names), err)
	}
}

// An edit that refuses changes nothing for the writers that share its commit, and is not
// published.
func TestRefusedInOneCommit(t *testing.T) {
	s := mustOpen(t, newPath(t))
	var news sync.Map
	s.Notify(store.Notify{User: func(_, user string) { news.Store(user, true) }, Policy: func(string) {}})
	mine := errors.New("mine")
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			user := fmt.Sprintf("user-%d", i)
			_, err := s.Update("default", user, func(*session.Record) (*session.Record, error) {
				if i%3 == 0 {
					return nil, mine
				}
				r := record("default", user, texts(i))
				return &r, nil
			})
			if (i%3 == 0) != (err == mine) {
				t.Errorf("%s: %v", user, err)
			}
		})
	}
	wg.Wait()
	for i := range 60 {
		user := fmt.Sprintf("user-%d", i)
		r, _, err := s.Load("default", user)
		_, told := news.Load(user)
		if i%3 == 0 {
			want(t, user, err, auth.ErrNoUser)
		} else if err != nil || number(r.Session.Alias) != i {
			t.Errorf("%s: %+v, %v", user, r, err)
		}
		if told != (i%3 != 0) {
			t.Errorf("%s: news %t", user, told)
		}
	}
}

// Close writes what was queued before it, and refuses later writes.
func TestCloseWritesWhatIsQueued(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	release := holdWriter(t, s)
	wg, results := queueWriters(t, s, 50)
	wg.Go(func() { mustClose(t, s) })
	until(t, "the queue is closed", func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return s.queue.closed
	})
	_, err := s.Update("default", "late", func(*session.Record) (*session.Record, error) { return nil, nil })
	want(t, "late write", err, auth.ErrStoreDown)
	want(t, "late reservation", reserve(s, limiter.QuotaKey{Org: "default", User: "first"}, limiter.Reservation{}), auth.ErrStoreDown)
	want(t, "late give back", s.GiveBack(map[limiter.QuotaKey]limiter.Ask{{}: {}}), auth.ErrStoreDown)
	release()
	wg.Wait()

	for i, err := range results {
		want(t, fmt.Sprintf("queued write %d", i), err, nil)
	}
	_, _, err = s.Load("default", "first")
	want(t, "load from a closed store", err, auth.ErrStoreDown)
	_, err = s.Names(session.Name{}, 1)
	want(t, "names of a closed store", err, auth.ErrStoreDown)
	want(t, "readiness of a closed store", s.Ready(), auth.ErrStoreDown)
	mustClose(t, s)

	s = mustOpen(t, path)
	if names, err := s.Names(session.Name{}, 1000); err != nil || len(names) != len(results)+1 {
		t.Errorf("after a reopen: %d names, %v", len(names), err)
	}
}

// A panic in one edit does not harm the others, and the store goes on.
func TestPanicInEdit(t *testing.T) {
	s := mustOpen(t, newPath(t))
	put(t, s, record("default", "alice", "x"))
	_, err := s.Update("default", "alice", func(*session.Record) (*session.Record, error) { panic("in the edit") })
	if err == nil {
		t.Error("a panic is no success")
	}
	r, _, err := s.Load("default", "alice")
	if err != nil || r.Session.Alias != "x" {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
	put(t, s, record("default", "alice", "y"))
}

// More than one commit can take.
func TestManyAtOnce(t *testing.T) {
	s := mustOpen(t, newPath(t))
	alice := put(t, s, record("default", "alice", "x"))
	release := holdWriter(t, s)
	var wg sync.WaitGroup
	const n = 2*maxPerCommit + 10
	var answers atomic.Int64
	wg.Add(n)
	for i := range n {
		key := limiter.QuotaKey{Org: "default", User: "alice", Scope: fmt.Sprint(i)}
		s.Reserve(key, asFound(limiter.Reservation{Generation: alice.Generation, Reserved: 1}), func(_ limiter.Grant, err error) {
			want(t, "reserve", err, nil)
			answers.Add(1)
			wg.Done()
		})
	}
	release()
	wg.Wait()
	if _, kept, err := s.Load("default", "alice"); err != nil || len(kept) != n || answers.Load() != n {
		t.Errorf("%d kept, %d answers, %v, want %d", len(kept), answers.Load(), err, n)
	}
}

// An edit of a user that waits behind an edit of a policy sees that edit published, also if both
// could go into one commit: no user is given a policy that is being deleted.
func TestPolicyBeforeUsers(t *testing.T) {
	s := mustOpen(t, newPath(t))
	var inForce atomic.Bool
	inForce.Store(true)
	s.Notify(store.Notify{User: func(string, string) {}, Policy: func(string) { inForce.Store(false) }})
	waiting := func() int {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return len(s.queue.waiting)
	}
	release := holdWriter(t, s)
	var done sync.WaitGroup
	done.Go(func() {
		want(t, "delete", s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) { return nil, nil }), nil)
	})
	until(t, "the deletion waits", func() bool { return waiting() == 1 })
	var saw bool
	done.Go(func() {
		s.Update("default", "alice", func(*session.Record) (*session.Record, error) {
			saw = inForce.Load()
			r := record("default", "alice", "has the policy")
			return &r, nil
		})
	})
	until(t, "the edit waits", func() bool { return waiting() == 2 })
	release()
	done.Wait()
	if saw {
		t.Error("the edit that counts was made while the deleted policy was in force")
	}
}
