package check

import (
	"encoding/base64"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
	"sidekey/store/memstore"
)

// plain is a hash that costs nothing.
type plain struct{}

func (plain) Kind() string                         { return "plain" }
func (plain) MaxPassword() int                     { return 72 }
func (plain) Make(p []byte) (string, error)        { return string(p), nil }
func (plain) Current(string) bool                  { return true }
func (plain) Matches(stored string, p []byte) bool { return stored == string(p) }

// world is a handler without a listener.
type world struct {
	*Handler
	t         *testing.T
	log       strings.Builder
	users     *memstore.Store
	directory *auth.Directory
	settings  auth.Settings
}

var twoAPIs = []route.API{
	{ID: "rest", Org: "default", ListenPath: "/", Realm: "Rest", Active: true},
	{ID: "orders", Org: "default", ListenPath: "/orders", Realm: "Orders", Active: true},
}

func newWorld(t *testing.T, replies auth.Replies) *world {
	t.Helper()
	w := &world{t: t, users: memstore.New()}
	passwords, err := password.NewPasswords(plain{}, 8, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	w.directory = auth.NewDirectory(w.users, &auth.Compiler{Ledger: w.users, Policies: session.NewPolicies(nil)})
	w.users.Notify(store.Notify{User: w.directory.Publish, Policy: func(string) {}})
	w.settings = auth.Settings{Passwords: passwords, VerifiedTTL: time.Hour, QuotaWait: time.Second, AllowEmptyRights: true, Replies: replies}
	checker := auth.NewChecker(w.directory, &w.settings, func() limiter.Now { return limiter.At(time.Now()) })
	w.Handler = NewHandler(checker, slog.New(slog.NewTextHandler(&w.log, nil)))
	w.configure(twoAPIs...)
	return w
}

// configure puts other APIs in force, as a reload does.
func (w *world) configure(list ...route.API) {
	w.t.Helper()
	apis, err := route.NewAPIs(list, w.settings.APIs)
	if err != nil {
		w.t.Fatal(err)
	}
	w.settings.APIs = apis
	settings := w.settings
	w.checker.SetSettings(&settings)
}

// add makes a user whose password is the user's name.
func (w *world) add(user string, s session.Session) {
	s.BasicAuth.Password = user
	_, err := w.users.Update("default", user, func(*session.Record) (*session.Record, error) {
		return &session.Record{Org: "default", User: user, Session: s}, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// sent are the headers of a request that came over no HTTP.
type sent map[string]string

func (s sent) Header(name string) ([]byte, int) {
	value, ok := s[name]
	if !ok {
		return nil, 0
	}
	return []byte(value), 1
}

func (s sent) Values(name []byte) [][]byte {
	if value, n := s.Header(string(name)); n > 0 {
		return [][]byte{value}
	}
	return nil
}

func (s sent) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for name, value := range s {
			if !yield([]byte(name), []byte(value)) {
				return
			}
		}
	}
}

func (s sent) Clone() Headers { return s }

// question is what a listener would have read of a request with a user's password.
func question(d *Dialect, user, path string) Question {
	q := Question{At: time.Now(), Dialect: d, Headers: sent{}, Request: auth.Request{
		Method: []byte("GET"), Host: []byte("example.com"), URI: []byte(path), Client: []byte("192.0.2.1"), Headers: sent{},
	}}
	if user != "" {
		q.Request.Authorization, q.Request.AuthorizationCount = basic(user), 1
	}
	return q
}

func (w *world) ask(q Question) string {
	w.t.Helper()
	x := NewExchange()
	defer x.Release()
	x.Question = q
	if w.Check(x) != nil {
		w.t.Fatal("the request is held")
	}
	return textOf(&x.Reply)
}

func textOf(r *Reply) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Status)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Name, h.Value)
	}
	return b.String() + string(r.Body)
}

