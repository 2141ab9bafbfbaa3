package admin

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// T-70: a request under a name that does not belong to this listener is refused, even if everything
// else is right.
func TestHost(t *testing.T) {
	l := start(t)
	const user = `{"basic_auth_data":{"password":"pw"}}`
	good := func(host string) {
		t.Helper()
		if a := l.ask("GET", "/healthz", "", "Host: "+host); a.status != 200 {
			t.Errorf("Host %q: %v", host, a)
		}
		if a := l.ask("POST", "/tyk/keys/alice", user, "Host: "+host); a.status != 200 {
			t.Errorf("Host %q: %v", host, a)
		}
	}
	good("127.0.0.1")
	good("127.0.0.1:9192")
	good("127.8.8.8:1")
	good("localhost")
	good("localhost:9192")
	good("LocalHost:9192")
	good("[::1]")
	good("[::1]:9192")
	good("[::ffff:127.0.0.1]:9192")
	good("admin.example.com")
	good("admin.example.com:443")
	good("ADMIN.example.com")

	before := l.users.Dump()
	refused := func(host string, status int, text string) {
		t.Helper()
		for _, target := range []string{"/healthz", "/readyz", "/hello", "/", "/nothing"} {
			l.ask("GET", target, "", "Host: "+host).want(t, "Host "+host, status, gatewayError(text))
		}
		l.ask("POST", "/tyk/keys/mallory", user, "Host: "+host).want(t, "Host "+host, status, gatewayError(text))
		l.ask("DELETE", "/api/apis/keys/basic/alice", "", "Host: "+host).want(t, "Host "+host, status, dashboardError(text))
	}
	bad := func(host string) {
		t.Helper()
		refused(host, 403, "Host is not a loopback name and not one of admin.hosts")
	}
	// noHost matches values that a Host header cannot have.
	noHost := func(host string) {
		t.Helper()
		refused(host, 400, "Request malformed: not an HTTP request")
	}
	bad("evil.com")
	bad("evil.com:9192")
	bad("127.0.0.1.nip.io")
	bad("127.0.0.1.nip.io:9192")
	bad("localhost.evil.com")
	bad("evil-localhost")
	bad("localhost.")
	bad("127.0.0.1.")
	bad("admin.example.com.")
	bad("sub.admin.example.com")
	bad("admin.example.com.evil.com")
	bad("0.0.0.0")
	bad("0.0.0.0:9192")
	bad("[::]")
	bad("[::]:9192")
	bad("10.0.0.1:9192")
	bad("192.0.2.1")
	bad("127.0.0.1:@evil.com")
	bad("127.0.0.1:80@evil.com")
	bad("[fe80::1]")
	bad("2130706433")
	bad("0x7f000001")
	bad("0x7f.0.0.1")
	bad("127.1")
	bad("0177.0.0.1")
	bad("127.0.0.01")
	bad("localhost@evil.com")
	bad("evil.com@localhost")
	noHost("localhost, evil.com")
	noHost("localhost evil.com")
	noHost("localhost:9192:evil")
	noHost("localhost%00.evil.com")
	noHost("localhost/evil.com")
	bad("null")
	bad("*")
	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}

	// No Host header, two, and a host in the request line.
	raw := func(what, request string, status int) {
		t.Helper()
		if a := parseAnswer(t, l.send(request)); a.status != status {
			t.Errorf("%s: %v, want %d", what, a, status)
		}
	}
	const end = "Authorization: " + secret + "\r\nConnection: close\r\n\r\n"
	raw("no Host", "GET /tyk/keys HTTP/1.1\r\n"+end, 400)
	raw("no Host in HTTP/1.0", "GET /tyk/keys HTTP/1.0\r\n"+end, 403)
	raw("an empty Host", "GET /tyk/keys HTTP/1.1\r\nHost:\r\n"+end, 400)
	raw("two Hosts", "GET /tyk/keys HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n"+end, 400)
	raw("absolute form", "GET http://localhost/tyk/keys HTTP/1.1\r\nHost: localhost\r\n"+end, 400)
	raw("absolute form with another Host", "GET http://localhost/tyk/keys HTTP/1.1\r\nHost: evil.com\r\n"+end, 400)
	raw("absolute form of another host", "GET http://evil.com/tyk/keys HTTP/1.1\r\nHost: localhost\r\n"+end, 400)
	raw("asterisk", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n"+end, 400)
	raw("authority form", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n"+end, 400)
}

// T-71: a request that a page of another site makes a browser send changes nothing and reveals nothing.
func TestCrossSite(t *testing.T) {
	l := start(t)
	const user = `{"basic_auth_data":{"password":"pw"}}`
	send := func(method string, header ...string) answer {
		t.Helper()
		target := "/api/apis/keys/basic/alice"
		if method == "GET" {
			target = "/api/apis/keys"
		}
		a := l.ask(method, target, user, header...)
		for _, line := range a.header {
			if strings.HasPrefix(line, "Access-Control-") {
				t.Errorf("%q: the answer allows another site: %s", header, line)
			}
		}
		return a
	}
	good := func(header ...string) {
		t.Helper()
		for _, method := range []string{"POST", "GET", "PUT", "DELETE"} {
			if a := send(method, header...); a.status != 200 {
				t.Errorf("%s with %q: %v", method, header, a)
			}
		}
	}
	good()
	good("Host: localhost:9192", "Origin: http://localhost:9192")
	good("Host: localhost:9192", "Origin: http://LOCALHOST:9192")
	good("Host: [::1]:9192", "Origin: http://[::1]:9192", "Sec-Fetch-Site: same-origin")
	good("Sec-Fetch-Site: same-origin")
	good("Sec-Fetch-Site: none")
	good("Content-Type: text/plain")

	before := l.users.Dump()
	bad := func(text string, header ...string) {
		t.Helper()
		for _, contentType := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
			for _, method := range []string{"POST", "PUT", "DELETE", "GET"} {
				a := send(method, append(header, "Content-Type: "+contentType)...)
				a.want(t, method+" with "+strings.Join(header, ", "), 403, dashboardError(text))
			}
		}
	}
	const origin, site = "Origin is another site", "Sec-Fetch-Site is another site"
	bad(origin, "Origin: null")
	bad(origin, "Origin: http://evil.com")
	bad(origin, "Origin: http://evil.com:9192")
	bad(origin, "Origin:")
	bad(origin, "Host: localhost:9192", "Origin: http://localhost")
	bad(origin, "Host: localhost:9192", "Origin: http://localhost:9193")
	bad(origin, "Host: localhost:9192", "Origin: https://localhost:9192")
	bad(origin, "Host: localhost:9192", "Origin: http://127.0.0.1:9192")
	bad(origin, "Host: localhost:9192", "Origin: http://localhost:9192.evil.com")
	bad(origin, "Host: localhost:9192", "Origin: http://localhost:9192/")
	bad(origin, "Host: localhost:9192", "Origin: http://localhost:9192 http://evil.com")
	bad(origin, "Origin: http://localhost", "Origin: http://evil.com")
	bad(origin, "Origin: http://localhost", "Origin: http://localhost")
	bad(origin, "Origin: http://evil.com", "Sec-Fetch-Site: same-origin")
	bad(site, "Sec-Fetch-Site: cross-site")
	bad(site, "Sec-Fetch-Site: same-site")
	bad(site, "Sec-Fetch-Site: anything")
	bad(site, "Sec-Fetch-Site:")
	bad(site, "Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site")
	bad(site, "Origin: http://localhost", "Sec-Fetch-Site: cross-site")
	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}

	// A preflight request is not allowed either.
	a := l.askAs("OPTIONS", "/api/apis/keys/basic/alice", "", "Origin: http://localhost", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
	if a.status/100 == 2 {
		t.Errorf("preflight: %v", a)
	}
	for _, line := range a.header {
		if strings.HasPrefix(line, "Access-Control-") {
			t.Errorf("preflight: %s", line)
		}
	}
}

