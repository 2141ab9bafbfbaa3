package password

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/internal/testutil"
)

// Requests with the same user and password share one comparison. Everything that could
// make one of them share another's is tested here, with a hash that stands still while
// the others come.

// Login is one request to the passwords.
type Login struct{ org, User, Password, stored string }

func (l Login) check(p *Passwords) (bool, error) {
	return p.Check(nil, Attempt{Org: l.org, User: []byte(l.User), Password: []byte(l.Password), Hash: l.stored})
}

// Equal attempts share one hash and one answer.
func TestFlightShares(t *testing.T) {
	for _, l := range []Login{
		{"default", "ann", "pw", testutil.Plain("pw")},
		{"default", "ann", "wrong", testutil.Plain("pw")},
		{"default", "absent", "pw", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			hash := &testutil.PlainHash{Gate: make(chan struct{})}
			p, _ := NewPasswords(hash, 8, time.Minute)
			answers := make(chan bool, 50)
			for range 50 {
				go func() {
					matches, err := l.check(p)
					if err != nil {
						t.Error(err)
					}
					answers <- matches
				}()
			}
			synctest.Wait()
			hash.Gate <- struct{}{}
			for range 50 {
				if got := <-answers; got != (l.stored == testutil.Plain(l.Password)) {
					t.Errorf("%+v: %v", l, got)
				}
			}
			if got := hash.Count.Load(); got != 1 {
				t.Errorf("%+v: %d hashes", l, got)
			}
			// Nothing of it is left: the next one hashes again.
			go func() { hash.Gate <- struct{}{} }()
			l.check(p)
			if got := hash.Count.Load(); got != 2 || p.Counts().Open != 0 {
				t.Errorf("%+v: %d hashes, %d flights", l, got, p.Counts().Open)
			}
		})
	}
}

// A leader that is refused for lack of room takes its followers with it, and no other request.
func TestFlightSharesBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &testutil.PlainHash{Gate: make(chan struct{})}
		p, _ := NewPasswords(hash, 1, time.Second)
		go Login{"default", "bob", "pw", testutil.Plain("pw")}.check(p)
		synctest.Wait()
		for range 5 {
			go func() {
				if matches, err := (Login{"default", "ann", "pw", testutil.Plain("pw")}).check(p); matches || err != ErrBusy {
					t.Errorf("%v, %v", matches, err)
				}
			}()
		}
		synctest.Wait()
		if got := p.turns.length(); got != 1 {
			t.Errorf("%d wait for one answer", got)
		}
		time.Sleep(2 * time.Second) // of the bubble
		hash.Gate <- struct{}{}
	})
}

// Two logins that differ in anything do not share, wherever the boundary between their parts lies: in a
// key without lengths, the password "password‖hash" of an unknown user equals the "password" and "hash"
// of a user (Traefik CVE-2026-71326, exporter-toolkit CVE-2022-46146).
func TestT02FlightNames(t *testing.T) {
	p, _ := NewPasswords(&testutil.PlainHash{}, 1, time.Minute)
	names := make(map[flightName]Login)
	note := func(l Login) {
		t.Helper()
		name := p.flightName(Attempt{Org: l.org, User: []byte(l.User), Password: []byte(l.Password), Hash: l.stored})
		if other, taken := names[name]; taken && other != l {
			t.Errorf("%+v and %+v share", l, other)
		}
		names[name] = l
	}
	count := 0
	for _, text := range []string{"annpwhash", "aaaaaaaaa", "\x00\x00\x00\x00\x00\x00\x00\x01a", "default\x00ann\x00pw\x00plain:pw"} {
		n := len(text)
		for i := range n + 1 {
			for j := i; j <= n; j++ {
				for k := j; k <= n; k++ {
					note(Login{text[:i], text[i:j], text[j:k], text[k:]})
					count++
				}
			}
		}
	}
	// As many as there are splits: none of the four texts splits into another's parts.
	distinct := make(map[Login]bool)
	for _, l := range names {
		distinct[l] = true
	}
	if len(distinct) != len(names) || len(names) < count*9/10 {
		t.Errorf("%d splits, %d names", count, len(names))
	}
	// Another process has other names.
	again, _ := NewPasswords(&testutil.PlainHash{}, 1, time.Minute)
	if c := (Attempt{Org: "o", User: []byte("ann"), Password: []byte("pw"), Hash: "s"}); p.flightName(c) == again.flightName(c) {
		t.Error("two processes name a flight alike")
	}
}

