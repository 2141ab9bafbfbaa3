package auth

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/password"
	"sidekey/internal/testutil"
	"sidekey/limiter"
)

// T-103: 5,000 guesses a second, each from another /64, at ten hashes a second. Users who are
// remembered pass at once, users whose password has lapsed within a second even though they share the
// provider of the guesses, and users who log in for the first time, from a prefix of their own, within
// two. bench/flood does the same to the real program.
func TestT103Flood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lasts, ttl = 20 * time.Second, 3 * time.Second
		w := newWorld(t, api("orders", "/"))
		passwords, err := password.NewPasswords(&testutil.SlowHash{Takes: 100 * time.Millisecond}, 1, 500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		settings := *w.checker.Settings()
		settings.Passwords, settings.VerifiedTTL = passwords, ttl
		settings.Failures = password.NewFailures(password.FailureLimits{User: 5, Address: 50, Delay: time.Second, MaxDelay: time.Minute, Forget: time.Hour, Tracked: 10_000})
		begin := time.Now()
		now := func() limiter.Now {
			return limiter.Now{Mono: int64(time.Since(begin)) + 1, Wall: time.Now().UnixNano()}
		}
		checker := NewChecker(w.directory, &settings, now)
		ask := func(client, user, password string) Verdict {
			r := request(user, password)
			r.Client = []byte(client)
			return checker.Check(now(), r)
		}
		users := func(kind string, n int) {
			for i := range n {
				w.put("default", fmt.Sprint(kind, i), "right", nil)
			}
		}
		users("remembered", 20)
		users("lapsed", 5)
		users("newcomer", int(lasts/time.Second))
		own := func(kind string, i int) string {
			if kind == "lapsed" {
				return fmt.Sprintf("2001:db8:ffff:%x::1", i) // in the /32 of the guesses
			}
			return fmt.Sprintf("192.0.2.%d", i)
		}
		for i := range 20 {
			if v := ask(own("remembered", i), fmt.Sprint("remembered", i), "right"); v.Reason != Pass {
				t.Fatal(v.Reason)
			}
		}
		for i := range 5 {
			ask(own("lapsed", i), fmt.Sprint("lapsed", i), "right")
		}

		var group sync.WaitGroup
		end := time.Now().Add(lasts)
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, 2))
			for n := 0; time.Now().Before(end); n++ {
				client, user := fmt.Sprintf("2001:db8:%x:%x::1", random.Uint32()>>16, random.Uint32()>>16), fmt.Sprint("absent", n)
				if n%2 == 0 {
					user = fmt.Sprint("remembered", n%20)
				}
				go ask(client, user, fmt.Sprint("guess", n))
				time.Sleep(time.Second / 5000)
			}
		})
		steady := func(kind string, i int, every, within time.Duration) {
			group.Go(func() {
				for time.Sleep(time.Duration(i) * every / 20); time.Now().Before(end); time.Sleep(every) {
					before := time.Now()
					v := ask(own(kind, i), fmt.Sprint(kind, i), "right")
					if took := time.Since(before); v.Reason != Pass || took > within {
						t.Errorf("%s %d: %v after %v", kind, i, v.Reason, took)
					}
				}
			})
		}
		for i := range 20 {
			steady("remembered", i, 250*time.Millisecond, 5*time.Millisecond)
		}
		for i := range 5 {
			steady("lapsed", i, ttl+time.Second, time.Second)
		}
		for i := range int(lasts/time.Second) - 2 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				began := time.Now()
				v := ask(fmt.Sprintf("198.%d.100.7", i), fmt.Sprint("newcomer", i), "right")
				for ; v.Reason == Busy && time.Since(began) < time.Minute; v = ask(fmt.Sprintf("198.%d.100.7", i), fmt.Sprint("newcomer", i), "right") {
					time.Sleep(v.Retry)
				}
				if took := time.Since(began); v.Reason != Pass || took > 2*time.Second {
					t.Errorf("newcomer %d: %v after %v", i, v.Reason, took)
				}
			})
		}
		group.Wait()
		time.Sleep(time.Minute) // until all guesses are answered
		counts := passwords.Counts()
		if counts.Refused < uint64(lasts/time.Second)*4000 || counts.Waiting != 0 {
			t.Errorf("%+v", counts)
		}
	})
}