// A reply is whole without any listener: the status, every header in its order, the body.
func TestReply(t *testing.T) {
	w := newWorld(t, auth.Replies{QuotaStatus: 403, StripAuthorization: true})
	w.add("ann", session.Session{Alias: "Ann", Tags: []string{"a", "b"}, Rate: 2, Per: 3600})
	f := func(what string, q Question, want string) {
		t.Helper()
		if got := w.ask(q); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
		}
	}
	identity := "X-Auth-User: ann\nX-Auth-Org: default\nX-Auth-Alias: Ann\nX-Auth-Tags: a,b\nX-Auth-Policies: \n"
	limits := "X-RateLimit-Limit: -1\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 0\nRateLimit-Policy: \"rate\";q=2;w=3600\n"
	f("admitted", question(Envoy, "ann", "/"), "200\nCache-Control: no-store\n"+identity+"X-Envoy-Auth-Headers-To-Remove: authorization\n"+limits+"RateLimit: \"rate\";r=1;t=3600\n")
	f("admitted, NGINX", question(NGINX, "ann", "/"), "200\nCache-Control: no-store\n"+identity+limits+"RateLimit: \"rate\";r=0;t=3600\n")
	f("over the rate", question(NGINX, "ann", "/"), "403\nCache-Control: no-store\nX-Error-Status: 429\nX-Error-Message: Rate Limit Exceeded\nRetry-After: 3600\n"+limits+
		"RateLimit: \"rate\";r=0;t=3600\nContent-Type: application/json\n{\"error\": \"Rate Limit Exceeded\"}")
	f("no credentials", question(Forward, "", "/orders"), "401\nCache-Control: no-store\nX-Error-Status: 401\nX-Error-Message: Authorization field missing\n"+
		"WWW-Authenticate: Basic realm=\"Orders\", charset=\"UTF-8\"\nContent-Type: application/json\n{\"error\": \"Authorization field missing\"}")
	missing := "403\nCache-Control: no-store\nX-Error-Status: 403\nX-Error-Message: Request metadata missing\nContent-Type: application/json\n{\"error\": \"Request metadata missing\"}"
	f("a setting is missing", Question{At: time.Now(), Dialect: NGINX, Missing: "x"}, missing)
	f("no dialect", Question{At: time.Now(), Missing: "y"}, missing)
	for _, want := range []string{"dialect=nginx missing=x\n", "dialect=none missing=y\n"} {
		if log := w.log.String(); strings.Count(log, want) != 1 {
			t.Errorf("not logged: %s in\n%s", want, log)
		}
	}
	var r Reply
	r.Deny()
	if got, want := textOf(&r), "403\nX-Error-Status: 403\nX-Error-Message: Request not understood\nCache-Control: no-store\nContent-Type: application/json\n{\"error\": \"Request not understood\"}"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// An exchange that is used again holds nothing of the one before.
func TestReleaseClearsExchange(t *testing.T) {
	w := newWorld(t, auth.Replies{QuotaStatus: 403})
	w.add("ann", session.Session{Rate: 2, Per: 3600})
	x := NewExchange()
	x.Question = question(NGINX, "ann", "/")
	w.Check(x)
	headers := x.Reply.Headers[:cap(x.Reply.Headers)]
	x.Release()
	if x.Dialect != nil || x.Request.URI != nil || x.Verdict.Account != nil || x.Reply.Status != 0 || len(x.Reply.Headers) != 0 || x.Reply.Body != nil {
		t.Errorf("%+v", x)
	}
	if i := slices.IndexFunc(headers, func(h Header) bool { return h.Name != nil || h.Value != nil }); i >= 0 {
		t.Errorf("header %d: %s", i, headers[i].Value)
	}
}

