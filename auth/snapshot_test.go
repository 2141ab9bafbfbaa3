package auth

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/testutil"
)

// New settings are one store: it takes no lock of the directory, and loads and compiles no
// account. Each account is compiled again at its next check.
func TestSetSettingsIsOneStore(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	const users = 200
	for i := range users {
		w.put("default", fmt.Sprint("user", i), "pw", func(s *session.Session) { s.MetaData = mustMeta(t, `{"dev":"d"}`) })
		w.want(fmt.Sprint("user", i), "pw", Pass)
	}
	loads := func() int {
		w.memory.mu.Lock()
		defer w.memory.mu.Unlock()
		return w.memory.loads
	}
	before := loads()
	for i := range w.directory.loading {
		w.directory.loading[i].Lock()
	}
	w.directory.mu.Lock()
	set := make(chan struct{})
	go func() {
		w.setCompiler(w.compiler(map[string]string{"dev": "X-Dev"}))
		close(set)
	}()
	select {
	case <-set:
	case <-time.After(testutil.Patience):
		t.Error("waits for a lock")
	}
	w.directory.mu.Unlock()
	for i := range w.directory.loading {
		w.directory.loading[i].Unlock()
	}
	<-set
	if got := loads(); got != before {
		t.Errorf("%d users were loaded", got-before)
	}
	for i := range 2 * users {
		if v := w.want(fmt.Sprint("user", i%users), "pw", Pass); identity(v.Account, "X-Dev") != "d" {
			t.Fatalf("user %d: X-Dev is %q", i, identity(v.Account, "X-Dev"))
		}
	}
	if got := loads(); got != before+users {
		t.Errorf("%d loads, want one of each of %d users", got-before, users)
	}
}

// An API, the file's policy that grants it, a meta header and the way replies are written change
// together: no request sees a part of each of two configurations.
func TestRequestSeesOneConfiguration(t *testing.T) {
	w := newWorld(t, api("old", "/"))
	var configurations [2]*Settings
	for i, name := range []string{"old", "new"} {
		s := *w.checker.Settings()
		s.APIs = mustAPIs(t, api(name, "/"))
		s.Replies.QuotaStatus = 1 + i
		s.Compiler = w.compiler(map[string]string{name: "X-" + name})
		s.Compiler.Policies = w.policies.WithFile([]session.Policy{{ID: "gold", OrgID: "default", AccessRights: map[string]session.Right{name: {}}}})
		configurations[i] = &s
	}
	w.checker.SetSettings(configurations[0])
	const users = 5
	for i := range users {
		w.put("default", fmt.Sprint("user", i), "pw", func(s *session.Session) {
			s.ApplyPolicies = []string{"gold"}
			s.MetaData = mustMeta(t, `{"old":"old","new":"new"}`)
		})
	}
	var stop atomic.Bool
	var seen [2]atomic.Int64
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := g; !stop.Load(); i++ {
				v := w.ask(fmt.Sprint("user", i%users), "pw")
				if v.Reason != Pass {
					t.Errorf("refused: %v, API %q", v.Reason, v.API.ID)
					return
				}
				n := v.Settings.Replies.QuotaStatus - 1
				if want := []string{"old", "new"}[n]; v.API.ID != want || identity(v.Account, "X-"+want) != want {
					t.Errorf("API %q, X-%s: %q, configuration %d", v.API.ID, want, identity(v.Account, "X-"+want), n)
					return
				}
				seen[n].Add(1)
			}
		})
	}
	for i := 0; i < 90 || (seen[0].Load() == 0 || seen[1].Load() == 0) && !t.Failed(); i++ {
		w.checker.SetSettings(configurations[i%2])
		for before := seen[i%2].Load(); i%9 == 0 && seen[i%2].Load() == before && !t.Failed(); {
			time.Sleep(10 * time.Microsecond)
		}
	}
	stop.Store(true)
	group.Wait()
}

// hooked are headers that call a function in the middle of a check: when they are read for the
// nth time.
type hooked struct {
	Headers
	n int
	f func()
}

