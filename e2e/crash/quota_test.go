package crash

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sidekey/store/bolt"
)

// spender is a user whose quota is used up over many crashes, and what the test knows of it.
type spender struct {
	name string
	max  int64

	generation     uint64 // of the record in the database
	admitted, lost int64  // of this generation: answered to the client, and burnt by crashes
	unanswered     atomic.Int64
	fresh          atomic.Int64 // admitted in this process
}

func (s *spender) create(c *connection) error {
	return wantOK(c.do("POST", "/tyk/keys/"+s.name, fmt.Sprintf(
		`{"quota_max": %d, "quota_renewal_rate": 1000000, "basic_auth_data": {"password": %q}}`, s.max, password)))
}

func wantOK(status int, text string, err error) error {
	if err == nil && status != 200 {
		err = fmt.Errorf("answered %d %s", status, text)
	}
	return err
}

// spend sends checks until the process has ended or the quota is used up.
func (s *spender) spend(t testing.TB, c *connection) {
	defer c.close()
	for {
		s.unanswered.Add(1)
		status, text, err := c.ask(s.name, password)
		if err != nil {
			return // it may have been admitted
		}
		s.unanswered.Add(-1)
		switch {
		case status == 200:
			s.fresh.Add(1)
		case status == 403 && strings.Contains(text, "Quota exceeded"):
			return
		case status == 429: // it cannot be recorded in time: nothing is used up, except by a kill
		default:
			t.Errorf("%s was answered %d %s", s.name, status, text)
			return
		}
	}
}

// settle compares the database with the answers to clients. clean says that the process was stopped
// and not killed.
func (s *spender) settle(db *bolt.Store, clean bool) error {
	fresh, unanswered := s.fresh.Swap(0), s.unanswered.Swap(0)
	r, kept, err := db.Load("default", s.name)
	if err != nil {
		return fmt.Errorf("%s: LOST: %w", s.name, err)
	}
	if r.Generation != s.generation { // given back before the first check
		s.generation, s.admitted, s.lost = r.Generation, 0, 0
	}
	s.admitted += fresh
	var reserved int64
	for _, k := range kept {
		reserved = k.Reserved
	}
	burnt := reserved - s.admitted - s.lost
	bound := max(1, s.max/100) + unanswered
	if clean {
		bound = unanswered
	}
	switch {
	case s.admitted > s.max:
		return fmt.Errorf("%s: OVER: %d were admitted of %d", s.name, s.admitted, s.max)
	case reserved > s.max:
		return fmt.Errorf("%s: OVER: %d are reserved of %d", s.name, reserved, s.max)
	case burnt < 0:
		return fmt.Errorf("%s: OVER: %d were admitted and %d lost, but only %d are on disk: the others will be admitted again", s.name, s.admitted, s.lost, reserved)
	case burnt > bound:
		return fmt.Errorf("%s: LOST: %d of %d by one crash, of which %d may be (%d requests had no answer)", s.name, burnt, s.max, bound, unanswered)
	}
	s.lost += burnt
	return nil
}

// Over kills at any moment, no user is admitted more often than the quota allows, and no kill costs
// more than 1 % of it. A clean stop costs nothing.
func TestQuotaOverKills(t *testing.T) {
	v := newVictim(t, memoryDir(t), "")
	random := newRandom(t)
	list := []*spender{
		{name: "three", max: 3}, {name: "fifty", max: 50}, {name: "hundreds", max: 250},
		{name: "thousands", max: 5000}, {name: "many", max: 100_000},
	}
	var admitted, stops int64
	var resets atomic.Int64
	started := time.Now()
	kills := 0
	for round := 0; kills < size(25, 1_000); round++ {
		var k killer
		k.arm(v, 3+random.IntN(150))
		clean := round%10 == 9
		if clean {
			k.at.Store(0)
		}
		if !v.start() && k.killed.Load() == nil {
			t.Fatalf("sidekey does not start:\n%s", v.output.Tail(2000))
		}
		var group sync.WaitGroup
		for _, s := range list {
			giveBack := s.admitted+s.lost >= s.max || random.IntN(10) == 0
			group.Go(func() {
				c := v.admin()
				defer c.close()
				switch {
				case s.generation == 0:
					if s.create(c) != nil {
						return
					}
				case giveBack:
					target, method, body := "/tyk/keys/reset/"+s.name, "POST", ""
					if resets.Add(1)%2 == 0 { // afresh
						target, method = "/tyk/keys/"+s.name, "PUT"
						body = fmt.Sprintf(`{"quota_max": %d, "quota_renewal_rate": 1000000}`, s.max)
					}
					if wantOK(c.do(method, target, body)) != nil {
						return // killed: send nothing in this round
					}
				}
				var connections sync.WaitGroup
				for range 2 {
					connections.Go(func() { s.spend(t, v.check()) })
				}
				connections.Wait()
			})
		}
		process := v.cmd.Process // not that of the next round
		timer := time.AfterFunc(time.Duration(30+random.IntN(150))*time.Millisecond, func() {
			if clean {
				process.Signal(syscall.SIGTERM)
			} else {
				process.Kill()
			}
		})
		group.Wait()
		<-v.exited
		timer.Stop()
		db, err := bolt.Open(v.database(), quiet)
		must(t, err)
		for _, s := range list {
			admitted += s.fresh.Load()
			if s.generation == 0 {
				if r, _, err := db.Load("default", s.name); err != nil {
					continue // never created
				} else {
					s.generation = r.Generation
				}
			}
			if err := s.settle(db, clean); err != nil {
				t.Errorf("round %d, clean %t, killed at %v: %v", round, clean, k.killed.Load(), err)
			}
		}
		must(t, db.Close())
		if clean {
			stops++
		} else {
			kills++
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d kills and %d clean stops, %d requests admitted, %d quotas given back, 0 over, none lost more than 1 %%, in %v",
		kills, stops, admitted, resets.Load(), time.Since(started).Round(time.Second))
}