// Decisions are counted by the id of their API, and a reload that keeps the API keeps them.
func TestDecisionsSurviveReload(t *testing.T) {
	w := newWorld(t, auth.Replies{QuotaStatus: 403})
	w.add("ann", session.Session{})
	want := func(want ...Decided) {
		t.Helper()
		if all, _, _ := w.Decisions(); !slices.Equal(all, want) {
			t.Errorf("got %v, want %v", all, want)
		}
	}
	w.ask(question(NGINX, "ann", "/"))
	w.ask(question(Envoy, "ann", "/orders"))
	w.ask(question(Envoy, "", "/orders"))
	w.ask(Question{At: time.Now(), Missing: "x"})
	none := Decided{"", "", "proxy_config", 1}
	want(none, Decided{"orders", "envoy", "pass", 1}, Decided{"orders", "envoy", "no_credentials", 1}, Decided{"rest", "nginx", "pass", 1})

	orders := twoAPIs[1]
	orders.Realm, orders.Rate, orders.Per = "Other", 10, 1
	w.configure(orders)
	w.ask(question(Envoy, "ann", "/orders"))
	want(none, Decided{"orders", "envoy", "pass", 2}, Decided{"orders", "envoy", "no_credentials", 1})

	w.configure(orders, route.API{ID: "new", Org: "default", ListenPath: "/new", Active: true})
	w.ask(question(Envoy, "ann", "/new"))
	w.configure(twoAPIs...)
	want(none, Decided{"orders", "envoy", "pass", 2}, Decided{"orders", "envoy", "no_credentials", 1})
}

// caller is a proxy that waits for the reply to a held request.
type caller struct {
	left  atomic.Bool
	reply string
	last  bool
	ended string
}

func (c *caller) Left() bool { return c.left.Load() }
func (c *caller) Close()     { c.ended += "closed" }
func (c *caller) Answer(r *Reply, last bool) {
	c.reply, c.last = textOf(r), last
	c.ended += "answered"
}

func (w *world) hold(q Question) *caller {
	w.t.Helper()
	x := NewExchange()
	defer x.Release()
	x.Question = q
	held := w.Check(x)
	if held == nil {
		w.t.Fatal("the request is not held: " + textOf(&x.Reply))
	}
	c := new(caller)
	held.Start(c)
	return c
}

// A listener of any protocol can hold requests: they are answered in time, given up when the
// caller leaves, and answered when the program stops.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * 365 * 24 * time.Hour) // a bubble begins in 2000, before this process
		w := newWorld(t, auth.Replies{QuotaStatus: 403, MaxWaiting: 4})
		w.add("ann", session.Session{Rate: 1, Per: 10, ThrottleInterval: 3, ThrottleRetryLimit: 5})
		seen := new(recorder)
		w.SetObservers(seen)
		want := func(c *caller, ended string, last bool, begin string, waiting int) {
			t.Helper()
			synctest.Wait()
			if c.ended != ended || c.last != last || !strings.HasPrefix(c.reply, begin) || w.Waiting() != waiting {
				t.Errorf("%q, last %v, ended %q, and %d wait", c.reply, c.last, c.ended, w.Waiting())
			}
		}
		w.ask(question(NGINX, "ann", "/1"))
		c := w.hold(question(NGINX, "ann", "/2"))
		want(c, "", false, "", 1)
		time.Sleep(9 * time.Second)
		want(c, "", false, "", 1)
		time.Sleep(3 * time.Second)
		want(c, "answered", false, "200\n", 0)

		gone := w.hold(question(Envoy, "ann", "/3"))
		gone.left.Store(true)
		time.Sleep(time.Second)
		want(gone, "closed", false, "", 0)

		stopped := w.hold(question(Envoy, "ann", "/4"))
		w.StopWaiting()
		want(stopped, "answered", true, "429\n", 0)
		if w.waiting.stopped = false; len(w.waiting.users) != 0 {
			t.Errorf("users are counted as waiting, but no request waits: %v", w.waiting.users)
		}
		if got, want := strings.Join(seen.lines, "\n"), "nginx pass ann /1 0s\nnginx pass ann /2 12s\nenvoy rate ann /4 0s"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// recorder copies records as an observer has to.
type recorder struct{ lines []string }

func (*recorder) Wants(auth.Verdict) bool { return true }
func (r *recorder) Observe(d *Record) {
	r.lines = append(r.lines, fmt.Sprintf("%s %s %s %s %v", d.Dialect, d.Verdict.Reason, d.Verdict.Named.User(), d.Path(), d.Took))
}

func basic(user string) []byte {
	return []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+user)))
}
