package auth

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidekey/auth/session"
	"sidekey/limiter"
)

// Of many refusals at once exactly one is news.
func TestNewsAtOnce(t *testing.T) {
	const rounds, callers = 20_000, 2
	n := new(notices)
	var news [rounds]atomic.Int64
	var there atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for round := range rounds {
				// All begin a round at the same moment.
				for there.Add(1); there.Load() < int64(callers*(round+1)); {
					runtime.Gosched()
				}
				v := Verdict{Reason: RateExceeded, Rate: limiter.RateState{Per: time.Minute}, notices: n}
				if v.News(limiter.Now{Mono: int64(round+1) * int64(time.Minute)}) {
					news[round].Add(1)
				}
			}
		})
	}
	group.Wait()
	for round := range rounds {
		if got := news[round].Load(); got != 1 {
			t.Fatalf("round %d: %d are news", round, got)
		}
	}
}

// A wrong password names its user, to logs; a right one recognises it, too.
func TestNamed(t *testing.T) {
	w := newWorld(t, api("rest", "/"))
	w.put("default", "alice", "pw", func(s *session.Session) { s.EnableDetailedRecording, s.Alias, s.Tags = true, "A", []string{"t"} })
	f := func(user, password string, recognised, named bool) {
		t.Helper()
		v := w.ask(user, password)
		if (v.Account != nil) != recognised || (v.Named != nil) != named {
			t.Errorf("%s, %s: %+v", user, password, v)
		}
	}
	f("alice", "pw", true, true)
	f("alice", "wrong", false, true)
	f("absent", "pw", false, false)
	a := w.ask("alice", "pw").Account
	if !a.Detailed() || string(a.Alias()) != "A" || a.Tags()[0] != "t" || len(a.Policies()) != 0 {
		t.Errorf("got %v %q %q %q", a.Detailed(), a.Alias(), a.Tags(), a.Policies())
	}
}

// Triggers that are never reached are accepted with a warning, as Tyk accepts them; too many are
// refused.
func TestValidateTriggers(t *testing.T) {
	rules := session.Rules{APIs: mustAPIs(t, api("rest", "/")), Policies: session.NewPolicies(nil), AllowEmptyRights: true}
	f := func(limits []float64, want string) {
		t.Helper()
		s := session.Session{OrgID: "default", Monitor: session.Monitor{TriggerLimits: limits}}
		warnings, err := s.Validate(rules, 0)
		got := strings.Join(warnings, "\n")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%v: got %q, want %q", limits, got, want)
		}
	}
	f(nil, "")
	f([]float64{80, 0.5, 100}, "")
	f([]float64{80, 0, 120, -1}, "monitor.trigger_limits[1] = 0: never reached; must be a percentage above 0 and up to 100\n"+
		"monitor.trigger_limits[2] = 120: never reached; must be a percentage above 0 and up to 100\n"+
		"monitor.trigger_limits[3] = -1: never reached; must be a percentage above 0 and up to 100")
	f(make([]float64, 101), "monitor.trigger_limits: must have at most 100 percentages, not 101")
}
