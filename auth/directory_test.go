package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth/session"
	"sidekey/limiter"
)

func mustMeta(t testing.TB, object string) map[string]jsontext.Value {
	t.Helper()
	s, _, err := session.DecodeSession([]byte(`{"meta_data":` + object + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return s.MetaData
}

// Loaded when it is asked for the first time, and not again; a name that does not exist
// leaves nothing behind, however often it is asked for.
func TestDirectoryFind(t *testing.T) {
	w := newWorld(t)
	d := w.directory
	for i := range 5000 {
		w.memory.write(session.Record{Org: "default", User: fmt.Sprint("user", i)})
	}
	for round := range 2 {
		for i := range 5000 {
			name := fmt.Sprint("user", i)
			a, err := d.Find("default", []byte(name))
			if err != nil || a.User() != name || a.Org() != "default" {
				t.Fatalf("%s: %v, %v", name, a, err)
			}
		}
		if w.memory.loaded() != 5000 || d.Active() != 5000 {
			t.Errorf("round %d: %d loaded, %d active", round, w.memory.loaded(), d.Active())
		}
	}
	for i := range 10_000 {
		for _, org := range []string{"default", "other", ""} {
			if a, err := d.Find(org, []byte(fmt.Sprint("absent", i))); a != nil || !errors.Is(err, ErrNoUser) {
				t.Fatalf("%v, %v", a, err)
			}
		}
	}
	if a, err := d.Find("other", []byte("user1")); a != nil || !errors.Is(err, ErrNoUser) {
		t.Errorf("%v, %v", a, err)
	}
	if d.Active() != 5000 {
		t.Errorf("%d active", d.Active())
	}
	entries := 0
	table := d.table.Load()
	for i := range table.chains {
		for e := table.chains[i].Load(); e != nil; e = e.next.Load() {
			entries++
		}
	}
	if entries != 5000 || len(table.chains) < 4096 {
		t.Errorf("%d entries in %d chains", entries, len(table.chains))
	}
}

// Two different names are two users wherever the org ends and the name begins.
func TestDirectoryNames(t *testing.T) {
	w := newWorld(t)
	names := []session.Name{{Org: "a", User: "bc"}, {Org: "ab", User: "c"}, {Org: "", User: "abc"}, {Org: "abc", User: ""}, {Org: "a", User: "b\x00c"}, {Org: "a\x00b", User: "c"}}
	for i, n := range names {
		w.memory.write(session.Record{Org: n.Org, User: n.User, Session: session.Session{Alias: strconv.Itoa(i)}})
	}
	for range 2 {
		for i, n := range names {
			a, err := w.directory.Find(n.Org, []byte(n.User))
			if err != nil || identity(a, "X-Auth-Alias") != strconv.Itoa(i) {
				t.Errorf("%q: %v", n, err)
			}
		}
	}
	// Also where two names have the same hash.
	hash := w.directory.hash("a", []byte("bc"))
	for _, n := range []session.Name{{Org: "b", User: "bc"}, {Org: "", User: "bc"}, {Org: "a", User: "bd"}, {Org: "ab", User: "c"}} {
		if e := w.directory.find(hash, n.Org, []byte(n.User)); e != nil {
			t.Errorf("%q was found as %q of %q", n, e.account.Load().User(), e.account.Load().Org())
		}
	}
}

// An error of the store is passed on and remembered nowhere.
func TestDirectoryErrors(t *testing.T) {
	w := newWorld(t)
	w.memory.write(session.Record{Org: "default", User: "ann"})
	for _, want := range []error{ErrStoreDown, ErrDamaged, ErrNoUser, errors.New("something else")} {
		w.memory.fail(want)
		if a, err := w.directory.Find("default", []byte("ann")); a != nil || !errors.Is(err, want) {
			t.Errorf("%v, %v; want %v", a, err, want)
		}
		if w.directory.Active() != 0 || w.directory.Live("default", "ann") != nil {
			t.Errorf("%v left something behind", want)
		}
	}
	w.memory.fail(nil)
	if a, err := w.directory.Find("default", []byte("ann")); a == nil || err != nil {
		t.Errorf("%v, %v", a, err)
	}
	if w.directory.Live("default", "ann") == nil || w.directory.Live("default", "bob") != nil {
		t.Error("who is live?")
	}
}

func TestDirectoryPublish(t *testing.T) {
	w := newWorld(t)
	d := w.directory
	find := func() *Account {
		t.Helper()
		a, err := d.Find("default", []byte("ann"))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	// Of a user who is not active: nothing is loaded.
	d.Publish("default", "ann")
	w.put("default", "ann", "pw", nil)
	if w.memory.loaded() != 0 || d.Active() != 0 {
		t.Errorf("%d loaded, %d active", w.memory.loaded(), d.Active())
	}
	before := find()
	w.put("default", "ann", "pw", func(s *session.Session) { s.Alias = "Ann" })
	if after := find(); after == before || identity(after, "X-Auth-Alias") != "Ann" || identity(before, "X-Auth-Alias") != "" {
		t.Error("the change is not there, or it changed an account in use")
	}
	w.remove("default", "ann")
	if a, err := d.Find("default", []byte("ann")); a != nil || !errors.Is(err, ErrNoUser) || d.Active() != 0 {
		t.Errorf("%v, %v, %d active", a, err, d.Active())
	}
	// And again, from the start.
	w.put("default", "ann", "pw", nil)
	find()
	if d.Active() != 1 {
		t.Errorf("%d active", d.Active())
	}
}

// The quota of a user who is deleted, written afresh or cannot be read any more admits no request, not
// even one that found the account before.
func TestDirectoryPublishClosesQuota(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"deleted":       func(w *world) { w.remove("default", "ann") },
		"written":       func(w *world) { w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax = 1000 }) },
		"damaged":       func(w *world) { w.memory.fail(ErrDamaged); w.directory.Publish("default", "ann") },
		"without quota": func(w *world) { w.edit("default", "ann", func(s *session.Session) { s.QuotaMax = -1 }) },
	} {
		w := newWorld(t, api("orders", "/"))
		w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax = 1000 })
		quota := w.want("ann", "pw", Pass).Account.buckets[0].quota
		change(w)
		if r := limiter.Admit(w.clock.now(), limiter.Limits{Quota: quota}); r.Outcome != limiter.QuotaIsStale {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// An edit that keeps quota and rate keeps their state, even if it changes the limits: used requests
// count under the new limit.
func TestDirectoryEditKeepsUse(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", func(s *session.Session) { s.Rate, s.Per, s.QuotaMax = 5, 1000, 10 })
	f := func(change func(s *session.Session), rate, quota int64, want Reason) {
		t.Helper()
		if change != nil {
			w.edit("default", "ann", change)
		}
		v := w.ask("ann", "pw")
		if v.Reason != want || v.Rate.Remaining != rate || v.Quota.Remaining != quota {
			t.Errorf("%v, %d of the rate and %d of the quota remain; want %v, %d and %d", v.Reason, v.Rate.Remaining, v.Quota.Remaining, want, rate, quota)
		}
	}
	f(nil, 4, 9, Pass)
	f(nil, 3, 8, Pass)
	f(func(s *session.Session) { s.Alias = "Ann" }, 2, 7, Pass)
	f(func(s *session.Session) { s.Rate = 4 }, 0, 6, Pass)
	f(nil, 0, 6, RateExceeded)
	f(func(s *session.Session) { s.Rate = 6 }, 1, 5, Pass)
	f(func(s *session.Session) { s.QuotaMax = 6 }, 0, 0, Pass)
	f(func(s *session.Session) { s.Rate, s.Per = 0, 0 }, 0, 0, QuotaExceeded)
	f(func(s *session.Session) { s.QuotaMax = 7 }, 0, 0, Pass)
	f(func(s *session.Session) { s.QuotaMax = -1 }, 0, 0, Pass)
	f(nil, 0, 0, Pass)
	// Taken away and given back: the ledger has kept what was used.
	f(func(s *session.Session) { s.QuotaMax = 8 }, 0, 0, Pass)
	f(nil, 0, 0, QuotaExceeded)
	// A write afresh gives it all back.
	w.put("default", "ann", "pw", func(s *session.Session) { s.Rate, s.Per, s.QuotaMax = 5, 1000, 10 })
	f(nil, 4, 9, Pass)
}

// A new configuration reaches every account, and leaves rate, quota and passwords alone.
func TestDirectorySettings(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	for i := range 100 {
		w.put("default", fmt.Sprint("user", i), "pw", func(s *session.Session) {
			s.Rate, s.Per, s.QuotaMax = 5, 1000, 10
			s.MetaData = mustMeta(t, `{"dev":"d"}`)
		})
		w.want(fmt.Sprint("user", i), "pw", Pass)
	}
	w.hash.Count.Store(0)
	w.setCompiler(w.compiler(map[string]string{"dev": "X-Dev"}))
	for i := range 100 {
		v := w.want(fmt.Sprint("user", i), "pw", Pass)
		if identity(v.Account, "X-Dev") != "d" || v.Rate.Remaining != 3 || v.Quota.Remaining != 8 {
			t.Errorf("user %d: X-Dev %q, %+v, %+v", i, identity(v.Account, "X-Dev"), v.Rate, v.Quota)
		}
	}
	if got := w.hash.Count.Load(); got != 0 {
		t.Errorf("%d hashes", got)
	}
}

// compiling stops the next compilation where it draws its key, after it has read
// policies and configuration and before its account can be found. It returns functions
// that wait until one has stopped there and that let it go on.
func compiling(t *testing.T) (stopped, goOn func()) {
	t.Helper()
	r := &stoppingReader{reader: rand.Reader, stopped: make(chan struct{}), goOn: make(chan struct{})}
	rand.Reader = r
	t.Cleanup(func() { rand.Reader = r.reader })
	return func() { <-r.stopped }, func() { close(r.goOn) }
}

type stoppingReader struct {
	reader        io.Reader
	used          atomic.Bool
	stopped, goOn chan struct{}
}

func (r *stoppingReader) Read(b []byte) (int, error) {
	if !r.used.Swap(true) {
		close(r.stopped)
		<-r.goOn
	}
	return r.reader.Read(b)
}

// begin runs f and gives it every chance to come to its end, which it may not reach
// before others have gone on.
func begin(f func()) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	for range 10_000 {
		select {
		case <-done:
			return done
		default:
			runtime.Gosched()
		}
	}
	return done
}

