package events

import (
	"context"
	"encoding/base64"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/check"
	"sidekey/limiter"
	"sidekey/store"
	"sidekey/store/memstore"
)

// watched is a checker whose decisions a monitor observes.
type watched struct {
	t         *testing.T
	users     *memstore.Store
	directory *auth.Directory
	checker   *auth.Checker
	queue     *Queue
	monitor   *Monitor
	receiver  *receiver
}

// hash is one that costs nothing.
type hash struct{}

func (hash) Kind() string                         { return "plain" }
func (hash) MaxPassword() int                     { return 72 }
func (hash) Make(p []byte) (string, error)        { return string(p), nil }
func (hash) Current(string) bool                  { return true }
func (hash) Matches(stored string, p []byte) bool { return stored == string(p) }

// watch runs f in a bubble.
func watch(t *testing.T, f func(w *watched)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * 365 * 24 * time.Hour) // a bubble begins in 2000, before this process
		w := &watched{t: t, users: memstore.New(), receiver: &receiver{}}
		apis, err := route.NewAPIs([]route.API{
			{ID: "rest", Org: "default", ListenPath: "/", Active: true},
			{ID: "orders", Org: "default", ListenPath: "/orders", Active: true},
			{ID: "crowded", Org: "default", ListenPath: "/crowded", Active: true, Rate: 1, Per: 60},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		passwords, err := password.NewPasswords(hash{}, 8, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		w.directory = auth.NewDirectory(w.users, &auth.Compiler{Ledger: w.users, Policies: session.NewPolicies(nil)})
		w.users.Notify(store.Notify{User: w.directory.Publish})
		settings := &auth.Settings{APIs: apis, Passwords: passwords, VerifiedTTL: time.Hour, QuotaWait: time.Second, AllowEmptyRights: true}
		w.checker = auth.NewChecker(w.directory, settings, func() limiter.Now { return limiter.At(time.Now()) })
		w.queue = startQueue(here, 1000, slog.New(slog.DiscardHandler), w.receiver)
		w.monitor = NewMonitor(w.queue)
		f(w)
		w.queue.Stop(context.Background())
	})
}

// put writes a user. If keep is set, its quota and rate continue.
func (w *watched) put(user string, s session.Session, keep bool) {
	w.t.Helper()
	s.OrgID, s.BasicAuth.Password = "default", "right"
	_, err := w.users.Update("default", user, func(old *session.Record) (*session.Record, error) {
		r := session.Record{Org: "default", User: user, Session: s}
		if keep {
			r.Generation = old.Generation
		}
		return &r, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

type noHeaders struct{}

func (noHeaders) Values([]byte) [][]byte { return nil }

func (noHeaders) Header(string) ([]byte, int) { return nil, 0 }

// ask asks n times and passes the decisions to the monitor as the handler would.
func (w *watched) ask(n int, user, password, path string) {
	for range n {
		q := auth.Request{
			Method: []byte("GET"), URI: []byte(path), Host: []byte("example.com"), Client: []byte("192.0.2.1"), Headers: noHeaders{},
			Authorization:      []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))),
			AuthorizationCount: 1,
		}
		d := &check.Record{Question: check.Question{At: time.Now(), Request: q}}
		if d.Verdict = w.checker.Check(limiter.At(time.Now()), &q); w.monitor.Wants(d.Verdict) {
			w.monitor.Observe(d)
		}
	}
}

// want compares the events since the last call with lines of event, user, trigger.
func (w *watched) want(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.receiver.mu.Lock()
	defer w.receiver.mu.Unlock()
	var got []string
	for _, body := range w.receiver.bodies {
		if strings.Contains(body, "right") || strings.Contains(body, "canary") {
			w.t.Errorf("a credential: %s", body)
		}
		member := func(name string) string {
			_, rest, found := strings.Cut(body, `"`+name+`":"`)
			if !found {
				return ""
			}
			text, _, _ := strings.Cut(rest, `"`)
			return " " + text
		}
		got = append(got, strings.TrimSpace(member("event")+member("user")+member("trigger_limit")))
	}
	w.receiver.bodies = nil
	if !slices.Equal(got, want) {
		w.t.Errorf("got %q, want %q", got, want)
	}
}

func TestMonitorTriggers(t *testing.T) {
	watch(t, func(w *watched) {
		session := session.Session{QuotaMax: 10, QuotaRenewalRate: 60, Monitor: session.Monitor{TriggerLimits: []float64{80, 50}}}
		w.put("alice", session, false)
		w.ask(20, "alice", "right", "/")
		w.want("TriggerExceeded alice 50", "TriggerExceeded alice 80", "QuotaExceeded alice")
		// Nor after an edit that keeps the quota.
		session.Alias = "Alice"
		w.put("alice", session, true)
		w.ask(20, "alice", "right", "/")
		w.want()
		time.Sleep(time.Minute)
		w.ask(20, "alice", "right", "/")
		w.want("TriggerExceeded alice 50", "TriggerExceeded alice 80", "QuotaExceeded alice")
		w.put("alice", session, false)
		w.ask(6, "alice", "right", "/")
		w.want("TriggerExceeded alice 50")
	})
}

// Each limit is reported by itself.
func TestMonitorScopes(t *testing.T) {
	watch(t, func(w *watched) {
		limit := &session.Limit{QuotaMax: 2, QuotaRenewalRate: 60}
		w.put("alice", session.Session{
			QuotaMax: 4, QuotaRenewalRate: 600,
			Monitor:      session.Monitor{TriggerLimits: []float64{100}},
			AccessRights: map[string]session.Right{"rest": {}, "orders": {Limit: limit}},
		}, false)
		for range 3 {
			w.ask(1, "alice", "right", "/orders")
			w.ask(3, "alice", "right", "/")
			time.Sleep(time.Minute - time.Millisecond)
		}
		w.want("TriggerExceeded alice 100", "TriggerExceeded alice 100", "QuotaExceeded alice")
		w.ask(5, "alice", "right", "/orders")
		w.want("TriggerExceeded alice 100", "QuotaExceeded alice")
	})
}

