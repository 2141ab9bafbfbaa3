package http

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sidekey/auth/session"
)

// pieces are parts of paths that attacks are made of.
var pieces = []string{
	"", "/", "//", "///", "/.", "/..", "/./", "/../", "/...", "/%2e", "/%2e%2e", "/%2e%2e/", "/.%2e/", "/%2E%2E%2F", "/..%2f", "/..%5c", `/..\`, "/..;/", "/..;x=y/", "/;/", ";", ";x=y",
	"%2f", "%2F", "%252f", "%5c", "%00", "%0a", "%0d%0a", "%20", "%09", "%25", "%", "%z", "%zz", "%2", "%c0%ae", "%c0%af", "%ef%bc%8f", "%u002f", "?", "?x", "?x=y", "??", "#", "#x", "&", "=", "@", "@rest", "@orders", "@off", "@nothing", ":", ":80", "*", "~", "|", "^", "`", "{}", "[]", "<x>", "\"", "'", "$", "!", ",", "+", "\\", "\xff", "\x80", "é",
	"healthz", "/healthz", "/readyz", "/metrics", "/ping", "/status", "/favicon.ico", "/robots.txt", "/.well-known/x", "/debug/pprof", "/api/apis/keys", "/tyk/keys", "/auth", "/auth/", "/auth/envoy", "/auth/nginx", "/auth/forward", "/orders", "/off", "/crowded",
}

// targets returns request targets: each piece before, between, and after the parts of the paths
// that dialects use, and targets of other forms.
func targets() []string {
	var list []string
	for _, p := range pieces {
		list = append(list,
			p, "/"+p, p+"/auth/envoy/", "/"+p+"/auth/envoy/", "/auth"+p+"/envoy/", "/auth"+p+"envoy/", "/auth/envoy"+p, "/auth/envoy/"+p, "/auth/envoy@rest"+p, "/auth/envoy@"+p+"/", "/auth/envoy/x"+p+"/y",
			"/auth/nginx"+p, "/auth/nginx@rest"+p, "/auth/nginx@"+p, "/auth/forward"+p, "/auth/forward@"+p, "/auth/envoy/"+p+"/healthz", "/auth/envoy/x%2f.."+p+"healthz",
		)
	}
	list = append(list,
		"*", "http://localhost/", "http://localhost/auth/envoy/", "http://user:password@localhost/auth/envoy/", "https://localhost/auth/envoy/", "//localhost/auth/envoy/", "localhost:80", "localhost", "auth/envoy/", "http:/auth/envoy/", "http:///auth/envoy/", "ftp://x/", "mailto:x", "/auth/envoy/"+strings.Repeat("a", 8<<10), "/auth/envoy/"+strings.Repeat("../", 3000), "/auth/envoy/"+strings.Repeat("%2e%2e/", 1000), "/auth/envoy/?"+strings.Repeat("x", 8<<10), strings.Repeat("/", 8<<10),
	)
	slices.Sort(list)
	return slices.Compact(list)
}

