package auth

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/password"
	"sidekey/auth/session"
)

// T-52: guesses at a name that does not exist get the same answers, with the same delays, as guesses at
// one that exists.
func TestT52UnknownNamesCount(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.set(func(s *Settings) { s.Failures = password.NewFailures(guessLimits) })
	w.put("default", "ann", "pw", nil)
	w.put("default", "off", "pw", func(s *session.Session) { s.IsInactive = true })
	for i := range 200 {
		var first Verdict
		for j, user := range []string{"ann", "off", "absent"} {
			r := request(user, fmt.Sprint("guess", i))
			r.Client = []byte(fmt.Sprintf("192.0.2.%d", j+1))
			v := w.check(r)
			if j == 0 {
				first = v
			}
			if v.Reason != first.Reason || v.Retry != first.Retry || v.Message != first.Message {
				t.Fatalf("guess %d at %s: %v after %v, at ann: %v after %v", i, user, v.Reason, v.Retry, first.Reason, first.Retry)
			}
		}
		w.clock.pass(300 * time.Millisecond)
	}
}

// T-51: after 100,000 failures from elsewhere, neither a remembered user nor one who logs in from another
// address is refused.
func TestT51NoLockout(t *testing.T) { synctest.Test(t, testNoLockout) }

func testNoLockout(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.set(func(s *Settings) { s.Failures = password.NewFailures(guessLimits) })
	w.put("default", "ann", "pw", nil)
	at := func(client, password string) Verdict {
		r := request("ann", password)
		r.Client = []byte(client)
		return w.check(r)
	}
	refused := 0
	for i := range 100_000 {
		switch v := at("198.51.100.66", fmt.Sprint("guess", i)); v.Reason {
		case TooManyFailures:
			if refused++; v.Retry <= 0 || v.Retry > guessLimits.MaxDelay {
				t.Fatalf("%v", v.Retry)
			}
		case BadCredentials:
		default:
			t.Fatalf("guess %d: %v", i, v.Reason)
		}
		if i == 1000 { // not remembered yet
			if v := at("198.51.100.66", "pw"); v.Reason != TooManyFailures {
				t.Errorf("the right password among the guesses: %v", v.Reason)
			}
			if v := at("192.0.2.1", "pw"); v.Reason != Pass {
				t.Errorf("from another address: %v", v.Reason)
			}
		}
		if i%100 == 0 && i > 1000 {
			if v := at("192.0.2.1", "pw"); v.Reason != Pass {
				t.Fatalf("remembered, after %d: %v", i, v.Reason)
			}
			if v := at("198.51.100.66", "pw"); v.Reason != TooManyFailures {
				t.Fatalf("the right password among the guesses, after %d: %v", i, v.Reason)
			}
		}
	}
	if refused < 99_000 {
		t.Errorf("%d of 100,000 guesses were refused unseen", refused)
	}
	if hashed := w.hash.Count.Load(); hashed > 200 {
		t.Errorf("%d hashes", hashed)
	}
}

// login is one request.
type login struct{ user, password string }

// The same in 100,000 random interleavings, through the whole check.
func TestT03Interleavings(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.set(func(s *Settings) { s.VerifiedTTL = 0 })
	w.put("default", "ann", "pw", nil)
	w.put("default", "bob", "pw2", nil)
	right := []login{{user: "ann", password: "pw"}, {user: "bob", password: "pw2"}}
	wrong := []login{
		{user: "absent", password: "pw" + plain("pw")}, {user: "ann", password: "pw" + plain("pw")}, {user: "ann", password: plain("pw")},
		{user: "absent", password: "pw"}, {user: "bob", password: "pw"}, {user: "ann", password: "pw2"}, {user: "annpw", password: plain("pw")},
		{user: "an", password: "npw"}, {user: "bob", password: plain("pw2")},
	}
	const goroutines, rounds = 8, 100_000 / 8
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(g)))
			for range rounds {
				if random.IntN(2) == 0 {
					l := right[random.IntN(len(right))]
					if v := w.ask(l.user, l.password); v.Reason != Pass || v.Account.User() != l.user {
						t.Errorf("%s: %v", l.user, v.Reason)
						return
					}
					continue
				}
				l := wrong[random.IntN(len(wrong))]
				if v := w.ask(l.user, l.password); v.Reason != BadCredentials {
					t.Errorf("%s with %q: %v", l.user, l.password, v.Reason)
					return
				}
			}
		})
	}
	group.Wait()
}
