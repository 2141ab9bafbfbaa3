package auth

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"sidekey/auth/route"
	"sidekey/auth/session"

	"pgregory.net/rapid"
)

// bounded is a world that holds so many accounts.
func bounded(t testing.TB, most int, apis ...route.API) *world {
	w := newWorld(t, apis...)
	w.directory.Bound(w.clock.now, func() bool { return false })
	w.set(func(s *Settings) { s.MaxActive = most })
	return w
}

// While memory is short, all accounts leave that can, below any bound.
func TestSweepWhileMemoryIsShort(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	short := false
	w.directory.Bound(w.clock.now, func() bool { return short })
	w.set(func(s *Settings) { s.MaxActive = 1000 })
	come := func(from, to int) {
		for i := from; i < to; i++ {
			user := fmt.Sprint("user", i)
			w.put("default", user, "pw", func(s *session.Session) {
				if i < 10 {
					s.Rate, s.Per = 1, 60
				}
			})
			w.want(user, "pw", Pass)
		}
	}
	come(0, 500)
	if got := w.directory.Active(); got != 500 {
		t.Fatalf("%d active while there is enough", got)
	}
	short = true
	come(500, 600)
	if got := w.directory.Active(); got > 100 {
		t.Errorf("%d active: too many have stayed", got)
	}
	for i := range 10 {
		w.want(fmt.Sprint("user", i), "pw", RateExceeded) // whose window is not empty has stayed
	}
	short = false
	come(600, 900)
	if got := w.directory.Active(); got < 300 {
		t.Errorf("%d active: they go on leaving", got)
	}
}

func TestSweepKeepsTheBound(t *testing.T) {
	w := bounded(t, 100, api("orders", "/"))
	for i := range 5000 {
		user := fmt.Sprint("user", i)
		w.put("default", user, "pw", nil)
		w.want(user, "pw", Pass)
		w.want(user, "pw", Pass)
		w.want("absent"+user, "pw", BadCredentials)
		if got := w.directory.Active(); got > 100 {
			t.Fatalf("%d active", got)
		}
	}
	if got := w.directory.Active(); got < 90 {
		t.Errorf("%d active: more have left than had to", got)
	}
	// A user who has left comes back for the price of one hash.
	w.hash.Count.Store(0)
	w.want("user0", "pw", Pass)
	w.want("user0", "pw", Pass)
	if got := w.hash.Count.Load(); got != 1 {
		t.Errorf("%d hashes", got)
	}
}

// A client that knows many names but no password cannot make users leave who come often.
func TestSweepSparesWhoIsLetIn(t *testing.T) {
	w := bounded(t, 100, api("orders", "/"))
	for i := range 3000 {
		w.put("default", fmt.Sprint("user", i), "pw", nil)
	}
	for i := range 3000 {
		if i%20 == 0 {
			for often := range 50 {
				w.want(fmt.Sprint("user", often), "pw", Pass)
			}
			if i == 0 {
				w.hash.Count.Store(0)
			}
		}
		w.want(fmt.Sprint("user", 50+i%2950), "wrong", BadCredentials)
	}
	if got := w.hash.Count.Load(); got != 3000 {
		t.Errorf("%d passwords that were right had to be hashed again", got-3000)
	}
}

// While a window is not empty, its account stays, whatever the bound.
func TestSweepGrowsRatherThanForgets(t *testing.T) {
	w := bounded(t, 10, api("orders", "/"))
	for i := range 200 {
		user := fmt.Sprint("user", i)
		w.put("default", user, "pw", func(s *session.Session) { s.Rate, s.Per = 1, 60 })
		w.want(user, "pw", Pass)
	}
	for i := range 200 {
		w.want(fmt.Sprint("user", i), "pw", RateExceeded)
	}
	if got := w.directory.Active(); got != 200 {
		t.Errorf("%d active", got)
	}
	w.clock.pass(time.Minute)
	for i := range 200 {
		w.put("default", fmt.Sprint("later", i), "pw", nil)
		w.want(fmt.Sprint("later", i), "pw", Pass)
	}
	if got := w.directory.Active(); got > 10 {
		t.Errorf("%d active after their windows are empty", got)
	}
}