// T-72: only the whole secret is accepted, once, in one of its three places.
func TestSecret(t *testing.T) {
	l := start(t)
	ask := func(target string, header ...string) answer { return l.askAs("GET", target, "", header...) }
	good := func(header ...string) {
		t.Helper()
		for _, target := range []string{"/api/apis/keys", "/tyk/keys"} {
			if a := ask(target, header...); a.status != 200 {
				t.Errorf("%q: %v", header, a)
			}
		}
	}
	good("Authorization: " + secret)
	good("authorization: " + secret)
	good("Authorization: Bearer " + secret)
	good("Authorization: bearer " + secret)
	good("AUTHORIZATION: BEARER " + secret)
	good("X-Tyk-Authorization: " + secret)
	good("x-tyk-authorization: " + secret)
	good("Authorization:   " + secret + "  ") // space around a value is no part of it

	const user = `{"basic_auth_data":{"password":"pw"}}`
	bad := func(query string, header ...string) {
		t.Helper()
		ask("/api/apis/keys"+query, header...).want(t, strings.Join(header, ", "), 401, dashboardError("Not authorised"))
		ask("/tyk/keys"+query, header...).want(t, strings.Join(header, ", "), 403, gatewayError("Attempted administrative access with invalid or missing key!"))
		ask("/nothing"+query, header...).want(t, strings.Join(header, ", "), 401, gatewayError("Not authorised"))
		// Without the secret, existing and missing paths have the same answer.
		ask("/api/nothing"+query, header...).want(t, strings.Join(header, ", "), 401, dashboardError("Not authorised"))
		l.askAs("POST", "/api/apis/keys/basic/alice"+query, user, header...).want(t, strings.Join(header, ", "), 401, dashboardError("Not authorised"))
		l.askAs("POST", "/tyk/keys/alice"+query, user, header...).want(t, strings.Join(header, ", "), 403, gatewayError("Attempted administrative access with invalid or missing key!"))
	}
	bad("")
	bad("", "Authorization:")
	bad("", "Authorization: Bearer")
	bad("", "Authorization: Bearer ")
	bad("", "Authorization: "+secret[:len(secret)-1])
	bad("", "Authorization: "+secret[1:])
	bad("", "Authorization: "+secret[:1])
	bad("", "Authorization: "+secret+"x")
	bad("", "Authorization: x"+secret)
	bad("", "Authorization: "+secret+secret)
	bad("", "Authorization: "+strings.ToUpper(secret))
	bad("", "Authorization: Basic "+secret)
	bad("", "Authorization: Token "+secret)
	bad("", "Authorization: Bearer  "+secret)
	bad("", "Authorization: Bearer Bearer "+secret)
	bad("", "Authorization: Bearer,"+secret)
	bad("", "Authorization: "+secret+", "+secret)
	bad("", "Authorization: \""+secret+"\"")
	bad("", "Authorization: "+secret, "Authorization: "+secret)
	bad("", "Authorization: wrong", "Authorization: "+secret)
	bad("", "Authorization: "+secret, "X-Tyk-Authorization: "+secret)
	bad("", "Authorization: wrong", "X-Tyk-Authorization: "+secret)
	bad("", "X-Tyk-Authorization: "+secret, "X-Tyk-Authorization: "+secret)
	bad("", "X-Tyk-Authorization: wrong")
	bad("", "Proxy-Authorization: "+secret)
	bad("", "X-Authorization: "+secret)
	bad("", "X_Tyk_Authorization: "+secret)
	bad("", "Cookie: authorization="+secret)
	bad("?authorization=" + secret + "&Authorization=" + secret + "&secret=" + secret + "&access_token=" + secret)
	bad("?x-tyk-authorization=" + secret)
	bad("", "Authorization: "+strings.Repeat("x", 20_000))
	if n := l.users.Count(); n != 0 {
		t.Errorf("%d users were made", n)
	}
	// A body of ten megabytes is not read.
	a := parseAnswer(t, l.send("GET /tyk/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: "+strings.Repeat("x", 10<<20)+"\r\n\r\n"))
	a.want(t, "10 MB", 431, gatewayError("Request malformed: the header is too large"))
}

