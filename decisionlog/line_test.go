package decisionlog

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sidekey/auth"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/check"
	"sidekey/limiter"
)

func account(s session.Session, user string) *auth.Account {
	c := auth.Compiler{Policies: session.NewPolicies(nil)}
	return c.Compile(session.Record{Org: "default", User: user, Session: s}, nil, nil)
}

func decision(user string) *check.Record {
	a := account(session.Session{Alias: "The " + user, Tags: []string{"edge", "eu"}}, user)
	return &check.Record{
		Question: check.Question{
			At:      time.Date(2026, 11, 23, 1, 2, 3, 4567000, time.FixedZone("", 3600)),
			Dialect: check.Envoy,
			Request: auth.Request{Method: []byte("GET"), URI: []byte("/orders/1?x=2"), Client: []byte("192.0.2.1")},
			Headers: sent{},
		},
		Took: 1234567 * time.Nanosecond,
		Verdict: auth.Verdict{
			Account: a, Named: a, API: &route.API{ID: "orders", Org: "default"},
			Rate: limiter.RateState{Limit: 10, Remaining: 3}, Quota: limiter.QuotaState{Limit: 5},
		},
	}
}

// sent are headers of a request, names and values.
type sent [][2]string

func (s sent) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for _, h := range s {
			if !yield([]byte(h[0]), []byte(h[1])) {
				return
			}
		}
	}
}

func (s sent) Values(name []byte) (values [][]byte) {
	for n, value := range s.All() {
		if string(n) == string(name) {
			values = append(values, value)
		}
	}
	return values
}

func (sent) Header(string) ([]byte, int) { panic("not for logs") }
func (s sent) Clone() check.Headers      { return s }

