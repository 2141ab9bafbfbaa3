package http

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"

	"sidekey/auth"
	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/check"
	"sidekey/internal/testutil"
	"sidekey/limiter"
	"sidekey/store"
	"sidekey/store/memstore"
)

func TestMain(m *testing.M) {
	code := m.Run()
	// fasthttp's own goroutines notice the end of their server some seconds later.
	own := []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	}
	if err := goleak.Find(own...); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// patience is how long anything may take that normally takes milliseconds.
const patience = 20 * time.Second

// listener is the real server of the check listener, over a listener and a store in memory.
type listener struct {
	t       testing.TB
	users   *users
	log     testutil.LockedBuffer
	connect func() (net.Conn, error)

	handler   *check.Handler
	logger    *slog.Logger
	checker   *auth.Checker
	directory *auth.Directory
	settings  *auth.Settings
}

// options are what a test changes of a listener before it starts.
type options struct {
	server ServerConfig
	config auth.Replies
	apis   []route.API
	meta   map[string]string
	hash   password.Hash
	slots  int
	wait   time.Duration
	tcp    bool // instead of a listener in memory
}

// start runs a listener until the test ends.
func start(t testing.TB, change ...func(*options)) *listener {
	t.Helper()
	o := options{
		server: ServerConfig{
			ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second,
			MaxConnections: 1000, MaxHeaderBytes: 64 << 10,
		},
		config: auth.Replies{QuotaStatus: 403, StripAuthorization: true},
		apis: []route.API{
			{ID: "rest", Org: "default", ListenPath: "/", Realm: "Rest", Active: true},
			{ID: "orders", Org: "default", ListenPath: "/orders", Realm: "Orders", Active: true, Versions: []string{"v1", "v2"}, VersionHeader: "x-api-version", DefaultVersion: "v1"},
			{ID: "off", Org: "default", ListenPath: "/off", Realm: "Off"},
			{ID: "crowded", Org: "default", ListenPath: "/crowded", Realm: "Crowded", Active: true, Rate: 1, Per: 3600},
		},
		hash:  fakeHash{Bcrypt: password.Bcrypt(8)},
		slots: 8,
		wait:  time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	l := &listener{t: t, users: &users{Store: memstore.New()}}
	memory := fasthttputil.NewInmemoryListener()
	l.connect = memory.Dial
	var where net.Listener = memory
	if o.tcp {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.connect = func() (net.Conn, error) { return net.Dial("tcp", tcp.Addr().String()) }
		where = tcp
	}
	apis, err := route.NewAPIs(o.apis, nil)
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := password.NewPasswords(o.hash, o.slots, o.wait)
	if err != nil {
		t.Fatal(err)
	}
	l.directory = auth.NewDirectory(l.users, &auth.Compiler{
		Ledger: l.users, Policies: session.NewPolicies(nil), MetaHeaders: o.meta,
		OpenSecret: func(_ session.Name, sealed string) (string, error) { return sealed, nil },
	})
	l.users.Notify(store.Notify{User: l.directory.Publish, Policy: func(string) {}})
	l.settings = &auth.Settings{
		APIs: apis, Passwords: passwords, VerifiedTTL: time.Hour, QuotaWait: 5 * time.Second, AllowEmptyRights: true,
		SignatureSkew: 5 * time.Minute, Signatures: httpsig.NewSpent(1_000_000), Replies: o.config,
	}
	l.checker = auth.NewChecker(l.directory, l.settings, func() limiter.Now { return limiter.At(time.Now()) })
	l.logger = slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.handler = check.NewHandler(l.checker, l.logger)
	server := NewServer(l.handler, o.server, l.logger)
	served := make(chan error, 1)
	go func() { served <- server.Serve(where) }()
	t.Cleanup(func() {
		l.handler.StopWaiting()
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		where.Close() // Serve may begin only now
		if err := <-served; err != nil {
			t.Error(err)
		}
		if log := l.log.String(); t.Failed() {
			t.Logf("end of the log:\n%s", log[max(0, len(log)-2000):])
		}
	})
	return l
}

// setReplies changes how replies are written, as a reload does.
func (l *listener) setReplies(r auth.Replies) {
	settings := *l.checker.Settings()
	settings.Replies = r
	l.checker.SetSettings(&settings)
}

func (l *listener) dial() net.Conn {
	l.t.Helper()
	c, err := l.connect()
	if err != nil {
		l.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// send sends bytes on a connection of its own and returns all that comes back.
func (l *listener) send(request string) string {
	l.t.Helper()
	c := l.dial()
	sent := make(chan struct{})
	go func() { // a refusal may come before all is sent
		defer close(sent)
		io.WriteString(c, request)
	}()
	answer, err := io.ReadAll(c)
	if err != nil {
		l.t.Fatalf("%.200q: %v after %q", request, err, answer)
	}
	c.Close()
	<-sent
	return string(answer)
}

// ask is one request of a proxy of that dialect for a client that asks for target.
func (l *listener) ask(dialect, method, target string, header ...string) answer {
	l.t.Helper()
	return parseAnswer(l.t, l.send(request(dialect, method, target, append(header, "Connection: close")...)))
}

// request is what a proxy of that dialect sends.
func request(dialect, method, target string, header ...string) string {
	header = append(header, "X-Forwarded-For: 192.0.2.1")
	line := "GET /auth/" + dialect
	switch family, _, _ := strings.Cut(dialect, "@"); family {
	case "envoy":
		line = method + " /auth/" + dialect + target
		header = append(header, "Host: example.com")
	case "nginx":
		header = append(header, "Host: example.com", "X-Original-Method: "+method, "X-Original-URI: "+target)
	case "forward":
		header = append(header, "Host: sidekey", "X-Forwarded-Host: example.com", "X-Forwarded-Method: "+method, "X-Forwarded-Uri: "+target)
	}
	return line + " HTTP/1.1\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n"
}

// basic is the header with credentials.
func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

type answer struct {
	status int
	header []string // without Connection and Content-Length, sorted
	body   string
}

func (a answer) String() string {
	return fmt.Sprintf("%d\n%s\n\n%s", a.status, strings.Join(a.header, "\n"), a.body)
}

// get returns the value of a header.
func (a answer) get(name string) string {
	for _, line := range a.header {
		if value, found := strings.CutPrefix(line, name+": "); found {
			return value
		}
	}
	return ""
}

func parseAnswer(t testing.TB, raw string) answer {
	t.Helper()
	a, rest := cutAnswer(t, raw)
	if rest != "" {
		t.Fatalf("more than an answer: %q", raw)
	}
	return a
}

// cutAnswer takes the first answer off what a connection gave.
func cutAnswer(t testing.TB, raw string) (a answer, rest string) {
	t.Helper()
	raw = strings.TrimPrefix(raw, "HTTP/1.1 100 Continue\r\n\r\n")
	head, body, found := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if _, err := fmt.Sscanf(lines[0], "HTTP/1.1 %d ", &a.status); err != nil || !found {
		t.Fatalf("no answer: %q", raw)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Connection", "Date":
		case "Content-Length":
			n, err := strconv.Atoi(value)
			if err != nil || n > len(body) {
				t.Fatalf("Content-Length %s with a body of %d bytes: %q", value, len(body), raw)
			}
			a.body, rest = body[:n], body[n:]
		default:
			a.header = append(a.header, line)
		}
	}
	slices.Sort(a.header)
	return a, rest
}

// client asks again and again on one connection.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func (l *listener) client() *client {
	l.t.Helper()
	c := &client{t: l.t, conn: l.dial()}
	c.in = bufio.NewReader(c.conn)
	return c
}

func (c *client) close() { c.conn.Close() }

func (c *client) ask(request string) answer {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, request); err != nil {
		c.t.Fatal(err)
	}
	return c.read()
}