// Health and the files of the web page need no secret on this machine. From any other, they do.
func TestOpenPages(t *testing.T) {
	l := start(t)
	f := func(address net.Addr, target string, status int) {
		t.Helper()
		before := peer
		peer = address
		defer func() { peer = before }()
		if a := l.askAs("GET", target, ""); a.status != status {
			t.Errorf("%s from %v: %v, want %d", target, address, a, status)
		}
	}
	local4, local6 := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv6loopback}
	remote4, remote6 := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1")}
	socket := &net.UnixAddr{Name: "@", Net: "unix"}
	for _, target := range []string{"/healthz", "/readyz", "/hello", "/healthz?x=1", "/readyz/", "/", "/?x=1", "/page/app.js"} {
		f(local4, target, 200)
		f(local6, target, 200)
		f(socket, target, 200)
		refused := 401
		if target == "/hello" { // in the Gateway's words
			refused = 403
		}
		f(remote4, target, refused)
		f(remote6, target, refused)
	}
	for _, target := range []string{"/tyk/keys", "/healthz/../tyk/keys", "/tyk/keys?/healthz", "//healthz", "/tyk/../healthz", "/HEALTHZ", "/healthz%00", "/tyk/keys;/healthz", "/hello/../api/apis/keys", "/page/../api/apis", "/page/app.js/../../api/apis", "/api/decisions", "/page/nothing.js", "/page"} {
		before := peer
		peer = local4
		if a := l.askAs("GET", target, ""); a.status/100 == 2 {
			t.Errorf("%s without a secret: %v", target, a)
		}
		peer = before
	}
}

