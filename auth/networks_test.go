package auth

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/password"
	"sidekey/internal/testutil"
)

// from asks as user from an address.
func (w *world) from(client, user, password string) Verdict {
	r := request(user, password)
	r.Client = []byte(client)
	return w.check(r)
}

// T-104: guesses at a user who is logged in count against the address that makes them. While that address
// must wait, its right password is refused like a wrong one. The user's own networks pass at any time,
// even if the password must be compared with the hash again.
func TestT104StrangersHaveToWait(t *testing.T) { synctest.Test(t, testStrangersHaveToWait) }

func testStrangersHaveToWait(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.set(func(s *Settings) { s.Failures = password.NewFailures(guessLimits) })
	w.put("default", "ann", "pw", nil)
	for _, own := range []string{"192.0.2.1", "2001:db8:1:2::1"} {
		if v := w.from(own, "ann", "pw"); v.Reason != Pass {
			t.Fatalf("%s: %v", own, v.Reason)
		}
	}
	for _, stranger := range []string{"198.51.100.66", "2001:db8:1:3::1"} {
		w.hash.Count.Store(0)
		for i := range 10_000 {
			if v := w.from(stranger, "ann", fmt.Sprint("guess", i)); v.Reason != BadCredentials && v.Reason != TooManyFailures {
				t.Fatalf("guess %d: %v", i, v.Reason)
			}
		}
		if got := w.hash.Count.Load(); got != int64(guessLimits.User+1) {
			t.Errorf("%d guesses were looked at", got)
		}
		for _, state := range []string{"remembered", "out of date"} {
			wrong, right := w.from(stranger, "ann", "wrong"), w.from(stranger, "ann", "pw")
			if right.Reason != TooManyFailures || fmt.Sprint(right) != fmt.Sprint(wrong) {
				t.Errorf("%s, %s: the right password is told %+v, a wrong one %+v", stranger, state, right, wrong)
			}
			// Failures in the user's own network do not refuse the right password either.
			for i := range 10 {
				w.from("192.0.2.66", "ann", fmt.Sprint("guess", state, i))
			}
			if v := w.from("192.0.2.66", "ann", "wrong"); v.Reason != TooManyFailures {
				t.Errorf("a wrong one in the own network: %v", v.Reason)
			}
			if v := w.from("192.0.2.66", "ann", "pw"); v.Reason != Pass {
				t.Errorf("the right one in the own network: %v", v.Reason)
			}
			for _, own := range []string{"192.0.2.1", "192.0.2.77", "[2001:db8:1:2::1]:443", "2001:db8:1:2:3::4"} {
				if v := w.from(own, "ann", "pw"); v.Reason != Pass {
					t.Errorf("%s, %s: %v", own, state, v.Reason)
				}
			}
			if state == "remembered" {
				w.clock.pass(password.Renewals * 5 * time.Minute)
				for i := range guessLimits.User + 1 {
					w.from(stranger, "ann", fmt.Sprint("again", i))
				}
			}
		}
	}
}

// T-104: of many guesses at once at a user who is logged in, the right one among them, as few are looked
// at as of guesses at another user.
func TestT104AtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api("orders", "/"))
		w.set(func(s *Settings) { s.Failures = password.NewFailures(guessLimits) })
		w.put("default", "ann", "pw", nil)
		w.from("192.0.2.1", "ann", "pw")
		w.hash.Gate = make(chan struct{})
		var group sync.WaitGroup
		for i := range guessLimits.User {
			group.Go(func() { w.from("198.51.100.66", "ann", fmt.Sprint("guess", i)) })
		}
		synctest.Wait()
		if v := w.from("198.51.100.66", "ann", "pw"); v.Reason != TooManyFailures {
			t.Errorf("the right one: %v", v.Reason)
		}
		if v := w.from("192.0.2.1", "ann", "pw"); v.Reason != Pass {
			t.Errorf("ann: %v", v.Reason)
		}
		close(w.hash.Gate)
		group.Wait()
	})
}

// A network that does not have to wait is one more of the user's, without a hash; explaining
// adds none.
func TestT104NewNetworks(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.set(func(s *Settings) { s.Failures = password.NewFailures(guessLimits) })
	w.put("default", "ann", "pw", nil)
	w.from("192.0.2.1", "ann", "pw")
	r := request("ann", "pw")
	r.Client = []byte("203.0.113.1")
	if v, _ := w.checker.Explain(w.clock.now(), r); v.Reason != Pass {
		t.Errorf("explained: %v", v.Reason)
	}
	knows := func() bool {
		return w.directory.Live("default", "ann").remembered.Find([]byte("pw")).KnowsClient(r.Client)
	}
	if knows() {
		t.Error("explaining has added a network")
	}
	if v := w.check(r); v.Reason != Pass || !v.Remembered || !knows() {
		t.Errorf("%v, remembered: %v", v.Reason, v.Remembered)
	}
	if got := w.hash.Count.Load(); got != 1 {
		t.Errorf("%d hashes", got)
	}
	if got := w.checker.Settings().Failures.Tracked(); got != 0 {
		t.Errorf("%d counts", got)
	}
	for range guessLimits.User + 1 {
		w.from("203.0.113.9", "ann", "wrong")
	}
	if v, steps := w.checker.Explain(w.clock.now(), func() *Request { r := request("ann", "pw"); r.Client = []byte("203.0.113.9"); return r }()); v.Reason != Pass {
		t.Errorf("explained, from a network of the user's: %v", steps)
	}
}

