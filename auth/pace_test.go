package auth

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/password"
	"sidekey/auth/session"
)

// uneven is a hash that takes another time for each stored hash.
type uneven struct {
	plainHash
	takes map[string]time.Duration
}

func (h *uneven) Matches(stored string, password []byte) bool {
	takes, said := h.takes[stored]
	if !said {
		takes = 100 * time.Millisecond // the decoy
	}
	time.Sleep(takes)
	return h.plainHash.Matches(stored, password)
}

// A wrong password is answered at the same moment, to the nanosecond, for all users and all kinds of
// hashes; alone, shared with up to four other requests, and while another password is being hashed.
func TestT11OneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api("orders", "/"))
		hash := &uneven{takes: map[string]time.Duration{
			plain("ten"): 100 * time.Millisecond, plain("twelve"): 400 * time.Millisecond, plain("argon"): 30 * time.Millisecond, plain("other"): 250 * time.Millisecond,
		}}
		for _, name := range []string{"ten", "twelve", "argon", "other"} {
			w.put("default", name, name, nil)
			w.put("default", name+"-inactive", name, func(s *session.Session) { s.IsInactive = true })
			w.put("default", name+"-remembered", name, nil)
		}
		w.put("default", "none", "", nil)
		passwords, err := password.NewPasswords(hash, 1, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		w.set(func(s *Settings) { s.Passwords = passwords })
		passwords.Learn(twelveHash, 400*time.Millisecond)
		for _, name := range []string{"ten", "twelve", "argon", "other"} {
			w.want(name+"-remembered", name, Pass)
		}
		type answer struct {
			leader int
			after  time.Duration
		}
		answers := make(chan answer, 10)
		for round, user := range []string{
			"absent", "absent-else", "none", "ten", "twelve", "argon", "ten-inactive", "twelve-inactive", "argon-inactive", "ten-remembered", "twelve-remembered", "argon-remembered",
		} {
			for leaders := range 5 {
				for _, waits := range []time.Duration{0, 250 * time.Millisecond} {
					if waits > 0 {
						go w.want("other", "wrong", BadCredentials)
						synctest.Wait() // it is being hashed
					}
					for i := range leaders + 1 {
						began := time.Now()
						go func() {
							w.want(user, fmt.Sprint("wrong", round, leaders, waits), BadCredentials)
							answers <- answer{i, time.Since(began)}
						}()
						time.Sleep(10 * time.Millisecond)
					}
					for range leaders + 1 {
						a := <-answers
						// A later request has waited less for its turn.
						want := 900*time.Millisecond + max(0, waits-time.Duration(a.leader)*10*time.Millisecond)
						if a.after != want {
							t.Errorf("%s, %d leaders, %v before them: %+v, want %v", user, leaders, waits, a, want)
						}
					}
					time.Sleep(time.Second)
				}
			}
		}
	})
}