// A user who is being loaded, from the record as it was, while a new one is published:
// the old one does not come back.
func TestDirectoryPublishWhileLoading(t *testing.T) {
	w := newWorld(t)
	w.memory.write(session.Record{Org: "default", User: "ann", Session: session.Session{Alias: "old"}})
	stopped, goOn := compiling(t)
	first := make(chan struct{})
	go func() {
		w.directory.Find("default", []byte("ann"))
		close(first)
	}()
	stopped()
	published := begin(func() { w.put("default", "ann", "pw", func(s *session.Session) { s.Alias = "new" }) })
	goOn()
	<-published
	if a, err := w.directory.Find("default", []byte("ann")); err != nil || identity(a, "X-Auth-Alias") != "new" {
		t.Errorf("%v: found the %s record", err, identity(a, "X-Auth-Alias"))
	}
	<-first
}

// A user who is being loaded while the configuration changes gets the new one too.
func TestDirectorySettingsWhileLoading(t *testing.T) {
	w := newWorld(t)
	w.memory.write(session.Record{Org: "default", User: "ann", Session: session.Session{MetaData: mustMeta(t, `{"dev":"d"}`)}})
	stopped, goOn := compiling(t)
	loaded := make(chan struct{})
	go func() {
		w.directory.Find("default", []byte("ann"))
		close(loaded)
	}()
	stopped()
	set := begin(func() { w.setCompiler(w.compiler(map[string]string{"dev": "X-Dev"})) })
	goOn()
	<-loaded
	<-set
	a, err := w.directory.Find("default", []byte("ann"))
	if err != nil || identity(a, "X-Dev") != "d" {
		t.Errorf("%v: X-Dev is %q", err, identity(a, "X-Dev"))
	}
}