// T-03: while ann's right password is being compared, no request with another mixture of her name,
// password and hash gets her answer.
func TestT03FollowersOfAnotherFlight(t *testing.T) {
	leader := Login{"default", "ann", "pw", testutil.Plain("pw")}
	followers := []Login{
		{"default", "absent", "pw" + testutil.Plain("pw"), ""},
		{"default", "ann", "pw" + testutil.Plain("pw"), ""},
		{"default", "annpw", testutil.Plain("pw"), ""},
		{"default", "annpw" + testutil.Plain("pw"), "x", ""},
		{"default", "absent", "pw", ""},
		{"default", "ann", "pw", ""}, // deleted in the meantime
		{"default", "ann", "pw", testutil.Plain("new")},
		{"default", "bob", "pw", testutil.Plain("bob's")},
		{"other", "ann", "pw", ""},
		{"other", "ann", "pw", testutil.Plain("theirs")},
		{"defaulta", "nn", "pw", ""},
		{"default", "an", "npw", ""},
		{"default", "ann", "p", "w" + testutil.Plain("pw")},
		{"default", "ann", testutil.Plain("pw"), testutil.Plain("pw")},
		{"default", "ann", "", testutil.Plain("pw")},
		{"", "defaultann", "pw", ""},
	}
	synctest.Test(t, func(t *testing.T) {
		hash := &testutil.PlainHash{Gate: make(chan struct{})}
		p, _ := NewPasswords(hash, 64, time.Minute)
		done := make(chan bool)
		go func() {
			matches, _ := leader.check(p)
			done <- matches
		}()
		synctest.Wait()
		for i, f := range followers {
			matched := make(chan bool, 1)
			go func() {
				matches, _ := f.check(p)
				matched <- matches
			}()
			synctest.Wait()
			// It has a hash of its own, and waits for that.
			if got := hash.Count.Load(); got != int64(i+2) || len(matched) != 0 {
				t.Errorf("%+v shares with %+v", f, leader)
			}
			defer func() {
				if <-matched {
					t.Errorf("%+v is taken for right", f)
				}
			}()
		}
		close(hash.Gate)
		if !<-done {
			t.Error("ann herself is refused")
		}
	})
}

// T-04: sharing does not reveal whether a user exists. In Traefik (CVE-2026-88010) all unknown users
// shared one flight, so a probe that followed another one returned early if its user did not exist.
func TestT04UnknownShareLikeKnown(t *testing.T) {
	stored := map[string]string{"ann": testutil.Plain("right"), "bob": testutil.Plain("right"), "absent": "", "no one": ""}
	hashes := func(leader, probe Login) int64 {
		leader.stored, probe.stored = stored[leader.User], stored[probe.User]
		var count int64
		synctest.Test(t, func(t *testing.T) {
			hash := &testutil.PlainHash{Gate: make(chan struct{})}
			p, _ := NewPasswords(hash, 8, time.Minute)
			go leader.check(p)
			synctest.Wait()
			go probe.check(p)
			synctest.Wait()
			count = hash.Count.Load()
			close(hash.Gate)
		})
		return count
	}
	for _, c := range []struct {
		name   string
		pair   func(a, b string) (Login, Login)
		hashes int64
	}{
		{"another user, same password", func(a, b string) (Login, Login) {
			return Login{User: a, Password: "pw"}, Login{User: b, Password: "pw"}
		}, 2},
		{"same user, another password", func(a, _ string) (Login, Login) {
			return Login{User: a, Password: "pw"}, Login{User: a, Password: "pw2"}
		}, 2},
		{"same user and password", func(a, _ string) (Login, Login) {
			return Login{User: a, Password: "pw"}, Login{User: a, Password: "pw"}
		}, 1},
		{"another org", func(a, _ string) (Login, Login) {
			return Login{org: "a", User: a, Password: "pw"}, Login{org: "b", User: a, Password: "pw"}
		}, 2},
	} {
		for _, users := range [][2]string{{"ann", "bob"}, {"absent", "no one"}, {"ann", "absent"}, {"absent", "ann"}} {
			if got := hashes(c.pair(users[0], users[1])); got != c.hashes {
				t.Errorf("%s, %s and %s: %d hashes, want %d", c.name, users[0], users[1], got, c.hashes)
			}
		}
	}
}

