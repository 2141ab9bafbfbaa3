package admin

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"

	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/openapitest"
	"sidekey/internal/testutil"
	"sidekey/internal/tyktest"
	"sidekey/internal/vault"
	"sidekey/store"
	"sidekey/store/memstore"
)

func TestMain(m *testing.M) {
	code := m.Run()
	// fasthttp's own goroutines end some seconds after their server.
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

const secret = "the-secret-of-the-tests"

// listener is the real admin server over a network listener and a store in memory.
type listener struct {
	t        testing.TB
	users    *memstore.Store
	policies *session.Policies // in force
	log      testutil.LockedBuffer

	handler *Handler
	memory  *fasthttputil.InmemoryListener
	said    testutil.LockedBuffer // every answer

	contrived bool // the fakes fail in ways that no store does
}

// peer is the address that the server sees as the client's.
var peer net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}

// start starts a listener that runs until the test ends.
func start(t testing.TB, change ...func(*Config)) *listener {
	t.Helper()
	l := &listener{t: t, users: memstore.New(), policies: session.NewPolicies(nil), memory: fasthttputil.NewInmemoryListener()}
	apis, err := route.NewAPIs([]route.API{
		{ID: "rest", Org: "default", ListenPath: "/", Active: true},
		{ID: "orders", Name: "Orders", Org: "default", ListenPath: "/orders", Active: true},
		{ID: "acme-api", Org: "acme", ListenPath: "/", Hosts: []string{"acme.example.com"}, Active: true},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := password.NewPasswords(fakeHash{password.Bcrypt(8)}, 4, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	key := vault.New([vault.KeySize]byte{7})
	directory := auth.NewDirectory(l.users, &auth.Compiler{
		Ledger: l.users, Policies: l.policies,
		OpenSecret: func(n session.Name, sealed string) (string, error) { return key.Open(n.Org, n.User, sealed) },
	})
	l.users.Notify(store.Notify{User: directory.Publish, Policy: func(id string) {
		policy, err := l.users.Policy(id)
		if err != nil {
			t.Error(err)
		}
		l.policies.SetStored(id, policy)
	}})
	settings := &auth.Settings{APIs: apis, Passwords: passwords, AllowEmptyRights: true}
	config := Config{
		Users:       l.users,
		PolicyStore: l.users,
		Policies:    func() *session.Policies { return l.policies },
		Directory:   directory,
		Settings:    func() *auth.Settings { return settings },
		Rules: func() session.Rules {
			return session.Rules{
				APIs: apis, Policies: l.policies, AllowEmptyRights: true, MaxPassword: passwords.MaxPassword(),
				MetaHeaders: map[string]string{"developer": "X-Developer"},
			}
		},
		AdminSecrets: []string{secret},
		Secrets:      key,
		Hosts:        []string{"admin.example.com"},
		Org:          "default",
		Reload:       func() error { return nil },
		Health:       func() Health { return Health{Loaded: time.Unix(1, 0)} },
		Database:     fakeDatabase(t, nil),
		Metrics:      func(w io.Writer, _ bool) { io.WriteString(w, "up 1\n") },
		Explain: func(auth.Question) (auth.Explanation, error) {
			return auth.Explanation{Passed: true, Reason: "pass", Status: 200, Steps: []auth.Step{}}, nil
		},
		Version: "v0",
		Log:     slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&config)
	}
	l.handler = NewHandler(config)
	server := NewServer(l.handler)
	served := make(chan error, 1)
	go func() { served <- server.Serve(loopback{l.memory}) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		l.memory.Close() // Serve may begin only now
		if err := <-served; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			log := l.log.String()
			t.Logf("end of the log:\n%s", log[max(0, len(log)-2000):])
		}
	})
	return l
}

// loopback is a network listener whose connections seem to come from peer.
type loopback struct{ net.Listener }

func (l loopback) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return peered{c}, nil
}

type peered struct{ net.Conn }

func (peered) RemoteAddr() net.Addr { return peer }

// send sends raw bytes on a new connection and returns the raw answer.
func (l *listener) send(request string) string {
	l.t.Helper()
	answer := l.exchange(request)
	l.said.Write(answer)
	l.compare(request, answer)
	return string(answer)
}