func (h *hooked) Header(name string) ([]byte, int) {
	h.read()
	return h.Headers.Header(name)
}

func (h *hooked) Values(name []byte) [][]byte {
	h.read()
	return h.Headers.Values(name)
}

func (h *hooked) read() {
	if h.n--; h.n == 0 {
		h.f()
	}
}

// A request that has found its API when other settings come in force begins again with those:
// the API and the file's policy that grants it belong together.
func TestRequestBeginsAgain(t *testing.T) {
	versioned := func(id string) route.API {
		a := api(id, "/")
		a.Versions, a.VersionHeader = []string{"v1"}, "x-version"
		return a
	}
	w := newWorld(t, versioned("old"))
	settings := func(id string) func(*Settings) {
		return func(s *Settings) {
			s.APIs = mustAPIs(t, versioned(id))
			s.Compiler = w.compiler(nil)
			s.Compiler.Policies = w.policies.WithFile([]session.Policy{{ID: "gold", OrgID: "default", AccessRights: map[string]session.Right{id: {}}}})
		}
	}
	w.set(settings("old"))
	w.put("default", "ann", "pw", func(s *session.Session) { s.ApplyPolicies = []string{"gold"} })
	f := func(explain bool, want string) {
		t.Helper()
		r := request("ann", "pw")
		r.Headers = &hooked{Headers: fakeHeaders{"x-version": {"v1"}}, n: 1, f: func() {
			w.set(settings(want))
			w.directory.Find("default", []byte("ann")) // as another request does
		}}
		var v Verdict
		var steps []Step
		if explain {
			v, steps = w.checker.Explain(w.clock.now(), r)
		} else {
			v = w.check(r)
		}
		if v.Reason != Pass || v.API.ID != want || v.Settings != w.checker.Settings() {
			t.Errorf("%v, API %q, want %q", v.Reason, v.API.ID, want)
		}
		found := 0
		for _, s := range steps {
			if s.Check == UnknownAPI.String() {
				found++
			}
		}
		if explain && found != 1 {
			t.Errorf("explained twice: %v", steps)
		}
	}
	f(false, "new")
	f(true, "newer")
}

// A signed request whose user is edited and that meets new settings, on its way, begins again,
// and is not taken for its own replay.
func TestSignedBeginsAgain(t *testing.T) {
	w := signingWorld(t)
	w.signer("default", "ann", func(s *session.Session) { s.QuotaMax = 100 })
	s := w.by("ann", "secret-of-ann")
	w.wantSigned("once, to load the user", s.request(), Pass)
	w.clock.pass(2 * time.Second)
	r := w.by("ann", "secret-of-ann").request()
	headers := r.Headers
	r.Headers = &hooked{Headers: headers, n: 2, f: func() {
		w.memory.mu.Lock()
		record := w.memory.users[session.Name{Org: "default", User: "ann"}]
		w.memory.mu.Unlock()
		record.Generation = 0
		w.memory.write(record)
		w.directory.Publish("default", "ann")
		w.setCompiler(w.compiler(map[string]string{"dev": "X-Dev"}))
		w.directory.Find("default", []byte("ann")) // as another request does
	}}
	w.wantSigned("edited on its way", r, Pass)
	r.Headers = headers
	w.wantSigned("again", r, BadCredentials)
}