// Endpoints that are written twice, and such as have one name in two APIs, leave like all
// others, also after an edit: no window is taken for two.
func TestSweepTakesEachWindowOnce(t *testing.T) {
	w := bounded(t, 1, api("orders", "/"), api("orders:GET", "/other"))
	limit := func(method string) []session.EndpointMethod {
		return []session.EndpointMethod{{Name: method, Limit: session.EndpointLimit{Rate: 5, Per: 60}}}
	}
	w.put("default", "ann", "pw", func(s *session.Session) {
		s.AccessRights = map[string]session.Right{
			"orders":     {Endpoints: []session.Endpoint{{Path: "POST:/x", Methods: limit("GET")}, {Path: "/", Methods: limit("GET")}, {Path: "/", Methods: limit("GET")}}},
			"orders:GET": {Endpoints: []session.Endpoint{{Path: "/x", Methods: limit("POST")}}},
		}
	})
	w.want("ann", "pw", Pass)
	for i := range 2 {
		w.edit("default", "ann", func(s *session.Session) { s.Alias = fmt.Sprint(i) })
	}
	if got := w.want("ann", "pw", Pass).Rate.Remaining; got != 3 {
		t.Errorf("%d are left of 5, want 3", got)
	}
	w.clock.pass(time.Minute)
	for range 2 { // the first time round it is seen to have been let in
		for i := range 3 {
			w.put("default", fmt.Sprint("bob", i), "pw", nil)
			w.want(fmt.Sprint("bob", i), "pw", Pass)
		}
	}
	if w.directory.Live("default", "ann") != nil {
		t.Error("ann has not left")
	}
}

// Nothing of a quota is lost, however often its user leaves, and no request passes that
// would not have passed in a directory without a bound: answers are the same, to the last
// number.
func TestSweepChangesNoAnswer(t *testing.T) {
	sess := rapid.Custom(func(rt *rapid.T) session.Session {
		s := session.Session{
			Rate: float64(rapid.SampledFrom([]int{0, 1, 3, 5000}).Draw(rt, "rate")), Per: float64(rapid.IntRange(1, 20).Draw(rt, "per")),
			QuotaMax: int64(rapid.SampledFrom([]int{-1, 2, 5, 400, 1000}).Draw(rt, "quota")), QuotaRenewalRate: int64(rapid.SampledFrom([]int{0, 30}).Draw(rt, "renewal")),
		}
		s.Monitor.TriggerLimits = rapid.SampledFrom([][]float64{nil, {0.5, 1}, {50, 80, 100}}).Draw(rt, "triggers")
		if rapid.Bool().Draw(rt, "smoothed") {
			s.Smoothing = &session.Smoothing{
				Enabled: true, Threshold: 1, Step: 1, Trigger: float64(rapid.IntRange(0, 2).Draw(rt, "trigger")) / 2,
				Delay: int64(rapid.IntRange(1, 15).Draw(rt, "delay")),
			}
		}
		if rapid.Bool().Draw(rt, "endpoint") {
			s.AccessRights = map[string]session.Right{"orders": {
				Endpoints: []session.Endpoint{{Path: "/", Methods: []session.EndpointMethod{{Name: "GET", Limit: session.EndpointLimit{Rate: 2, Per: 5}}}}},
			}}
		}
		return s
	})
	left := 0
	rapid.Check(t, func(rt *rapid.T) {
		sessions := rapid.SliceOfN(sess, 5, 5).Draw(rt, "sessions")
		worlds := [...]*world{bounded(t, 2, api("orders", "/")), newWorld(t, api("orders", "/"))}
		put := func(user int) {
			for _, w := range worlds {
				w.put("default", fmt.Sprint("user", user), "pw", func(s *session.Session) {
					auth := s.BasicAuth
					*s = sessions[user]
					s.OrgID, s.BasicAuth = "default", auth
				})
			}
		}
		for user := range sessions {
			put(user)
		}
		for range rapid.IntRange(1, 150).Draw(rt, "steps") {
			user := rapid.IntRange(0, len(sessions)-1).Draw(rt, "user")
			switch rapid.IntRange(0, 20).Draw(rt, "what") {
			case 0:
				put(user)
			case 1:
				if sessions[user].Monitor.TriggerLimits != nil {
					break // an edit of who is not there forgets what was told, as a restart does
				}
				most := int64(rapid.IntRange(1, 800).Draw(rt, "another quota"))
				for _, w := range worlds {
					w.edit("default", fmt.Sprint("user", user), func(s *session.Session) { s.QuotaMax = most })
				}
			case 2, 3, 4, 5, 6:
				pause := time.Duration(rapid.SampledFrom([]int{1, 2, 5, 10, 30}).Draw(rt, "seconds")) * time.Second
				for _, w := range worlds {
					w.clock.pass(pause)
				}
			default:
				for range rapid.SampledFrom([]int{1, 1, 2, 8}).Draw(rt, "requests") {
					var got [2]Verdict
					for i, w := range worlds {
						got[i] = w.ask(fmt.Sprint("user", user), "pw")
						got[i].Account, got[i].Named, got[i].API, got[i].notices, got[i].Settings, got[i].Remembered = nil, nil, nil, nil, nil, false
						got[i].Reached = slices.Clip(append([]float64(nil), got[i].Reached...))
					}
					if !reflect.DeepEqual(got[0], got[1]) {
						rt.Fatalf("user %d:\n%+v\n%+v without a bound", user, got[0], got[1])
					}
				}
			}
		}
		left += worlds[1].directory.Active() - worlds[0].directory.Active()
	})
	if left == 0 {
		t.Error("no account has ever left")
	}
}