// exchange is send without a comparison with the descriptions.
func (l *listener) exchange(request string) (answer []byte) {
	l.t.Helper()
	c, err := l.memory.Dial()
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	sent := make(chan struct{})
	go func() { // a refusal may come before all is sent
		defer close(sent)
		io.WriteString(c, request)
	}()
	answer, err = io.ReadAll(c)
	if err != nil {
		l.t.Fatalf("%.200q: %v after %q", request, err, answer)
	}
	c.Close()
	<-sent
	return answer
}

// compare compares an exchange with sidekey's description of its API, and with Tyk's.
func (l *listener) compare(request string, answer []byte) {
	l.t.Helper()
	x, err := openapitest.Read(request, answer)
	if err != nil || x.Target == "" {
		return // what reads the answer says so
	}
	if err := tyktest.Check(x); err != nil {
		l.t.Error(err)
	}
	if l.contrived && (x.Status == http.StatusConflict || x.Status == http.StatusInsufficientStorage) {
		return
	}
	if err := openapitest.Check(x); err != nil {
		l.t.Error(err)
	}
}

// ask sends a request with the secret and these headers. It returns the answer in a form to compare:
// status, headers in alphabetical order, body.
func (l *listener) ask(method, target, body string, header ...string) answer {
	l.t.Helper()
	header = append(header, "Authorization: "+secret)
	return l.askAs(method, target, body, header...)
}

// askAs is ask without the secret.
func (l *listener) askAs(method, target, body string, header ...string) answer {
	l.t.Helper()
	if !slices.ContainsFunc(header, func(line string) bool { return strings.HasPrefix(line, "Host:") }) {
		header = append(header, "Host: localhost")
	}
	if body != "" {
		header = append(header, "Content-Length: "+strconv.Itoa(len(body)))
	}
	header = append(header, "Connection: close")
	raw := l.send(method + " " + target + " HTTP/1.1\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n" + body)
	return parse(l.t, raw, method == "HEAD")
}

type answer struct {
	status int
	header []string // without Date, Connection and Content-Length, sorted
	body   string
}

func (a answer) String() string {
	return fmt.Sprintf("%d\n%s\n\n%s", a.status, strings.Join(a.header, "\n"), a.body)
}

func parseAnswer(t *testing.T, raw string) (a answer) {
	t.Helper()
	return parse(t, raw, false)
}

// parse parses an answer. An answer to HEAD has the length of a body that is not sent.
func parse(t testing.TB, raw string, head bool) (a answer) {
	t.Helper()
	header, body, found := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(header, "\r\n")
	if _, err := fmt.Sscanf(lines[0], "HTTP/1.1 %d ", &a.status); err != nil || !found {
		t.Fatalf("no answer: %q", raw)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Date", "Connection":
		case "Content-Length":
			if value != strconv.Itoa(len(body)) && !head {
				t.Errorf("Content-Length %s with a body of %d bytes", value, len(body))
			}
		default:
			a.header = append(a.header, line)
		}
	}
	slices.Sort(a.header)
	a.body = body
	return a
}

// want compares the status and body of an answer.
func (a answer) want(t *testing.T, what string, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("%s: got %d %s, want %d %s", what, a.status, a.body, status, body)
	}
}

// dashboardError and gatewayError return the bodies of refusals.
func dashboardError(text string) string {
	quoted, _ := json.Marshal(text)
	return `{"Status":"Error","Message":` + string(quoted) + `,"Meta":null}` + "\n"
}

func gatewayError(text string) string {
	quoted, _ := json.Marshal(text)
	return `{"status":"error","message":` + string(quoted) + "}\n"
}

// fakeHash is a fast hash whose results cannot be confused with other text.
type fakeHash struct{ password.Bcrypt }

func (fakeHash) Make(password []byte) (string, error) {
	return fmt.Sprintf("HASH-%x", reversed(password)), nil
}

func (h fakeHash) Matches(stored string, password []byte) bool {
	made, _ := h.Make(password)
	return stored == made
}

func reversed(b []byte) []byte {
	r := bytes.Clone(b)
	slices.Reverse(r)
	return r
}