// Without the secret an open page says that something is wrong, but not what. With a wrong secret, it
// is refused.
func TestT75OpenPagesTellStrangersLittle(t *testing.T) {
	health := Health{Reload: errors.New("hook.url = \"https://user:hush@example.com\": wrong"), Damaged: []string{"default/alice"}}
	l := start(t, func(c *Config) { c.Health = func() Health { return health } })
	stranger, friend := l.askAs("GET", "/readyz", ""), l.ask("GET", "/readyz", "")
	if stranger.status != 200 || strings.Contains(stranger.body, "hush") || strings.Contains(stranger.body, "alice") || !strings.Contains(stranger.body, `"config":"the file is not in force"`) {
		t.Errorf("a stranger: %v", stranger)
	}
	if friend.status != 200 || !strings.Contains(friend.body, "hush") || !strings.Contains(friend.body, "default/alice") {
		t.Errorf("with the secret: %v", friend)
	}
	for _, header := range []string{"Authorization: x", "X-Tyk-Authorization: x"} {
		if a := l.askAs("GET", "/readyz", "", header); a.status != 401 {
			t.Errorf("%s: %v", header, a)
		}
	}
	if a := l.askAs("GET", "/readyz", "", "Authorization:"); a.body != stranger.body {
		t.Errorf("an empty secret: %v", a)
	}
}

// Answers to wrong secrets are delayed, a bounded number at once. Answers to right ones are not.
func TestWrongSecretsAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guard{wrong: time.Second}
		begin := time.Now()
		var let, refused atomic.Int64
		for range maxAwaiting + 10 {
			go func() {
				if g.holdBack() {
					let.Add(1)
				} else {
					refused.Add(1)
				}
			}()
		}
		synctest.Wait()
		if let.Load() != 0 || refused.Load() != 10 {
			t.Errorf("at once: %d answered, %d refused", let.Load(), refused.Load())
		}
		time.Sleep(time.Second) // of the bubble
		synctest.Wait()
		if let.Load() != maxAwaiting || time.Since(begin) != time.Second {
			t.Errorf("after a second: %d answered", let.Load())
		}
		if !g.holdBack() {
			t.Error("no answer is delayed, but there is no room")
		}
	})
}