// The same while requests, edits and sweeps meet: no window admits more than its rate, and each quota
// admits exactly its maximum.
func TestSweepAtOnce(t *testing.T) {
	const users, rate, per, quota = 20, 3, int64(50 * time.Microsecond), 100
	w := bounded(t, 4, api("orders", "/"))
	for i := range users {
		w.put("default", fmt.Sprint("rate", i), "pw", func(s *session.Session) { s.Rate, s.Per = rate, float64(per)/1e9 })
		w.put("default", fmt.Sprint("quota", i), "pw", func(s *session.Session) { s.QuotaMax = quota })
	}
	var mu sync.Mutex // protects both
	admitted := make([][]int64, users)
	var used [users]int
	var group sync.WaitGroup
	stop := make(chan struct{})
	loads := w.memory.loaded()
	group.Go(func() { // time
		for {
			select {
			case <-stop:
				return
			default:
				w.clock.pass(time.Duration(per / 20))
				runtime.Gosched()
			}
		}
	})
	group.Go(func() { // edits that keep everything
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				w.edit("default", fmt.Sprint("rate", i%users), func(s *session.Session) { s.Alias = fmt.Sprint(i) })
				w.edit("default", fmt.Sprint("quota", i%users), func(s *session.Session) { s.Alias = fmt.Sprint(i) })
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	var askers sync.WaitGroup
	for g := range 8 {
		askers.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(g)))
			for range 400 {
				i := random.IntN(users)
				before := w.clock.now().Mono
				if v := w.ask(fmt.Sprint("rate", i), "pw"); v.Reason == Pass {
					after := w.clock.now().Mono
					mu.Lock()
					admitted[i] = append(admitted[i], before, after)
					mu.Unlock()
				}
				switch v := w.ask(fmt.Sprint("quota", i), "pw"); v.Reason {
				case Pass:
					mu.Lock()
					used[i]++
					mu.Unlock()
				case QuotaExceeded, Busy:
				default:
					t.Errorf("%v", v.Reason)
					return
				}
			}
		})
	}
	askers.Wait()
	close(stop)
	group.Wait()
	if got := w.memory.loaded() - loads; got < users*5 {
		t.Errorf("%d loads: no account has left", got)
	}
	for i, list := range admitted {
		// Each passed at one moment between its two times: more than rate that were all
		// within less than per is too many.
		for from := 0; from < len(list); from += 2 {
			within := 0
			for at := 0; at < len(list); at += 2 {
				if list[at] >= list[from] && list[at+1] < list[from]+per {
					within++
				}
			}
			if within > rate {
				t.Fatalf("rate%d: %d in less than its window", i, within)
			}
		}
	}
	for i := range users {
		for v := w.ask(fmt.Sprint("quota", i), "pw"); v.Reason != QuotaExceeded; v = w.ask(fmt.Sprint("quota", i), "pw") {
			if v.Reason == Pass {
				used[i]++
			}
		}
		if used[i] != quota {
			t.Errorf("quota%d: %d of %d passed", i, used[i], quota)
		}
	}
}

// A request that is under way when its account leaves is charged to the one that comes next,
// and counts from the moment that one was loaded.
func TestSweepMeetsARequest(t *testing.T) {
	w := bounded(t, 10, api("orders", "/"))
	w.put("default", "ann", "pw", func(s *session.Session) { s.Rate, s.Per = 1, 10 })
	w.want("ann", "pw", Pass)
	held := w.directory.Live("default", "ann")
	early := w.clock.now()
	w.clock.pass(10 * time.Second)
	w.directory.drop(w.directory.hash("default", []byte("ann")), held, w.clock.now())
	if got := w.directory.Active(); got != 0 {
		t.Fatalf("%d active", got)
	}
	orders := w.checker.Settings().APIs.ByID("orders")
	if v := admit(w.checker, w.clock.now(), orders, held, request("ann", "pw")); v.Reason != retryAccount {
		t.Errorf("an account that has left admits a request: %v", v.Reason)
	}
	next, err := w.directory.Find("default", []byte("ann"))
	if err != nil {
		t.Fatal(err)
	}
	next.remembered.Learn([]byte("pw"), early.Mono, time.Hour, nil) // by another request; hashing takes the time again
	if v := w.checker.Check(early, request("ann", "pw")); v.Reason != Pass {
		t.Errorf("%v", v.Reason)
	}
	w.clock.pass(10*time.Second - 1)
	w.want("ann", "pw", RateExceeded)
	w.clock.pass(1)
	w.want("ann", "pw", Pass)
}