// A check that begins after a policy was changed sees the change, even if it waits for another check
// that began to load the user before.
func TestDirectoryPolicyWhileLoading(t *testing.T) {
	w := newWorld(t)
	orders := map[string]session.Right{"orders": {}}
	w.policies.SetStored("gold", &session.Policy{ID: "gold", OrgID: "default", AccessRights: orders})
	w.memory.write(session.Record{Org: "default", User: "ann", Session: session.Session{OrgID: "default", ApplyPolicies: []string{"gold"}}})
	stopped, goOn := compiling(t)
	first := make(chan struct{})
	go func() {
		w.directory.Find("default", []byte("ann"))
		close(first)
	}()
	stopped()
	w.policies.SetStored("gold", &session.Policy{ID: "gold", OrgID: "default", AccessRights: orders, IsInactive: true})
	second := make(chan *Account, 1)
	go func() {
		// Straight to where it would come to after it has not found the account.
		a, _ := w.directory.load(w.checker.Settings().Compiler, w.directory.hash("default", []byte("ann")), "default", []byte("ann"))
		second <- a
	}()
	goOn()
	<-first
	if a := <-second; !a.inactive {
		t.Error("the policy that was in force before the check began decides it")
	}
}

// watched is a user whose writes are counted: the alias says which it was.
type watched struct {
	name        session.Name
	begun, done atomic.Int64 // writes; every fifth deletes the user
}

