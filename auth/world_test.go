package auth

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/testutil"
	"sidekey/limiter"
)

// No test may leave a request that waits.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Source and a Ledger whose disk is a map.
type memory struct {
	mu         sync.Mutex // protects everything below
	users      map[session.Name]session.Record
	quotas     map[limiter.QuotaKey]limiter.Reservation
	generation uint64 // the last that was given
	loads      int
	failure    error // of every Load
	silent     bool  // reservations wait for answerAll
	unanswered []func()
}

func newMemory() *memory {
	return &memory{users: make(map[session.Name]session.Record), quotas: make(map[limiter.QuotaKey]limiter.Reservation)}
}

func (m *memory) Load(org, user string) (session.Record, []KeptQuota, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	if m.failure != nil {
		return session.Record{}, nil, m.failure
	}
	r, ok := m.users[session.Name{Org: org, User: user}]
	if !ok {
		return session.Record{}, nil, ErrNoUser
	}
	var kept []KeptQuota
	for key, q := range m.quotas {
		if key.Org == org && key.User == user {
			kept = append(kept, KeptQuota{key.Scope, q})
		}
	}
	return r, kept, nil
}

func (m *memory) Hurry() {}

// Reserve grants unless the user was written afresh or deleted since.
func (m *memory) Reserve(key limiter.QuotaKey, ask limiter.Ask, done func(limiter.Grant, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unanswered = append(m.unanswered, func() {
		m.mu.Lock()
		user, ok := m.users[session.Name{Org: key.Org, User: key.User}]
		if !ok || user.Generation != ask.Seen.Generation {
			m.mu.Unlock()
			done(limiter.Grant{}, limiter.ErrStale)
			return
		}
		g := m.quotas[key].Grant(ask, true)
		m.quotas[key] = g.Reservation
		m.mu.Unlock()
		done(g, nil)
	})
	if !m.silent && len(m.unanswered) == 1 {
		go m.answerAll()
	}
}

// answerAll commits the waiting asks in order, and answers later ones at once.
func (m *memory) answerAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = false
	for len(m.unanswered) > 0 {
		answer := m.unanswered[0]
		m.mu.Unlock()
		answer()
		m.mu.Lock()
		m.unanswered = m.unanswered[1:]
	}
}

// Update is write and delete as the store has them.
func (m *memory) Update(org, user string, edit func(old *session.Record) (*session.Record, error)) (session.Record, error) {
	n := session.Name{Org: org, User: user}
	m.mu.Lock()
	old, ok := m.users[n]
	m.mu.Unlock()
	before := &old
	if !ok {
		before = nil
	}
	after, err := edit(before)
	switch {
	case err != nil:
		return session.Record{}, err
	case after == nil:
		m.delete(n)
		return session.Record{}, nil
	}
	m.write(*after)
	stored, _, err := m.Load(org, user)
	return stored, err
}

// write stores a record as the store does: with Generation 0 the user starts afresh.
func (m *memory) write(r session.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Generation == 0 {
		m.generation++
		r.Generation = m.generation
		m.forgetQuotasLocked(r.Name())
	}
	m.users[r.Name()] = r
}

func (m *memory) delete(n session.Name) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetQuotasLocked(n)
	delete(m.users, n)
}

func (m *memory) forgetQuotasLocked(n session.Name) {
	for key := range m.quotas {
		if key.Org == n.Org && key.User == n.User {
			delete(m.quotas, key)
		}
	}
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failure = err
}

func (m *memory) loaded() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loads
}

type plainHash = testutil.PlainHash

func plain(password string) string { return testutil.Plain(password) }

// clock is a source of [limiter.Now] that moves only by pass.
type clock struct{ mono, wall atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.mono.Store(int64(time.Hour))
	c.wall.Store(int64(1_800_000_000 * time.Second))
	return c
}

func (c *clock) now() limiter.Now { return limiter.Now{Mono: c.mono.Load(), Wall: c.wall.Load()} }

func (c *clock) pass(d time.Duration) {
	c.mono.Add(int64(d))
	c.wall.Add(int64(d))
}

// world is a Checker with everything that it asks.
type world struct {
	t         testing.TB
	memory    *memory
	hash      *plainHash
	clock     *clock
	policies  *session.Policies
	directory *Directory
	checker   *Checker
}

func newWorld(t testing.TB, apis ...route.API) *world {
	t.Helper()
	w := &world{t: t, memory: newMemory(), hash: &plainHash{}, clock: newClock(), policies: session.NewPolicies(nil)}
	w.directory = NewDirectory(w.memory, w.compiler(nil))
	w.checker = NewChecker(w.directory, &Settings{
		APIs:             mustAPIs(t, apis...),
		Passwords:        w.passwords(64, time.Minute),
		VerifiedTTL:      5 * time.Minute,
		QuotaWait:        time.Minute,
		AllowEmptyRights: true,
		SignatureSkew:    5 * time.Minute,
		Signatures:       httpsig.NewSpent(1000),
	}, w.clock.now)
	return w
}

