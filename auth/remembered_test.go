package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/password"
	"sidekey/auth/session"
	"sidekey/internal/problem"
)

// A right password is hashed once, a wrong one each time, and the one does not disturb
// the memory of the other.
func TestRememberedCostsNoHash(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", nil)
	hashes := func(want int64) {
		t.Helper()
		if got := w.hash.Count.Swap(0); got != want {
			t.Errorf("%d hashes, want %d", got, want)
		}
	}
	for range 10 {
		w.want("ann", "pw", Pass)
	}
	hashes(1)
	for range 10 {
		w.want("ann", "wrong", BadCredentials)
		w.want("absent", "pw", BadCredentials)
		w.want("absent", "wrong", BadCredentials)
	}
	hashes(30)
	for range 10 {
		w.want("ann", "pw", Pass)
	}
	hashes(0)
}

// It is forgotten when its time is over without a use. Uses prolong it, up to a bound.
func TestRememberedTTL(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", nil)
	const ttl = 5 * time.Minute
	w.set(func(s *Settings) { s.VerifiedTTL = ttl })
	f := func(wait time.Duration, want int64) {
		t.Helper()
		w.clock.pass(wait)
		w.want("ann", "pw", Pass)
		if got := w.hash.Count.Swap(0); got != want {
			t.Errorf("after %v more: %d hashes, want %d", wait, got, want)
		}
	}
	f(0, 1)
	f(2*time.Minute, 0) // too early to renew it
	f(3*time.Minute-1, 0)
	f(ttl-1, 0) // the use before prolonged it
	f(ttl, 1)   // the one before as well, but not long enough
	for range password.Renewals - 1 {
		f(ttl-1, 0)
	}
	f(ttl, 1) // the bound
	f(ttl-1, 0)
	w.want("ann", "wrong", BadCredentials) // no use
	w.hash.Count.Store(0)
	f(ttl, 1)
	f(time.Hour, 1)
	// The wall clock has no say in it.
	w.clock.wall.Add(int64(24 * time.Hour))
	f(0, 0)
	w.clock.wall.Add(-int64(48 * time.Hour))
	f(0, 0)
	// Never means never, for what was remembered before as well.
	w.set(func(s *Settings) { s.VerifiedTTL = 0 })
	f(0, 1)
	f(0, 1)
}

// T-103: the password of an active user is compared with the hash once in [password.Renewals] times the
// TTL, with any number of requests, and all requests in between pass at once.
func TestT103UseRenews(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", nil)
	w.set(func(s *Settings) { s.VerifiedTTL = time.Minute })
	const hours = 10
	for range hours * 3600 * 4 {
		w.clock.pass(time.Second / 4)
		w.want("ann", "pw", Pass)
	}
	if got, most := w.hash.Count.Load(), int64(hours*60/password.Renewals+1); got > most || got < most-1 {
		t.Errorf("%d hashes in %d hours, want %d", got, hours, most)
	}
}