// write makes the nth write of the user and publishes it.
func (u *watched) write(w *world, n int64) {
	u.begun.Store(n)
	switch n % 5 {
	case 0:
		w.memory.delete(u.name)
	default:
		r := session.Record{Org: u.name.Org, User: u.name.User}
		if a := w.directory.Live(r.Org, r.User); a != nil && n%2 == 0 {
			r.Generation = a.generation
		}
		r.Session.Alias = strconv.FormatInt(n, 10)
		w.memory.write(r)
	}
	w.directory.Publish(u.name.Org, u.name.User)
	u.done.Store(n)
}

// look finds the user. It reports whether what it found is older than what was published
// before it began to look.
func (u *watched) look(w *world) (late bool) {
	done := u.done.Load()
	a, err := w.directory.Find(u.name.Org, []byte(u.name.User))
	begun := u.begun.Load()
	if err != nil {
		return begun/5 == done/5 && done%5 != 0 // no write that deletes has begun
	}
	n, _ := strconv.ParseInt(identity(a, "X-Auth-Alias"), 10, 64)
	return n < done
}

// Every check that starts after Publish has returned sees what it published: 100,000
// rounds, while the table grows and others come and go.
func TestDirectoryPublishIsSeen(t *testing.T) {
	const rounds = 100_000
	w := newWorld(t)
	users := []*watched{{name: session.Name{Org: "default", User: "ann"}}, {name: session.Name{Org: "default", User: "bob"}}, {name: session.Name{Org: "other", User: "ann"}}}
	for _, u := range users {
		u.write(w, 1)
	}
	var late, looks atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			for _, u := range users {
				if u.look(w) {
					late.Add(1)
				}
				looks.Add(1)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	group.Go(func() {
		for i := range 12_000 {
			other := session.Name{Org: "default", User: fmt.Sprint("other", i)}
			if i%5 == 4 {
				other.User = fmt.Sprint("other", i-3)
				w.memory.delete(other)
				w.directory.Publish(other.Org, other.User)
				continue
			}
			w.memory.write(session.Record{Org: other.Org, User: other.User})
			w.directory.Find(other.Org, []byte(other.User))
		}
	})
	for round := range int64(rounds) {
		u := users[round%int64(len(users))]
		u.write(w, round/int64(len(users))+2)
		if u.look(w) {
			late.Add(1)
		}
	}
	close(stop)
	group.Wait()
	if late.Load() > 0 || looks.Load() < 1000 {
		t.Errorf("%d of %d and %d looks saw an older record than was published", late.Load(), looks.Load(), rounds)
	}
	if want := 12_000 * 3 / 5; w.directory.Active() < want {
		t.Errorf("%d are active, want %d: the table did not grow", w.directory.Active(), want)
	}
}

// Many goroutines load, publish and find the same few users: Find never returns another user, and no
// user is there twice.
func TestDirectoryConcurrent(t *testing.T) {
	w := newWorld(t)
	d := w.directory
	const users = 50
	for i := range users {
		w.memory.write(session.Record{Org: "default", User: fmt.Sprint("user", i)})
	}
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			for i := range 2000 {
				name := fmt.Sprint("user", (i*7+g)%users)
				switch (i + g) % 8 {
				case 0:
					d.Publish("default", name)
				case 1:
					d.Quotas(session.Record{Org: "default", User: name}, nil, limiter.Now{})
				default:
					if a, err := d.Find("default", []byte(name)); err != nil || a.User() != name {
						t.Errorf("%s: %v, %v", name, a, err)
						return
					}
				}
			}
		})
	}
	group.Go(func() {
		for i := range 20 {
			w.setCompiler(w.compiler(map[string]string{"m": fmt.Sprint("X-", i)}))
			d.Active()
			d.Settle()
		}
	})
	group.Wait()
	if d.Active() != users || len(d.accounts()) != users {
		t.Errorf("%d active, %d accounts", d.Active(), len(d.accounts()))
	}
}