func TestMonitorRate(t *testing.T) {
	watch(t, func(w *watched) {
		w.put("alice", session.Session{Rate: 2, Per: 10}, false)
		w.put("bob", session.Session{Rate: 1, Per: 0.001}, false)
		w.ask(50, "alice", "right", "/")
		w.want("RateLimitExceeded alice")
		time.Sleep(9999 * time.Millisecond)
		w.ask(50, "alice", "right", "/")
		w.want()
		time.Sleep(time.Millisecond)
		w.ask(50, "alice", "right", "/")
		w.want("RateLimitExceeded alice")
		// At most one a second, however short the window is.
		for range 100 {
			w.ask(2, "bob", "right", "/")
			time.Sleep(time.Millisecond)
		}
		w.want("RateLimitExceeded bob")
		// The limit of an API is another one.
		w.ask(10, "alice", "right", "/crowded")
		w.want()
		w.put("carol", session.Session{}, false)
		w.put("dave", session.Session{}, false)
		time.Sleep(time.Minute)
		w.ask(10, "carol", "right", "/crowded")
		w.ask(10, "dave", "right", "/crowded")
		w.want("RateLimitExceeded carol", "RateLimitExceeded dave")
	})
}

func TestMonitorExpired(t *testing.T) {
	watch(t, func(w *watched) {
		sess := session.Session{Expires: 1}
		w.put("alice", sess, false)
		w.ask(5, "alice", "right", "/")
		w.want("KeyExpired alice")
		sess.Alias = "Alice"
		w.put("alice", sess, true)
		w.ask(5, "alice", "right", "/")
		w.want()
		sess.Expires = 2
		w.put("alice", sess, true)
		w.ask(5, "alice", "right", "/")
		w.want("KeyExpired alice")
		w.put("bob", session.Session{IsInactive: true}, false)
		w.ask(5, "bob", "right", "/")
		w.want("KeyExpired bob")
		w.ask(1, "bob", "wrong", "/")
		w.want("AuthFailure bob")
	})
}

// A client that guesses passwords fills the queue with at most ten events a second; dropped ones
// are counted.
func TestMonitorFailures(t *testing.T) {
	watch(t, func(w *watched) {
		w.put("alice", session.Session{}, false)
		w.ask(500, "alice", "canary", "/")
		w.ask(500, "canary", "right", "/")
		w.want(slices.Repeat([]string{"AuthFailure alice"}, failuresPerSecond)...)
		if got := w.queue.Counts().Dropped; got != 1000-failuresPerSecond {
			t.Errorf("%d dropped", got)
		}
		time.Sleep(time.Second)
		w.ask(2, "canary", "right", "/")
		w.want("AuthFailure", "AuthFailure")
	})
}

// Of many requests at once, one is reported.
func TestMonitorAtOnce(t *testing.T) {
	watch(t, func(w *watched) {
		w.put("alice", session.Session{QuotaMax: 100, QuotaRenewalRate: 60, Monitor: session.Monitor{TriggerLimits: []float64{33, 100, 66}}}, false)
		w.put("bob", session.Session{Rate: 5, Per: 60}, false)
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				w.ask(20, "alice", "right", "/")
				w.ask(20, "bob", "right", "/")
			})
		}
		group.Wait()
		w.queue.Stop(context.Background())
		bodies := strings.Join(w.receiver.bodies, "\n")
		for _, what := range []string{`"trigger_limit":"33"`, `"trigger_limit":"66"`, `"trigger_limit":"100"`, "QuotaExceeded", "RateLimitExceeded"} {
			if n := strings.Count(bodies, what); n != 1 {
				t.Errorf("%s: %d times", what, n)
			}
		}
		w.queue = startQueue(here, 1, slog.New(slog.DiscardHandler), w.receiver)
	})
}

// Nothing counts as reported while there is no webhook.
func TestMonitorDisabled(t *testing.T) {
	watch(t, func(w *watched) {
		w.put("alice", session.Session{Rate: 1, Per: 60, IsInactive: false}, false)
		w.queue.SetConfig(Config{})
		w.ask(5, "alice", "right", "/")
		w.monitor.Created(session.Name{Org: "default", User: "bob"})
		w.want()
		w.queue.SetConfig(here)
		w.ask(5, "alice", "right", "/")
		w.want("RateLimitExceeded alice")
		if c := w.queue.Counts(); c.Queued != 1 || c.Dropped != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Odd bytes of a request become JSON, and are bounded.
func TestMonitorOddBytes(t *testing.T) {
	watch(t, func(w *watched) {
		w.monitor.Observe(&check.Record{
			Question: check.Question{At: time.Now(), Request: auth.Request{URI: []byte("/\xff\"\n" + strings.Repeat("x", 8000) + "?canary")}},
			Verdict:  auth.Verdict{Reason: auth.BadCredentials, API: w.checker.Settings().APIs.ByID("rest")},
		})
		synctest.Wait()
		w.receiver.mu.Lock()
		defer w.receiver.mu.Unlock()
		if len(w.receiver.bodies) != 1 {
			t.Fatalf("%q", w.receiver.bodies)
		}
		if body := w.receiver.bodies[0]; !strings.Contains(body, `"path":"/\ufffd\"\n`+strings.Repeat("x", 1020)+`"`) || len(body) > 2000 {
			t.Errorf("got %s", body)
		}
	})
}