// T-06: each write of a user applies to the next check. A password that was remembered under the old
// record is not right any more.
func TestT06EditForgets(t *testing.T) {
	f := func(name string, change func(w *world), want Reason, hashes int64) {
		t.Helper()
		w := newWorld(t, api("orders", "/"), api("shop", "/shop"))
		w.put("default", "ann", "pw", nil)
		w.want("ann", "pw", Pass)
		w.want("ann", "pw", Pass)
		w.hash.Count.Store(0)
		change(w)
		if v := w.ask("ann", "pw"); v.Reason != want {
			t.Errorf("%s: %v, want %v", name, v.Reason, want)
		}
		if got := w.hash.Count.Load(); got != hashes {
			t.Errorf("%s: %d hashes, want %d", name, got, hashes)
		}
	}
	f("nothing", func(w *world) {}, Pass, 0)
	f("published again", func(w *world) { w.directory.Publish("default", "ann") }, Pass, 1)
	f("a new password", func(w *world) { w.put("default", "ann", "new", nil) }, BadCredentials, 1)
	f("a new password, the rest kept", func(w *world) {
		w.edit("default", "ann", func(s *session.Session) { s.BasicAuth.Password = plain("new") })
	}, BadCredentials, 1)
	f("no password", func(w *world) { w.put("default", "ann", "", nil) }, BadCredentials, 1)
	f("deleted", func(w *world) { w.remove("default", "ann") }, BadCredentials, 1)
	f("deleted and created again", func(w *world) {
		w.remove("default", "ann")
		w.put("default", "ann", "new", nil)
	}, BadCredentials, 1)
	f("deleted and created again alike", func(w *world) {
		w.remove("default", "ann")
		w.put("default", "ann", "pw", nil)
	}, Pass, 1)
	f("switched off", func(w *world) { w.edit("default", "ann", func(s *session.Session) { s.IsInactive = true }) }, Inactive, 1)
	f("expired by an edit", func(w *world) { w.edit("default", "ann", func(s *session.Session) { s.Expires = 1 }) }, Expired, 1)
	f("rights taken away", func(w *world) {
		w.edit("default", "ann", func(s *session.Session) { s.AccessRights = map[string]session.Right{"shop": {}} })
	}, APINotGranted, 1)
	f("the store is down", func(w *world) {
		w.memory.fail(ErrStoreDown)
		w.directory.Publish("default", "ann")
	}, Unavailable, 0)
	f("the record is damaged", func(w *world) {
		w.memory.fail(ErrDamaged)
		w.directory.Publish("default", "ann")
	}, BadCredentials, 1)
	f("another user edited", func(w *world) { w.put("default", "bob", "pw", nil) }, Pass, 0)
	f("ann of another org edited", func(w *world) { w.put("other", "ann", "new", nil) }, Pass, 0)
}

// T-05: everything else that decides is checked again while the password is remembered: time, the API,
// the version, the policies, the configuration.
func TestT05RememberedPasswordIsNotADecision(t *testing.T) {
	w := newWorld(t, api("orders", "/"), api("shop", "/shop"))
	orders := map[string]session.Right{"orders": {}}
	w.policies.SetStored("gold", &session.Policy{ID: "gold", OrgID: "default", AccessRights: orders})
	w.put("default", "ann", "pw", func(s *session.Session) { s.Expires, s.ApplyPolicies = w.clock.wall.Load()/1e9+60, []string{"gold"} })
	w.want("ann", "pw", Pass)
	w.want("ann", "pw", Pass)

	shop := request("ann", "pw")
	shop.URI = []byte("/shop/1")
	if v := w.check(shop); v.Reason != APINotGranted {
		t.Errorf("another API: %v", v.Reason)
	}
	off := false
	w.policies.SetStored("gold", &session.Policy{ID: "gold", OrgID: "default", AccessRights: orders, Active: &off})
	w.want("ann", "pw", Inactive)
	w.policies.SetStored("gold", nil)
	w.want("ann", "pw", Inactive)
	w.policies.SetStored("gold", &session.Policy{ID: "gold", OrgID: "default", AccessRights: map[string]session.Right{"shop": {}}})
	w.want("ann", "pw", APINotGranted)
	w.policies.SetStored("gold", &session.Policy{ID: "gold", OrgID: "default", AccessRights: orders})
	w.want("ann", "pw", Pass)
	w.set(func(s *Settings) { s.APIs = mustAPIs(t, api("shop", "/")) })
	w.want("ann", "pw", APINotGranted)
	w.set(func(s *Settings) { s.APIs = mustAPIs(t, api("orders", "/")) })
	w.want("ann", "pw", Pass)
	w.clock.pass(60 * time.Second)
	w.want("ann", "pw", Expired)
	if got := w.hash.Count.Load(); got != 1 {
		t.Errorf("%d hashes: the password itself was remembered all the time", got)
	}
}

// A login that is under way while the user is edited may be answered by the old record. But its password
// is not remembered for the new record, and requests after the edit do not share its answer.
func TestT06EditWhileHashing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api("orders", "/"))
		w.put("default", "ann", "pw", nil)
		w.hash.Gate = make(chan struct{})
		early := make(chan Reason, 1)
		go func() { early <- w.ask("ann", "pw").Reason }()
		synctest.Wait()
		w.edit("default", "ann", func(s *session.Session) { s.BasicAuth.Password = plain("new") })
		late := make(chan Reason, 2)
		go func() { late <- w.ask("ann", "pw").Reason }()
		go func() { late <- w.ask("ann", "pw").Reason }()
		synctest.Wait()
		if got := w.hash.Count.Load(); got != 2 {
			t.Errorf("%d hashes: those who came after the edit share one of their own", got)
		}
		close(w.hash.Gate)
		<-early
		for range 2 {
			if r := <-late; r != BadCredentials {
				t.Errorf("the old password, after the edit: %v", r)
			}
		}
		for range 3 {
			w.want("ann", "pw", BadCredentials)
		}
		w.want("ann", "new", Pass)
	})
}