// The live state of quotas is known for active users and for others. Reading it uses and loads nothing.
func TestDirectoryQuotas(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax, s.QuotaRenewalRate = 10, 60 })
	quota := func() limiter.QuotaState {
		t.Helper()
		r, kept, err := w.memory.Load("default", "ann")
		if err != nil {
			t.Fatal(err)
		}
		return w.directory.Quotas(r, kept, w.clock.now())[""]
	}
	if got := quota(); got.Remaining != 10 || got.Renews != 0 || w.directory.Active() != 0 {
		t.Errorf("%+v, %d active", got, w.directory.Active())
	}
	for range 4 {
		w.want("ann", "pw", Pass)
	}
	if got := quota(); got.Remaining != 6 || got.Renews != w.clock.wall.Load()+60e9 {
		t.Errorf("%+v", got)
	}
	// From the disk alone: what is reserved counts as used.
	w.directory = NewDirectory(w.memory, w.compiler(nil))
	if got := quota(); got.Remaining != 6 || w.directory.Active() != 0 {
		t.Errorf("%+v, %d active", got, w.directory.Active())
	}
	w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax = 5 })
	if got := quota(); got.Remaining != 5 || got.Renews != 0 {
		t.Errorf("%+v", got)
	}
}

// An edit of a policy applies to the next request of each of its 100,000 users, and writes none of them.
func TestPolicyEditOfManyUsers(t *testing.T) {
	const users = 100_000
	w := newWorld(t, api("orders", "/"))
	policy := func(rate float64) *session.Policy {
		return &session.Policy{ID: "gold", OrgID: "default", Rate: rate, Per: 3600, AccessRights: map[string]session.Right{"orders": {}}}
	}
	w.policies.SetStored("gold", policy(5))
	limit := func(user string) int64 {
		t.Helper()
		v := w.check(request(user, "pw"))
		if v.Reason != Pass {
			t.Fatalf("%s: %v", user, v.Reason)
		}
		return v.Rate.Limit
	}
	for i := range users {
		user := fmt.Sprint("user", i)
		w.put("default", user, "pw", func(s *session.Session) { s.ApplyPolicies = []string{"gold"} })
		if got := limit(user); got != 5 {
			t.Fatalf("%s: %d", user, got)
		}
	}
	w.memory.mu.Lock()
	before := maps.Clone(w.memory.users)
	w.memory.mu.Unlock()
	w.policies.SetStored("gold", policy(7))
	for i := range users {
		if got := limit(fmt.Sprint("user", i)); got != 7 {
			t.Fatalf("user %d after the edit: %d", i, got)
		}
	}
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	if !maps.EqualFunc(before, w.memory.users, func(a, b session.Record) bool { return a.Generation == b.Generation }) {
		t.Error("users were written")
	}
}