func (c *client) read() answer {
	c.t.Helper()
	var raw bytes.Buffer
	length := 0
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%v after %q", err, raw.String())
		}
		raw.WriteString(line)
		fmt.Sscanf(line, "Content-Length: %d\r\n", &length)
		if line == "\r\n" {
			break
		}
	}
	if _, err := io.CopyN(&raw, c.in, int64(length)); err != nil {
		c.t.Fatalf("%v after %q", err, raw.String())
	}
	return parseAnswer(c.t, raw.String())
}

// fakeHash is fast. It holds the password "slow" back until hold is closed.
type fakeHash struct {
	password.Bcrypt
	hold    chan struct{} // closed: go on
	holding chan struct{} // gets one for each that waits
}

func (fakeHash) Make(password []byte) (string, error) { return "made of " + string(password), nil }

func (h fakeHash) Matches(stored string, password []byte) bool {
	if h.hold != nil && string(password) == "slow" {
		h.holding <- struct{}{}
		<-h.hold
	}
	return stored == "made of "+string(password)
}

func (fakeHash) Current(string) bool { return true }

// users is a store in memory that panics when it is asked for one user.
type users struct {
	*memstore.Store
	panics atomic.Value // string: the user
}

func (u *users) Load(org, user string) (session.Record, []auth.KeptQuota, error) {
	if user == u.panics.Load() {
		panic("in the store")
	}
	return u.Store.Load(org, user)
}

// add makes a user whose password is "pw of NAME".
func (l *listener) add(user string, s session.Session) {
	l.t.Helper()
	s.OrgID = "default"
	s.BasicAuth = session.BasicAuth{Password: "made of pw of " + user, HashType: "bcrypt"}
	if s.ApplyPolicies == nil {
		if _, err := s.Validate(session.Rules{APIs: l.settings.APIs, Policies: session.NewPolicies(nil), AllowEmptyRights: true, MaxPassword: 200}, time.Now().Unix()); err != nil {
			l.t.Fatal(err)
		}
	}
	l.edit(user, func(*session.Record) *session.Record { return &session.Record{Org: "default", User: user, Session: s} })
}

// edit changes a user, or removes it if f returns nil.
func (l *listener) edit(user string, f func(old *session.Record) *session.Record) {
	l.t.Helper()
	_, err := l.users.Update("default", user, func(old *session.Record) (*session.Record, error) { return f(old), nil })
	if err != nil {
		l.t.Fatal(err)
	}
}

func login(user string) string { return basic(user, "pw of "+user) }