// The same while checks never stop: once a write is acknowledged, no check passes with the old password,
// and none is refused with the new one.
func TestT06NoLateAdmits(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	const edits = 2000
	w.put("default", "ann", "pw-0", nil)
	var mu sync.RWMutex // held by the writer from its answer until it is noted: no check starts in between
	current := 0
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				n := current
				if v := w.ask("ann", fmt.Sprintf("pw-%d", n)); v.Reason != Pass {
					t.Errorf("the password of edit %d: %v", n, v.Reason)
				}
				if v := w.ask("ann", fmt.Sprintf("pw-%d", n-1)); v.Reason != BadCredentials {
					t.Errorf("the password before edit %d: %v", n, v.Reason)
				}
				mu.RUnlock()
			}
		})
	}
	for i := range edits {
		mu.Lock()
		w.edit("default", "ann", func(s *session.Session) { s.BasicAuth.Password = plain(fmt.Sprintf("pw-%d", i+1)) })
		current = i + 1
		mu.Unlock()
	}
	close(stop)
	group.Wait()
}

// T-01: names and passwords of every length. In Okta's delegated login the name was
// hashed in front of the password by something that reads 72 bytes, so that after one
// good login of a long name any password was right.
func TestT01EveryLength(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	for n := 1; n <= 300; n++ {
		user := strings.Repeat("u", n)
		if n > problem.MaxName {
			if v := w.ask(user, "pw"); v.Reason != MalformedCredentials {
				t.Errorf("%d bytes of name: %v", n, v.Reason)
			}
			continue
		}
		right := strings.Repeat("p", 1+n%72)
		w.put("default", user, right, nil)
		w.want(user, right, Pass)
		for i := range 100 {
			wrong := right + fmt.Sprint(i)
			switch i % 4 {
			case 1:
				wrong = fmt.Sprint(i)
			case 2:
				wrong = right[:len(right)-1] + string(rune('A'+i%26))
			case 3:
				wrong = user + right
			}
			if v := w.ask(user, wrong); v.Reason != BadCredentials {
				t.Fatalf("%d bytes of name, password %q for %q: %v", n, wrong, right, v.Reason)
			}
		}
		w.want(user, right, Pass)
	}
}

// T-02: after a good login, the stored hash is no password, nor is any other way of
// cutting name, password and hash in two.
func TestT02StoredHashIsNoPassword(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", nil)
	w.put("default", "a", "nnpw", nil)
	w.want("ann", "pw", Pass)
	w.want("a", "nnpw", Pass)
	stored := plain("pw")
	for _, text := range []string{"annpw" + stored, "ann" + stored + "pw", stored + "annpw", "defaultannpw", "pwann", stored + stored} {
		for i := 1; i < len(text); i++ {
			user, password := text[:i], text[i:]
			if strings.Contains(user, ":") || user == "a" && password == "nnpw" {
				continue
			}
			if v := w.ask(user, password); v.Reason != BadCredentials {
				t.Errorf("%q with %q: %v", user, password, v.Reason)
			}
		}
	}
	w.want("ann", stored, BadCredentials)
	w.want("ann", stored+"pw", BadCredentials)
}

// T-43: two users with the same password have nothing else in common.
func TestT43SamePassword(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", nil)
	w.put("default", "bob", "pw", nil)
	for _, user := range []string{"ann", "bob"} {
		if v := w.want(user, "pw", Pass); v.Account.User() != user {
			t.Errorf("%s became %s", user, v.Account.User())
		}
	}
	w.put("default", "ann", "new", nil)
	w.want("ann", "pw", BadCredentials)
	w.want("bob", "pw", Pass)
	w.remove("default", "ann")
	w.want("ann", "pw", BadCredentials)
	w.want("ann", "new", BadCredentials)
	w.want("bob", "pw", Pass)
	w.hash.Lenient = true
	w.want("ann", "pw", BadCredentials) // not even if the comparison says yes
}