// If the proxy reports no address, all requests come from one unknown network, in which clients cannot be
// told apart. A user who logged in there is never locked out by the others.
func TestT104WithoutAddress(t *testing.T) { synctest.Test(t, testWithoutAddress) }

func testWithoutAddress(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.set(func(s *Settings) { s.Failures = password.NewFailures(guessLimits) })
	w.put("default", "ann", "pw", nil)
	w.put("default", "bob", "pw", nil)
	w.want("ann", "pw", Pass)
	for i := range 100 {
		w.ask("ann", fmt.Sprint("guess", i))
		w.ask(fmt.Sprint("absent", i), "guess")
	}
	w.want("ann", "wrong", TooManyFailures)
	w.want("ann", "pw", Pass)
	w.want("bob", "pw", TooManyFailures) // has not logged in
}

// T-117: one account on 64 machines needs one hash when the password lapses and after a
// restart, while others guess, and all machines are let in.
func TestT117OneAccountManyMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const machines = 64
		w := newWorld(t, api("orders", "/"))
		hash := &testutil.SlowHash{Takes: 100 * time.Millisecond}
		passwords, err := password.NewPasswords(hash, 1, 500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		w.set(func(s *Settings) { s.Passwords, s.Failures = passwords, password.NewFailures(guessLimits) })
		w.put("default", "robot", "right", nil)
		for round := range 3 { // a start, and two lapses
			var group sync.WaitGroup
			for i := range 40 { // more than there is room for
				group.Go(func() { w.from(fmt.Sprintf("2001:db8:%d:%d::1", i, round), fmt.Sprint("user", i), "wrong") })
			}
			time.Sleep(10 * time.Millisecond)
			for i := range machines {
				group.Go(func() {
					if v := w.from(fmt.Sprintf("10.0.%d.1", i), "robot", "right"); v.Reason != Pass {
						t.Errorf("round %d, machine %d: %v", round, i, v.Reason)
					}
				})
			}
			group.Wait()
			if got := passwords.Counts(); got.Right != uint64(round+1) {
				t.Errorf("round %d: %+v", round, got)
			}
			w.clock.pass(password.Renewals * 5 * time.Minute)
		}
		if got := passwords.Counts().Open; got != 0 {
			t.Errorf("%d flights", got)
		}
	})
}

// T-04, T-117: a wrong password that several addresses try at once is hashed once, whether the user exists
// or not. It counts against each of the addresses, and each gets its answer at the time that it would get
// it alone.
func TestT117WrongPasswordOfMany(t *testing.T) {
	for _, user := range []string{"ann", "absent"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, api("orders", "/"))
			passwords, err := password.NewPasswords(&testutil.SlowHash{Takes: 100 * time.Millisecond}, 1, 500*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			passwords.Learn(tenHash, 100*time.Millisecond)
			failures := password.NewFailures(guessLimits)
			w.set(func(s *Settings) { s.Passwords, s.Failures = passwords, failures })
			w.put("default", "ann", "right", nil)
			var group sync.WaitGroup
			for i := range 5 {
				group.Go(func() {
					client, began := fmt.Sprintf("10.0.%d.1", i), time.Now()
					if v := w.from(client, user, "wrong"); v.Reason != BadCredentials {
						t.Errorf("%s: %v", client, v.Reason)
					}
					if took := time.Since(began); took != 300*time.Millisecond {
						t.Errorf("%s at %s: answered after %v", user, client, took)
					}
				})
				time.Sleep(10 * time.Millisecond)
			}
			group.Wait()
			if got := passwords.Counts(); got.Wrong != 1 {
				t.Errorf("%+v", got)
			}
			if got := failures.Tracked(); got != 10 {
				t.Errorf("%d counts, want that of each address and that of the user there", got)
			}
		})
	}
}

// An address that must wait does not learn the result of a comparison of others.
func TestT117PenaltyIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api("orders", "/"))
		w.set(func(s *Settings) { s.Failures = password.NewFailures(guessLimits) })
		w.put("default", "ann", "pw", nil)
		for i := range guessLimits.User + 1 {
			w.from("198.51.100.66", "ann", fmt.Sprint("guess", i))
		}
		w.hash.Gate = make(chan struct{})
		done := make(chan Reason, 1)
		go func() { done <- w.from("192.0.2.1", "ann", "pw").Reason }()
		synctest.Wait()
		if v := w.from("198.51.100.66", "ann", "pw"); v.Reason != TooManyFailures {
			t.Errorf("the right one, while it is being compared for another: %v", v.Reason)
		}
		close(w.hash.Gate)
		if got := <-done; got != Pass {
			t.Errorf("the other: %v", got)
		}
	})
}