func (w *world) compiler(metaHeaders map[string]string) *Compiler {
	return &Compiler{Ledger: w.memory, Policies: w.policies, MetaHeaders: metaHeaders, OpenSecret: openPlain}
}

// openPlain opens a secret that is marked as sealed, without a key.
func openPlain(n session.Name, sealed string) (string, error) {
	secret, found := strings.CutPrefix(sealed, "sealed:"+n.Org+"/"+n.User+":")
	if !found {
		return "", errors.New("sealed for another user")
	}
	return secret, nil
}

func (w *world) passwords(concurrent int, patience time.Duration) *password.Passwords {
	w.t.Helper()
	p, err := password.NewPasswords(w.hash, concurrent, patience)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// set changes the settings in force.
func (w *world) set(change func(s *Settings)) {
	s := *w.checker.Settings()
	change(&s)
	w.checker.SetSettings(&s)
}

// setCompiler puts another compiler in force, as a reload does.
func (w *world) setCompiler(c *Compiler) { w.set(func(s *Settings) { s.Compiler = c }) }

// put writes a user afresh, as POST does.
func (w *world) put(org, user, password string, change func(s *session.Session)) {
	w.t.Helper()
	s := session.Session{OrgID: org}
	if password != "" {
		s.BasicAuth = session.BasicAuth{Password: plain(password), HashType: "plain"}
	}
	if change != nil {
		change(&s)
	}
	w.memory.write(session.Record{Org: org, User: user, Session: s})
	w.directory.Publish(org, user)
}

// edit changes a user and keeps quota and rate, as PUT with suppress_reset=1 does.
func (w *world) edit(org, user string, change func(s *session.Session)) {
	w.t.Helper()
	w.memory.mu.Lock()
	r, ok := w.memory.users[session.Name{Org: org, User: user}]
	w.memory.mu.Unlock()
	if !ok {
		w.t.Fatalf("there is no %s in %s", user, org)
	}
	change(&r.Session)
	w.memory.write(r)
	w.directory.Publish(org, user)
}

func (w *world) remove(org, user string) {
	w.memory.delete(session.Name{Org: org, User: user})
	w.directory.Publish(org, user)
}

// request is a GET of / at example.org, with the password of a user.
func request(user, password string) *Request {
	return &Request{
		Method:             []byte("GET"),
		Host:               []byte("example.org"),
		URI:                []byte("/"),
		Authorization:      []byte(basic(user, password)),
		AuthorizationCount: 1,
		Headers:            fakeHeaders{},
	}
}

func (w *world) check(r *Request) Verdict { return w.checker.Check(w.clock.now(), r) }

// admit decides about a request whose user has been recognised.
func admit(c *Checker, now limiter.Now, api *route.API, a *Account, r *Request) Verdict {
	v := new(Verdict)
	d := c.start(now, r, v)
	d.api, d.account = api, a
	d.admit()
	d.release()
	return *v
}

func (w *world) ask(user, password string) Verdict { return w.check(request(user, password)) }

// want asks, and reports an error unless the reason is want.
func (w *world) want(user, password string, want Reason) Verdict {
	w.t.Helper()
	v := w.ask(user, password)
	if v.Reason != want {
		w.t.Errorf("%s: %v, want %v", user, v.Reason, want)
	}
	return v
}

// identity returns the value of an identity header.
func identity(a *Account, name string) string {
	for header, value := range a.Identity {
		if string(header) == name {
			return string(value)
		}
	}
	return "(no " + name + ")"
}

// lentHeader is one header that is there already, as in a request that was parsed.
type lentHeader struct {
	name  string
	value []byte
	all   [][]byte
}

func (h lentHeader) Header(name string) ([]byte, int) {
	if name != h.name {
		return nil, 0
	}
	return h.value, 1
}

func (h lentHeader) Values([]byte) [][]byte { return h.all }

// fakeHeaders are a request's headers by lower-case name.
type fakeHeaders map[string][]string

func (h fakeHeaders) Header(name string) (value []byte, count int) {
	values := h[name]
	if len(values) == 0 {
		return nil, 0
	}
	return []byte(values[0]), len(values)
}

func (h fakeHeaders) Values(name []byte) (values [][]byte) {
	for _, value := range h[string(name)] {
		values = append(values, []byte(value))
	}
	return values
}

// api is an active route.API of the org "default" at a path on hosts.
func api(id, path string, hosts ...string) route.API {
	return route.API{ID: id, Name: id, Org: "default", ListenPath: path, Hosts: hosts, DefaultVersion: "Default", Realm: "sidekey", Active: true}
}

func mustAPIs(t testing.TB, list ...route.API) *route.APIs {
	t.Helper()
	apis, err := route.NewAPIs(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	return apis
}

// guessLimits are low, so that tests reach them soon.
var guessLimits = password.FailureLimits{User: 3, Address: 10, Delay: time.Second, MaxDelay: 16 * time.Second, Forget: time.Hour, Tracked: 1000}

// Hashes in the form of bcrypt's, of two costs.
const (
	tenHash    = "$2a$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
	twelveHash = "$2a$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
)