func TestLine(t *testing.T) {
	f := func(want string, change func(d *check.Record), unknownUsers bool) {
		t.Helper()
		d := decision("alice")
		if change != nil {
			change(d)
		}
		if got := string(appendLine(nil, d, unknownUsers)); got != want+"\n" {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	f(`{"time":"2026-11-23T00:02:03.004567Z","decision":"pass","reason":"pass","dialect":"envoy","api":"orders",`+
		`"user":"alice","org":"default","alias":"The alice","tags":["edge","eu"],"policies":[],`+
		`"method":"GET","path":"/orders/1","client":"192.0.2.1","ms":1.234,"rate_left":3,"quota_left":0}`, nil, false)
	nobody := func(d *check.Record) {
		d.Verdict = auth.Verdict{Reason: auth.BadCredentials, API: d.Verdict.API}
		d.Request.Authorization = []byte("Basic " + base64.StdEncoding.EncodeToString([]byte("Pass\u202eword:x")))
	}
	line := `{"time":"2026-11-23T00:02:03.004567Z","decision":"refuse","reason":"bad_credentials","dialect":"envoy","api":"orders",` +
		`"user":"%s","org":"default","alias":"","tags":[],"policies":[],` +
		`"method":"GET","path":"/orders/1","client":"192.0.2.1","ms":1.234,"rate_left":null,"quota_left":null}`
	f(fmt.Sprintf(line, ""), nobody, false)
	f(fmt.Sprintf(line, `Pass\u202eword`), nobody, true)
	f(`{"time":"2026-11-23T00:02:03.004567Z","decision":"refuse","reason":"proxy_config","dialect":"","api":"",`+
		`"user":"","org":"","alias":"","tags":[],"policies":[],`+
		`"method":"","path":"","client":"","ms":1.234,"rate_left":null,"quota_left":null}`, func(d *check.Record) {
		d.Dialect, d.Request, d.Verdict = nil, auth.Request{}, auth.Verdict{Reason: auth.ProxyConfig}
	}, true)
}

// Nothing but the path of a target is recorded.
func TestLinePath(t *testing.T) {
	f := func(target, want string) {
		t.Helper()
		d := decision("alice")
		d.Request.URI = []byte(target)
		if line := string(appendLine(nil, d, true)); !strings.Contains(line, `"path":"`+want+`"`) {
			t.Errorf("%s: got %s, want %q", target, line, want)
		}
	}
	f("/a/b?c", "/a/b")
	f("/a#token", "/a")
	f("/a?b#c?d", "/a")
	f("http://user:canary@example.com/a?b", "/a")
	f("http://user:canary@example.com", "")
	f("*", "*")
	f("", "")
}

// The headers of a user with detailed recording, without those that may hold credentials.
func TestLineHeaders(t *testing.T) {
	d := decision("alice")
	d.Verdict.Named = account(session.Session{EnableDetailedRecording: true}, "alice")
	var headers sent
	for _, line := range []string{
		"Authorization: Basic canary", "Proxy-Authorization: canary", "X-Tyk-Authorization: canary", "Cookie: canary", "Set-Cookie: canary",
		"X-Api-Key: canary", "X-Csrf-Token: canary", "X-Client-Secret: canary", "Password: canary", "X-Forwarded-Uri: /?canary", "X-Original-Uri: /?canary",
		"Referer: https://example.com/a?canary", "User-Agent: \"q\" \u202e\xff", "Accept: a", "Accept: b",
	} {
		name, value, _ := strings.Cut(line, ": ")
		headers = append(headers, [2]string{name, value})
	}
	d.Headers = headers
	line := string(appendLine(nil, d, false))
	_, got, _ := strings.Cut(line, `,"headers":`)
	if want := `{"Referer":"https://example.com/a","User-Agent":"\"q\" \u202e\ufffd","Accept":"a, b"}}` + "\n"; got != want {
		t.Errorf("got %swant %s", got, want)
	}
	if strings.Contains(line, "canary") {
		t.Errorf("a credential is recorded: %s", line)
	}

	// A bound on all of them together, and any line fits into a buffer.
	headers = nil
	for i := range 500 {
		headers = append(headers, [2]string{fmt.Sprintf("X-%d", i), strings.Repeat("\xff", 2000)})
	}
	d.Headers = headers
	long := strings.Repeat("\xff", 100_000)
	tags := strings.Split(strings.Repeat("\xff ", 2048), " ")
	d.Verdict.Named = account(session.Session{Alias: long, Tags: tags, ApplyPolicies: tags, EnableDetailedRecording: true}, strings.Repeat("\xff", 255))
	d.Request.Method, d.Request.URI, d.Request.Client = []byte(long), []byte("/"+long), []byte(long)
	if n := len(appendLine(nil, d, false)); n > bufferSize/2 {
		t.Errorf("a line of %d bytes", n)
	}
}

// Whatever the bytes are, a line is one line of printable ASCII and of JSON, and valid text is
// unchanged when it is read.
func FuzzLine(f *testing.F) {
	f.Add("alice", "/orders", "192.0.2.1", "GET")
	f.Add("a\nb\x00\x7f", "/\"\\\x1b[31m", "\xff\xfe\xc3", "G\u2028T")
	f.Add("\u202eevil\u2066", "/\U0001f600\ufeff", strings.Repeat("ä", 4096), "\xed\xa0\x80")
	f.Add(strings.Repeat("x", 1023)+"é", strings.Repeat("y", 1021)+"\U0001f600", strings.Repeat("\x80", 8192), "")
	f.Fuzz(func(t *testing.T, user, path, client, method string) {
		d := decision(user)
		d.Request.URI, d.Request.Client, d.Request.Method = []byte(path), []byte(client), []byte(method)
		line := appendLine(nil, d, true)
		for _, c := range line[:len(line)-1] {
			if c < 0x20 || c > 0x7e {
				t.Fatalf("byte %#x in %q", c, line)
			}
		}
		var got struct {
			User, Alias, Path, Client, Method string
		}
		if err := json.Unmarshal(line, &got); err != nil || line[len(line)-1] != '\n' {
			t.Fatalf("%v: %q", err, line)
		}
		same := func(what, got, want string) {
			t.Helper()
			if !utf8.ValidString(want) {
				return
			}
			if len(want) > maxField {
				head, cut := strings.CutSuffix(got, "…")
				if !cut || !strings.HasPrefix(want, head) || len(head) > maxField || len(head) < maxField-3 {
					t.Errorf("%s: %q was cut to %q", what, want, got)
				}
				return
			}
			if got != want {
				t.Errorf("%s: %q was read as %q", what, want, got)
			}
		}
		same("user", got.User, user)
		same("alias", got.Alias, "The "+user)
		same("client", got.Client, client)
		same("method", got.Method, method)
		same("path", got.Path, string(d.Path()))
	})
}

func BenchmarkLine(b *testing.B) {
	d := decision("alice")
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = appendLine(line[:0], d, false)
	}
	b.SetBytes(int64(len(line)))
}