// While the store is down, an account that cannot be compiled again stays in use, with the
// headers of the new configuration; unless its policies have changed. With the store, it is
// compiled.
func TestAccountStaysWithoutStore(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	file := w.policies.WithFile([]session.Policy{{ID: "gold", OrgID: "default", Rate: 10, Per: 1000, AccessRights: map[string]session.Right{"orders": {}}}})
	compiler := func(p *session.Policies, meta map[string]string) *Compiler {
		c := w.compiler(meta)
		c.Policies = p
		return c
	}
	w.setCompiler(compiler(file, map[string]string{"dev": "X-Dev", "gone": "X-Gone"}))
	w.put("default", "ann", "pw", func(s *session.Session) {
		s.ApplyPolicies = []string{"gold"}
		s.MetaData = mustMeta(t, `{"dev":"d","new":"n"}`)
	})
	w.want("ann", "pw", Pass)
	fail := func(err error) {
		w.memory.mu.Lock()
		defer w.memory.mu.Unlock()
		w.memory.failure = err
	}
	fail(ErrStoreDown)
	w.hash.Count.Store(0)
	w.setCompiler(compiler(file, map[string]string{"dev": "X-Developer", "new": "X-New"}))
	f := func(remaining int64, dev, added string) {
		t.Helper()
		v := w.want("ann", "pw", Pass)
		if v.Account == nil {
			return
		}
		if got := identity(v.Account, "X-Developer") + "," + identity(v.Account, "X-New") + "," + identity(v.Account, "X-Gone"); got != dev+","+added+",(no X-Gone)" {
			t.Errorf("headers %s", got)
		}
		if v.Rate.Remaining != remaining {
			t.Errorf("%d of the rate left, want %d", v.Rate.Remaining, remaining)
		}
	}
	f(8, "d", "")
	f(7, "d", "")
	if w.directory.Live("default", "ann") != w.want("ann", "pw", Pass).Account {
		t.Error("the account is made again with every check")
	}
	fail(nil)
	f(5, "d", "n")
	if got := w.hash.Count.Load(); got != 0 {
		t.Errorf("%d hashes", got)
	}

	// A policy that an operator has changed in the file must act.
	fail(fmt.Errorf("%w: no disk", ErrStoreDown))
	changed := file.WithFile([]session.Policy{{ID: "gold", OrgID: "default", IsInactive: true}})
	w.setCompiler(compiler(changed, map[string]string{"dev": "X-Developer"}))
	w.want("ann", "pw", Unavailable)
	fail(nil)
	w.want("ann", "pw", Inactive)

	// A record that is damaged is no store that is down.
	w.setCompiler(compiler(file, nil))
	w.want("ann", "pw", Pass)
	fail(errors.Join(ErrDamaged))
	w.setCompiler(compiler(file, map[string]string{"dev": "X-Dev"}))
	w.want("ann", "pw", BadCredentials)
}

// After a change of the configuration, what is left of a quota is told as exactly as before,
// although no check has come since.
func TestQuotasAfterSettings(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", func(s *session.Session) { s.Rate, s.Per, s.QuotaMax = 100, 1000, 100_000 })
	for range 3 {
		w.want("ann", "pw", Pass)
	}
	w.setCompiler(w.compiler(map[string]string{"dev": "X-Dev"}))
	r, kept, err := w.memory.Load("default", "ann")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.directory.Quotas(r, kept, w.clock.now())[""]; got.Remaining != 100_000-3 {
		t.Errorf("quota: %d left", got.Remaining)
	}
	if got := w.directory.Limits(r, kept, w.clock.now()); got[0].Rate.Remaining != 97 {
		t.Errorf("rate: %d left", got[0].Rate.Remaining)
	}
}

// A held request that meets new settings is decided by those.
func TestRetryByNewSettings(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", func(s *session.Session) {
		s.Rate, s.Per, s.ThrottleInterval, s.ThrottleRetryLimit = 1, 1, 1, 5
	})
	w.want("ann", "pw", Pass)
	r := request("ann", "pw")
	v := w.check(r)
	if v.Throttle == nil {
		t.Fatal("not held")
	}
	held := w.checker.Hold(r, &v)
	w.clock.pass(2 * time.Second)
	w.set(func(s *Settings) {
		s.Compiler = w.compiler(map[string]string{"dev": "X-Dev"})
		closed := api("orders", "/")
		s.APIs = mustAPIs(t, closed, route.API{ID: "rest", Org: "default", ListenPath: "/rest"})
	})
	if v := w.checker.Retry(w.clock.now(), held); v.Reason != Pass || v.Settings != w.checker.Settings() || identity(v.Account, "X-Dev") != "" {
		t.Errorf("%v, X-Dev %q", v.Reason, identity(v.Account, "X-Dev"))
	}
}