// A comparison that panics refuses all requests that wait for it, and leaves no slot taken.
func TestFlightPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &panicHash{gate: make(chan struct{})}
		p, _ := NewPasswords(hash, 1, time.Minute)
		l := Login{"default", "ann", "pw", "stored"}
		answers := make(chan string, 3)
		for range 3 {
			go func() {
				defer func() {
					if recover() != nil {
						answers <- "panic"
					}
				}()
				matches, err := l.check(p)
				answers <- fmt.Sprint(matches, err)
			}()
		}
		synctest.Wait()
		close(hash.gate)
		got := make(map[string]int)
		for range 3 {
			got[<-answers]++
		}
		if got["panic"] != 1 || got["false <nil>"] != 2 || p.turns.free != 1 || p.Counts().Open != 0 {
			t.Errorf("%v, %d slots free, %d flights", got, p.turns.free, p.Counts().Open)
		}
	})
}

// panicHash panics when it compares.
type panicHash struct {
	testutil.PlainHash
	gate chan struct{}
}

func (h *panicHash) Matches(string, []byte) bool {
	<-h.gate
	panic("out of luck")
}

// The name of a flight does not depend on the request's bytes: they may belong to another request by
// the time that followers come (T-09).
func TestT09FlightKeepsNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &testutil.PlainHash{Gate: make(chan struct{})}
		p, _ := NewPasswords(hash, 4, time.Minute)
		buffer := []byte("annpw")
		go p.Check(nil, Attempt{Org: "default", User: buffer[:3], Password: bytes.Clone(buffer[3:]), Hash: testutil.Plain("pw")})
		synctest.Wait()
		copy(buffer, "bobpw")
		shared := make(chan bool, 1)
		go func() {
			matches, _ := Login{"default", "ann", "pw", testutil.Plain("pw")}.check(p)
			shared <- matches
		}()
		go func() {
			if matches, _ := (Login{"default", "bob", "pw", ""}).check(p); matches {
				t.Error("bob shares ann's flight")
			}
		}()
		synctest.Wait()
		if got := hash.Count.Load(); got != 2 {
			t.Errorf("%d hashes, want ann's and bob's", got)
		}
		close(hash.Gate)
		if !<-shared {
			t.Error("ann does not share her own flight")
		}
	})
}

// A comparison that machines share is as early as the best of their prefixes.
func TestT117BestOfThoseWhoShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &testutil.PlainHash{Gate: make(chan struct{})}
		p, _ := NewPasswords(hash, 1, time.Minute)
		var group sync.WaitGroup
		ask := func(client, user, password string) {
			group.Go(func() {
				p.Check(nil, Attempt{Client: []byte(client), Hash: testutil.Plain("pw"), Arrived: time.Now(), User: []byte(user), Password: []byte(password)})
			})
			synctest.Wait()
		}
		ask("2001:db8::1", "guess", "guess") // in vain
		ask("2001:db8:1::1", "robot", "pw")
		ask("192.0.2.1", "other", "pw ")
		ask("198.51.100.1", "robot", "pw")
		for range 3 {
			hash.Gate <- struct{}{}
			synctest.Wait()
		}
		group.Wait()
		if got := fmt.Sprint(hash.Take()); got != "[{plain:pw guess} {plain:pw pw} {plain:pw pw }]" {
			t.Error(got)
		}
	})
}

// A password that has become known to be right since the request came needs no hash, and no
// place in the queue.
func TestT117KnownMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &testutil.PlainHash{Gate: make(chan struct{})}
		p, _ := NewPasswords(hash, 1, time.Minute)
		known := false
		l := Attempt{Hash: testutil.Plain("pw"), Arrived: time.Now(), User: []byte("ann"), Password: []byte("pw"), Known: func() bool { return known }}
		go p.Check(nil, Attempt{Hash: testutil.Plain("pw"), User: []byte("bob"), Password: []byte("pw")})
		synctest.Wait()
		waited := make(chan bool, 1)
		go func() {
			matches, _ := p.Check(nil, l)
			waited <- matches
		}()
		synctest.Wait()
		known = true
		other := l
		other.Password = []byte("pw2")
		if matches, err := p.Check(nil, other); !matches || err != nil { // while bob has the slot
			t.Errorf("%v, %v", matches, err)
		}
		hash.Gate <- struct{}{}
		if !<-waited || hash.Count.Load() != 1 {
			t.Errorf("%d hashes", hash.Count.Load())
		}
	})
}