// T-20: without credentials, no path, method, or header is admitted, and none causes an error
// that a proxy might let through.
func TestNothingIsAdmittedWithoutCredentials(t *testing.T) {
	l := start(t, func(o *options) { o.server.ReadTimeout = 2 * time.Second })
	l.add("alice", session.Session{})
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "PURGE", "get", "GETT", "X"}
	whole := "X-Original-Method: GET\r\nX-Original-URI: /\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-For: 192.0.2.1\r\n"
	headers := []string{
		"Host: example.com\r\n",
		"Host: example.com\r\n" + whole,
		"Host: example.com\r\n" + whole + "Authorization: \r\n",
		"Host: example.com\r\n" + whole + "Authorization: Basic\r\n",
		"Host: example.com\r\n" + whole + "Authorization: Basic Og==\r\n",
		"Host: example.com\r\n" + whole + "Authorization: Basic YWxpY2U6\r\n", // alice and no password
		"Host: example.com\r\n" + whole + "Authorization: Basic YWxpY2U6cHc=\r\n",
		"Host: example.com\r\n" + whole + "Authorization: Bearer x\r\nProxy-Authorization: Basic YWxpY2U6cHcgb2YgYWxpY2U=\r\n",
		"Host: example.com\r\n" + whole + "User-Agent: kube-probe/1.30\r\nX-Auth-User: alice\r\nX-Real-IP: 127.0.0.1\r\nCookie: session=1\r\n",
		"Host: localhost\r\n" + whole + "X-Original-URI: /healthz\r\nConnection: authorization\r\n",
		"Host: user:password@localhost\r\n" + whole,
		"Host: example.com\r\n" + whole + "Content-Length: 5\r\n\r\nhello",
		"Host: example.com\r\n" + whole + "Transfer-Encoding: chunked\r\n\r\n0\r\n",
		"Host: example.com\r\n" + whole + "Expect: 100-continue\r\nUpgrade: websocket\r\n",
		whole,
		"",
	}
	list := targets()
	var mu sync.Mutex
	statuses := make(map[string]int)
	asked, bad := 0, 0
	var wg sync.WaitGroup
	const workers = 4
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(20, uint64(w)))
			for i := w; i < len(list); i += workers {
				for _, method := range methods {
					// All headers with every target, each method with some of them.
					chosen := []string{headers[random.IntN(len(headers))]}
					if method == "GET" {
						chosen = headers
					}
					for _, header := range chosen {
						raw := method + " " + list[i] + " HTTP/1.1\r\n" + header + "Connection: close\r\n\r\n"
						if strings.Contains(header, "\r\n\r\n") { // it has a body
							raw = method + " " + list[i] + " HTTP/1.1\r\nConnection: close\r\n" + header + "\r\n"
						}
						answer := l.send(raw)
						answer = strings.TrimPrefix(answer, "HTTP/1.1 100 Continue\r\n\r\n")
						var status string
						fmt.Sscanf(answer, "HTTP/1.1 %s", &status)
						mu.Lock()
						asked++
						statuses[status]++
						if (len(status) != 3 || status[0] == '2' || status[0] == '3' || status[0] == '5' || strings.Contains(answer, "X-Auth-")) && bad < 10 {
							bad++
							t.Errorf("%.300q: %.300q", raw, answer)
						}
						mu.Unlock()
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests with %d targets: %v", asked, len(list), statuses)
	if asked < 20_000 {
		t.Errorf("only %d requests", asked)
	}
}

// T-30: how fasthttp reads requests that servers have disagreed on. All of them have the right
// credentials; only those with a single reading are admitted.
func TestConformance(t *testing.T) {
	l := start(t, func(o *options) { o.server.ReadTimeout = time.Second })
	l.add("alice", session.Session{})
	const first = "GET /auth/envoy/x HTTP/1.1\r\n"
	rest := "X-Forwarded-For: 192.0.2.1\r\n" + login("alice") + "\r\nConnection: close\r\n"
	const host = "Host: example.com\r\n"
	f := func(what string, status int, raw string) {
		t.Helper()
		answer := l.send(raw)
		answer = strings.TrimPrefix(answer, "HTTP/1.1 100 Continue\r\n\r\n")
		got := parseAnswer(t, answer)
		if got.status != status {
			t.Errorf("%s: %v, want %d", what, got, status)
		}
		if status == 403 && got.body != `{"error": "Request not understood"}` && got.body != `{"error": "Request metadata missing"}` {
			t.Errorf("%s: %v", what, got)
		}
	}
	f("plain", 200, first+host+rest+"\r\n")
	f("header names in any case", 200, first+"HOST: example.com\r\nx-forwarded-for: 192.0.2.1\r\naUTHORIZATION: "+strings.TrimPrefix(login("alice"), "Authorization: ")+"\r\nConnection: close\r\n\r\n")
	f("space around a value", 200, first+host+"X-Forwarded-For: \t 192.0.2.1 \t\r\n"+login("alice")+" \r\nConnection: close\r\n\r\n")
	f("any method", 200, strings.Replace(first, "GET", "PROPFIND", 1)+host+rest+"\r\n")
	f("an escape that is none", 200, strings.Replace(first, "/x", "@rest/%zz", 1)+host+rest+"\r\n")
	f("an escaped NUL", 200, strings.Replace(first, "/x", "@rest/%00", 1)+host+rest+"\r\n")
	f("one line end without CR", 200, first+"Host: example.com\n"+rest+"\r\n")
	f("version 2 in the form of 1", 200, "GET /auth/envoy/x HTTP/2.0\r\n"+host+rest+"\r\n")
	f("an empty body", 200, first+host+"Content-Length: 0\r\n"+rest+"\r\n")
	f("a value on two lines", 200, first+host+"X: a\r\n b\r\n"+rest+"\r\n")

	f("line ends without CR", 403, strings.ReplaceAll(first+host+rest+"\r\n", "\r\n", "\n"))
	f("a bare CR in a value", 403, first+host+"X: a\rb\r\n"+rest+"\r\n")
	f("a NUL in a value", 403, first+host+"X: a\x00b\r\n"+rest+"\r\n")
	f("a NUL in a name", 403, first+host+"X\x00: a\r\n"+rest+"\r\n")
	f("a space before the colon", 403, first+host+"X : a\r\n"+rest+"\r\n")
	f("Authorization with a space before the colon", 403, first+host+"Authorization : Basic YTpi\r\n"+rest+"\r\n")
	f("a line without a colon", 403, first+host+"nonsense\r\n"+rest+"\r\n")
	f("an empty name", 403, first+host+": a\r\n"+rest+"\r\n")
	f("a line that begins with a space", 403, first+" X: y\r\n"+host+rest+"\r\n")
	f("no Host", 403, first+rest+"\r\n")
	f("an empty Host", 403, first+"Host:\r\n"+rest+"\r\n")
	f("two Hosts", 403, first+host+host+rest+"\r\n")
	f("two different Hosts", 403, first+host+"Host: evil.com\r\n"+rest+"\r\n")
	f("HTTP/1.0 without Host", 403, "GET /auth/envoy/x HTTP/1.0\r\n"+rest+"\r\n")
	f("no version", 403, "GET /auth/envoy/x\r\n"+host+rest+"\r\n")
	f("two spaces in the request line", 403, "GET  /auth/envoy/x HTTP/1.1\r\n"+host+rest+"\r\n")
	f("a space in the target", 403, "GET /auth/envoy/x y HTTP/1.1\r\n"+host+rest+"\r\n")
	f("a tab in the request line", 403, "GET\t/auth/envoy/x HTTP/1.1\r\n"+host+rest+"\r\n")
	f("absolute form", 403, "GET http://example.com/auth/envoy/x HTTP/1.1\r\n"+host+rest+"\r\n")
	f("absolute form with credentials", 403, "GET http://alice:pw@example.com/auth/envoy/x HTTP/1.1\r\n"+host+rest+"\r\n")
	f("authority form", 403, "CONNECT example.com:443 HTTP/1.1\r\n"+host+rest+"\r\n")
	f("asterisk", 403, "OPTIONS * HTTP/1.1\r\n"+host+rest+"\r\n")
	f("two Content-Lengths", 403, first+host+"Content-Length: 0\r\nContent-Length: 1\r\n"+rest+"\r\nx")
	f("two equal Content-Lengths", 403, first+host+"Content-Length: 1\r\nContent-Length: 1\r\n"+rest+"\r\nx")
	f("a signed Content-Length", 403, first+host+"Content-Length: +5\r\n"+rest+"\r\nhello")
	f("a negative Content-Length", 403, first+host+"Content-Length: -5\r\n"+rest+"\r\nhello")
	f("a Content-Length that overflows", 403, first+host+"Content-Length: 18446744073709551616\r\n"+rest+"\r\nhello")
	f("a Content-Length in hex", 403, first+host+"Content-Length: 0x5\r\n"+rest+"\r\nhello")
	f("a list as Content-Length", 403, first+host+"Content-Length: 5, 5\r\n"+rest+"\r\nhello")
	f("Transfer-Encoding in HTTP/1.0", 403, "POST /auth/envoy/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"+host+rest+"\r\n0\r\n\r\n")
	f("an unknown Transfer-Encoding", 403, first+host+"Transfer-Encoding: gzip\r\n"+rest+"\r\n")
	f("chunked and something", 403, first+host+"Transfer-Encoding: chunked, identity\r\n"+rest+"\r\n0\r\n\r\n")
	f("two Transfer-Encodings", 403, first+host+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"+rest+"\r\n0\r\n\r\n")
	f("a body", 403, first+host+"Content-Length: 5\r\n"+rest+"\r\nhello")
	f("a body in chunks", 403, first+host+"Transfer-Encoding: chunked\r\n"+rest+"\r\n5\r\nhello\r\n0\r\n\r\n")
	f("a chunk without an end", 403, first+host+"Transfer-Encoding: chunked\r\n"+rest+"\r\nzz\r\n")
	f("a header that is too large", 403, first+host+"X: "+strings.Repeat("x", 70<<10)+"\r\n"+rest+"\r\n")
	f("a path that is too large", 403, "GET /auth/envoy/"+strings.Repeat("x", 70<<10)+" HTTP/1.1\r\n"+host+rest+"\r\n")
	f("nothing but noise", 403, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
	f("HTTP/2 without being asked", 403, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

	// The bytes after a refused request are not a request of their own.
	for what, raw := range map[string]string{
		"behind a body":                     first + host + "Content-Length: 5\r\n" + strings.Replace(rest, "Connection: close\r\n", "", 1) + "\r\n" + first + host + rest + "\r\n",
		"behind both lengths":               first + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" + strings.Replace(rest, "Connection: close\r\n", "", 1) + "\r\n5\r\nhello\r\n0\r\n\r\n" + first + host + rest + "\r\n",
		"behind something that is no HTTP":  "nonsense\r\n\r\n" + first + host + rest + "\r\n",
		"behind a broken header":            first + host + "X : y\r\n" + strings.Replace(rest, "Connection: close\r\n", "", 1) + "\r\n" + first + host + rest + "\r\n",
		"behind a chunk that is too large":  first + host + "Transfer-Encoding: chunked\r\n" + strings.Replace(rest, "Connection: close\r\n", "", 1) + "\r\nffffffff\r\n" + first + host + rest + "\r\n",
		"behind a Content-Length not there": first + host + "Content-Length: 1000\r\n" + strings.Replace(rest, "Connection: close\r\n", "", 1) + "\r\n" + first + host + rest + "\r\n",
	} {
		answer := l.send(raw)
		if strings.Count(answer, "HTTP/1.1 ") != 1 || !strings.HasPrefix(answer, "HTTP/1.1 403 ") {
			t.Errorf("%s: %q", what, answer)
		}
	}
}

// Cookies make headers large; up to the limit they pass.
func TestLargeHeaders(t *testing.T) {
	l := start(t)
	l.add("alice", session.Session{})
	f := func(size, status int) {
		t.Helper()
		for _, dialect := range dialectNames {
			if a := l.ask(dialect, "GET", "/", "Cookie: "+strings.Repeat("c", size), login("alice")); a.status != status {
				t.Errorf("%s with %d bytes of cookies: %v", dialect, size, a)
			}
		}
	}
	f(5<<10, 200)
	f(60<<10, 200)
	f(64<<10, 403)
	f(1<<20, 403)
	var many []string
	for i := range 500 {
		many = append(many, fmt.Sprintf("X-%d: y", i))
	}
	if a := l.ask("nginx", "GET", "/", append(many, login("alice"))...); a.status != 200 {
		t.Errorf("500 headers: %v", a)
	}
	// A long path is decided on like any other.
	if a := l.ask("nginx", "GET", "/"+strings.Repeat("x", 30<<10), login("alice")); a.status/100 == 5 || a.status == 200 {
		t.Logf("30 kB of path: %d", a.status)
	}
}

// T-33: a thousand requests in one packet get a thousand replies, in order, each for the user of
// its request.
func TestPipeline(t *testing.T) {
	l := start(t)
	users := []string{"a", "bb", "a-much-longer-name-than-the-others", "c", "dddd", "ü"}
	for i, user := range users {
		l.add(user, session.Session{Alias: strings.Repeat(user, i+1), Tags: []string{user}})
	}
	const n = 1000
	var packet strings.Builder
	for i := range n {
		user := users[i%len(users)]
		header := []string{login(user)}
		switch {
		case i%7 == 3:
			header = []string{basic(user, "wrong")}
		case i%11 == 5:
			header = nil
		}
		if i == n-1 {
			header = append(header, "Connection: close")
		}
		packet.WriteString(request(dialectNames[i%3], "GET", fmt.Sprintf("/%d", i), header...))
	}
	rest := l.send(packet.String())
	for i := range n {
		var a answer
		a, rest = cutAnswer(t, rest)
		user, status := users[i%len(users)], 200
		if i%7 == 3 || i%11 == 5 {
			status, user = 401, ""
		}
		if a.status != status || a.get("X-Auth-User") != user || a.get("X-Auth-Tags") != user {
			t.Fatalf("answer %d: %v, want %d for %q", i, a, status, user)
		}
	}
	if rest != "" {
		t.Errorf("more than %d answers: %q", n, rest)
	}
}

// T-07, T-09: on many connections at once, with alternating users on each, no user is ever taken
// for another: fasthttp gives the bytes of one request to the next.
func TestIdentityDoesNotBleed(t *testing.T) {
	l := start(t)
	const users, connections, requests = 40, 32, 300
	for i := range users {
		user := fmt.Sprintf("user-%d-%s", i, strings.Repeat("x", i))
		l.add(user, session.Session{Alias: "alias of " + user, Tags: []string{user}, QuotaMax: 1 << 40})
	}
	name := func(i int) string { i %= users; return fmt.Sprintf("user-%d-%s", i, strings.Repeat("x", i)) }
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			client := l.client()
			defer client.close()
			for i := range requests {
				user := name(c*7 + i*13)
				dialect := dialectNames[(c+i)%3]
				switch i % 5 {
				case 4:
					a := client.ask(request(dialect, "GET", "/", basic(user, "pw of "+name(c*7+i*13+1))))
					if a.status != 401 || strings.Contains(a.String(), "X-Auth-") || strings.Contains(a.String(), "user-") {
						t.Errorf("wrong password of %s: %v", user, a)
						return
					}
				default:
					a := client.ask(request(dialect, "GET", "/"+user, login(user)))
					if a.status != 200 || a.get("X-Auth-User") != user || a.get("X-Auth-Alias") != "alias of "+user || a.get("X-Auth-Tags") != user {
						t.Errorf("%s: %v", user, a)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// The quota of each user counts that user's requests, whatever other users share the connection.
func TestCountersDoNotBleed(t *testing.T) {
	l := start(t)
	for _, user := range []string{"a", "b"} {
		l.add(user, session.Session{QuotaMax: 1000, QuotaRenewalRate: 3600})
	}
	client := l.client()
	defer client.close()
	counts := map[string]int{}
	for i := range 300 {
		user := "a"
		if i%3 == 0 {
			user = "b"
		}
		counts[user]++
		a := client.ask(request("envoy", "GET", "/", login(user)))
		if want := fmt.Sprint(1000 - counts[user]); a.get("X-RateLimit-Remaining") != want {
			t.Fatalf("request %d of %s: %v, want %s left", i, user, a, want)
		}
	}
}

// Passwords are compared whole: none that looks like the right one is accepted.
func TestPasswordsAreComparedWhole(t *testing.T) {
	l := start(t)
	l.add("alice", session.Session{})
	for _, password := range []string{"pw of alic", "pw of alice ", " pw of alice", "pw of alicE", "pw of alice\u0301", "PW OF ALICE", "pw of alicepw of alice", "made of pw of alice"} {
		for range 2 { // also when the right one is remembered
			if a := l.ask("envoy", "GET", "/", basic("alice", password)); a.status != 401 {
				t.Errorf("%q: %v", password, a)
			}
			if a := l.ask("envoy", "GET", "/", login("alice")); a.status != 200 {
				t.Errorf("the right one: %v", a)
			}
		}
	}
}

// T-31: a client that sends slowly is cut off in time and delays no other.
func TestSlowClients(t *testing.T) {
	l := start(t, func(o *options) {
		o.server.ReadTimeout = 200 * time.Millisecond
		o.server.IdleTimeout = 300 * time.Millisecond
	})
	l.add("alice", session.Session{})
	whole := request("envoy", "GET", "/", login("alice"))
	var wg sync.WaitGroup
	cut := func(what string, send func(c io.Writer) error) {
		wg.Go(func() {
			c := l.dial()
			defer c.Close()
			began := time.Now()
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				answer, _ := io.ReadAll(c)
				if strings.Contains(string(answer), "200 OK") && !strings.Contains(what, "idle") {
					t.Errorf("%s: was admitted: %q", what, answer)
				}
			}()
			for {
				select {
				case <-gone:
					if took := time.Since(began); took > 5*time.Second {
						t.Errorf("%s: cut off after %v", what, took)
					}
					return
				case <-time.After(5 * time.Millisecond):
				}
				if time.Since(began) > 10*time.Second {
					t.Errorf("%s: not cut off", what)
					return
				}
				send(c)
			}
		})
	}
	for range 20 {
		i := 0
		cut("a byte now and then", func(c io.Writer) error {
			if i < len(whole)-4 {
				i++
				_, err := io.WriteString(c, whole[i-1:i])
				return err
			}
			return nil
		})
		sent := false
		cut("half a header", func(c io.Writer) error {
			if sent {
				return nil
			}
			sent = true
			_, err := io.WriteString(c, whole[:len(whole)/2])
			return err
		})
		cut("nothing", func(io.Writer) error { return nil })
		asked := false
		cut("idle after a request", func(c io.Writer) error {
			if asked {
				return nil
			}
			asked = true
			_, err := io.WriteString(c, whole)
			return err
		})
	}
	for range 50 {
		began := time.Now()
		if a := l.ask("envoy", "GET", "/", login("alice")); a.status != 200 {
			t.Errorf("another client: %v", a)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("another client waited %v", took)
		}
	}
	wg.Wait()
}

// T-32: a client that does not read the reply is cut off.
func TestUnreadAnswers(t *testing.T) {
	l := start(t, func(o *options) { o.server.WriteTimeout = 200 * time.Millisecond })
	l.add("alice", session.Session{})
	c := l.dial()
	defer c.Close()
	flood := strings.Repeat(request("envoy", "GET", "/", login("alice")), 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100_000 {
			if _, err := io.WriteString(c, flood); err != nil {
				return
			}
		}
		t.Error("everything was taken")
	}()
	if a := l.ask("envoy", "GET", "/", login("alice")); a.status != 200 {
		t.Errorf("another client: %v", a)
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("the writer is still there")
		c.Close()
		<-done
	}
}

// T-24: NGINX that is not told to clear Content-Length announces a body that never comes. It is
// refused at once.
func TestAnnouncedBody(t *testing.T) {
	l := start(t)
	l.add("alice", session.Session{})
	for _, length := range []string{"Content-Length: 1", "Content-Length: 2", "Content-Length: 5", "Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		began := time.Now()
		a := l.ask("nginx", "GET", "/", login("alice"), length)
		if a.status/100 != 4 {
			t.Errorf("%s: %v", length, a)
		}
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("%s: answered after %v", length, took)
		}
	}
	if log := l.log.String(); strings.Count(log, "proxy_pass_request_body off") != 1 {
		t.Errorf("the log does not say once what to do:\n%s", log)
	}
	if a := l.ask("nginx", "GET", "/", login("alice"), "Content-Length: 0"); a.status != 200 {
		t.Errorf("an empty body: %v", a)
	}
}

// T-34: a panic refuses its request and no other.
func TestPanicIsARefusal(t *testing.T) {
	l := start(t)
	l.add("alice", session.Session{})
	l.users.panics.Store("boom")
	client := l.client()
	defer client.close()
	for _, dialect := range dialectNames {
		for range 3 {
			a := client.ask(request(dialect, "GET", "/", basic("boom", "x")))
			if a.status != 403 || a.body != `{"error": "Request not understood"}` || strings.Contains(a.String(), "X-Auth") {
				t.Errorf("%s: %v", dialect, a)
			}
			if a := client.ask(request(dialect, "GET", "/", login("alice"))); a.status != 200 || a.get("X-Auth-User") != "alice" {
				t.Errorf("%s, the next on the connection: %v", dialect, a)
			}
		}
	}
	// No lock that was held during a panic stays locked: neither for users whose names share it,
	// nor for the same user when the cause is gone.
	l.users.panics.Store("")
	l.add("boom", session.Session{})
	if a := l.ask("envoy", "GET", "/", login("boom")); a.status != 200 {
		t.Errorf("afterwards: %v", a)
	}
	if n := strings.Count(l.log.String(), "BUG: a check panicked"); n != 9 {
		t.Errorf("%d lines in the log, want 9", n)
	}
}

// More connections than allowed cause no error that a proxy might let through.
func TestTooManyConnections(t *testing.T) {
	l := start(t, func(o *options) { o.server.MaxConnections = 2 })
	l.add("alice", session.Session{})
	for range 2 {
		client := l.client()
		defer client.close()
		if a := client.ask(request("envoy", "GET", "/", login("alice"))); a.status != 200 {
			t.Fatal(a)
		}
	}
	for range 3 {
		c := l.dial()
		go io.WriteString(c, request("envoy", "GET", "/", login("alice"), "Connection: close"))
		answer, _ := io.ReadAll(c)
		c.Close()
		if strings.HasPrefix(string(answer), "HTTP/1.1 5") || strings.HasPrefix(string(answer), "HTTP/1.1 2") {
			t.Errorf("one connection too many is answered %q", answer)
		}
	}
}

// However many connections there are, fasthttp's own bound, which it answers with 503, is never
// reached.
func TestManyTooManyConnections(t *testing.T) {
	l := start(t, func(o *options) { o.server.MaxConnections = 1 })
	l.add("alice", session.Session{})
	first := l.client()
	defer first.close()
	if a := first.ask(request("envoy", "GET", "/", login("alice"))); a.status != 200 {
		t.Fatal(a)
	}
	var crowd []*client
	for range 2000 {
		crowd = append(crowd, l.client()) // each has its place before it says anything
	}
	for i, c := range crowd {
		if a := c.ask(request("envoy", "GET", "/", login("alice"))); a.status != 403 || a.body != `{"error": "Request not understood"}` {
			t.Fatalf("connection %d: %v", i, a)
		}
		c.close()
	}
	if a := first.ask(request("envoy", "GET", "/", login("alice"))); a.status != 200 {
		t.Errorf("who was there first: %v", a)
	}
}

// T-11: a wrong password or signature is answered with the same bytes for every user.
func TestT11SameBytes(t *testing.T) {
	l := start(t, withSigned)
	l.add("active", session.Session{Alias: "A", Tags: []string{"a"}, Rate: 5, Per: 1, QuotaMax: 7})
	l.add("inactive", session.Session{IsInactive: true})
	l.add("expired", session.Session{Expires: 1})
	l.add("elsewhere", session.Session{AccessRights: map[string]session.Right{"off": {}}})
	l.add("remembered", session.Session{QuotaMax: 7})
	l.add("signer", session.Session{HMACEnabled: true, HMACString: "secret"})
	if a := l.ask("nginx", "GET", "/", login("remembered")); a.status != 200 {
		t.Fatal(a)
	}
	date := dateNow()
	for _, dialect := range dialectNames {
		for _, target := range []string{"/", "/orders", "/signed/x"} {
			for what, header := range map[string]func(user string) []string{
				"password": func(user string) []string {
					return []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":wrong"))}
				},
				"signature": func(user string) []string { return signGet(user, "wrong", target, date) },
			} {
				want := l.send(request(dialect, "GET", target, append(header("unknown"), "Connection: close")...))
				for _, user := range []string{"active", "inactive", "expired", "elsewhere", "remembered", "signer", "unknown too"} {
					if got := l.send(request(dialect, "GET", target, append(header(user), "Connection: close")...)); got != want {
						t.Errorf("%s, %s, %s of %s:\n%s\nnobody gets\n%s", dialect, target, what, user, got, want)
					}
				}
			}
		}
	}
}
