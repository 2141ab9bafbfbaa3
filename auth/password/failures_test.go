package password

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/internal/testutil"
)

var testLimits = FailureLimits{User: 3, Address: 10, Delay: time.Second, MaxDelay: 16 * time.Second, Forget: time.Hour, Tracked: 1000}

// guesser tries passwords at times that it says.
type guesser struct {
	t testing.TB
	f *Failures
}

// try makes one login at second at, wrong or right, and returns how long it must wait, or 0.
func (g guesser) try(at float64, client, user string, right bool) time.Duration {
	g.t.Helper()
	a, wait := g.f.Begin(Attempt{At: int64(at * 1e9), Client: []byte(client), Org: "default", User: []byte(user)})
	switch {
	case wait > 0:
	case right:
		a.Succeeded()
	default:
		a.Failed()
	}
	return wait
}

func (g guesser) want(at float64, client, user string, right bool, wait time.Duration) {
	g.t.Helper()
	if got := g.try(at, client, user, right); got != wait {
		g.t.Errorf("%v s, %s as %s: waits %v, want %v", at, client, user, got, wait)
	}
}

// A ledger: three failures with one name cost nothing, each further one doubles the wait.
func TestFailuresLedger(t *testing.T) {
	g := guesser{t, NewFailures(testLimits)}
	const s = time.Second
	for range 3 {
		g.want(0, "192.0.2.1", "ann", false, 0)
	}
	g.want(0.1, "192.0.2.1", "ann", false, 0) // the fourth costs a second
	g.want(0.6, "192.0.2.1", "ann", false, s/2)
	g.want(0.6, "192.0.2.1", "ann", true, s/2) // the password is not looked at
	g.want(0.6, "192.0.2.2", "ann", false, 0)  // another address
	g.want(0.6, "192.0.2.1", "bob", false, 0)  // another name
	g.want(1.1, "192.0.2.1", "ann", false, 0)
	g.want(1.1, "192.0.2.1", "ann", false, 2*s)
	g.want(3.1, "192.0.2.1", "ann", false, 0)
	g.want(3.1, "192.0.2.1", "ann", false, 4*s)
	g.want(7.1, "192.0.2.1", "ann", false, 0)
	g.want(15.1, "192.0.2.1", "ann", false, 0)
	g.want(15.1, "192.0.2.1", "ann", false, 16*s)
	g.want(31.1, "192.0.2.1", "ann", false, 0)
	g.want(31.1, "192.0.2.1", "ann", false, 16*s) // the longest
	// A right password starts afresh.
	g.want(47.1, "192.0.2.1", "ann", true, 0)
	g.want(47.1, "192.0.2.1", "ann", false, 0)
	// By now the address has failed 11 times, under any name.
	g.want(47.1, "192.0.2.1", "carl", false, s)
	g.want(48.1, "192.0.2.1", "carl", false, 0)
	g.want(48.1, "192.0.2.1", "dora", false, 2*s)
	g.want(50.1, "192.0.2.1", "dora", true, 0)
	g.want(50.1, "192.0.2.1", "dora", false, 0) // an account of one's own does not pay for others
	g.want(50.1, "192.0.2.1", "emil", false, 4*s)
	// Forgotten an hour after the last.
	g.want(50.1+3601, "192.0.2.1", "emil", false, 0)
	g.want(50.1+3601, "192.0.2.1", "ann", false, 0)
}

// Asking for many at once gains nothing for one name; for all names of an office it is
// nothing bad.
func TestFailuresAtOnce(t *testing.T) {
	g := guesser{t, NewFailures(testLimits)}
	begin := func(user string) (Pending, time.Duration) {
		return g.f.Begin(Attempt{Client: []byte("192.0.2.1"), Org: "default", User: []byte(user)})
	}
	var pending []Pending
	for i := range 10 {
		a, wait := begin("ann")
		if allowed := i < testLimits.User; (wait == 0) != allowed {
			t.Errorf("number %d at once: %v", i, wait)
		}
		pending = append(pending, a)
	}
	for i := range 100 {
		a, wait := begin(fmt.Sprint("user", i))
		if wait != 0 {
			t.Errorf("user %d: waits %v", i, wait)
		}
		pending = append(pending, a)
	}
	for _, a := range pending {
		a.Undecided()
	}
	if len(g.f.counts) != 0 {
		t.Errorf("%d counts of attempts that were not looked at", len(g.f.counts))
	}
}

// The memory is bounded, and the addresses that guess most are forgotten last.
func TestT50FailuresBounded(t *testing.T) {
	g := guesser{t, NewFailures(testLimits)}
	for range 20 {
		g.try(0, "192.0.2.1", "ann", false)
	}
	waits := g.try(0, "192.0.2.1", "ann", false)
	for i := range 20_000 {
		g.try(0, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), fmt.Sprint("user", i), false)
		if n := len(g.f.counts); n > testLimits.Tracked {
			t.Fatalf("%d are tracked", n)
		}
	}
	if got := g.try(0, "192.0.2.1", "ann", false); got == 0 || got != waits {
		t.Errorf("20,000 others later: waits %v, before %v", got, waits)
	}
}

// T-44: a thousand connections from 200 addresses ask without pause for ten hashes a second. A user from
// another address gets in within two seconds.
func TestPasswordFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &testutil.SlowHash{Takes: 100 * time.Millisecond}
		p, err := NewPasswords(hash, 1, 500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		failures := NewFailures(FailureLimits{User: 5, Address: 50, Delay: time.Second, MaxDelay: time.Minute, Forget: time.Hour, Tracked: 100_000})
		begin := time.Now()
		ask := func(client, user, password string) (bool, error) {
			return p.Check(failures, Attempt{
				At: int64(time.Since(begin)), Client: []byte(client), Org: "default", Hash: "stored", Arrived: time.Now(),
				User: []byte(user), Password: []byte(password),
			})
		}
		stop := make(chan struct{})
		for i := range 1000 {
			go func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					ask(fmt.Sprintf("10.0.0.%d", i%200), fmt.Sprint("user", n%7), fmt.Sprint(i, n))
					time.Sleep(200 * time.Millisecond) // 5,000 a second
				}
			}()
		}
		time.Sleep(time.Second)
		for i := range 20 {
			before := time.Now()
			matches, err := ask(fmt.Sprintf("192.0.2.%d", i), "ann", "right")
			if took := time.Since(before); !matches || err != nil || took > 2*time.Second {
				t.Errorf("login %d: %v, %v after %v", i, matches, err, took)
			}
		}
		close(stop)
		time.Sleep(time.Minute)
		failures.mu.Lock()
		defer failures.mu.Unlock()
		if n := len(failures.counts); n > 100_000 {
			t.Errorf("%d counts", n)
		}
	})
}
