package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sidekey/auth/route"
	"sidekey/auth/session"
)

// withSigned adds an API that takes signed requests.
func withSigned(o *options) {
	o.apis = append(o.apis, route.API{ID: "signed", Org: "default", ListenPath: "/signed", Realm: "Signed", Active: true, HMAC: true})
}

// sign returns the header with which a user has signed lines, which the draft makes of names.
func sign(user, secret, names string, lines ...string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.Join(lines, "\n")))
	return fmt.Sprintf(`Authorization: Signature keyId="default%s",algorithm="hmac-sha256",headers="%s",signature="%s"`,
		user, names, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// signGet returns the headers of a GET of target at example.com.
func signGet(user, secret, target, date string) []string {
	return []string{"Date: " + date, sign(user, secret, "(request-target) host date", "(request-target): get "+target, "host: example.com", "date: "+date)}
}

func dateNow() string { return time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

// On many connections at once, with alternating users on each who sign or log in, no user is ever
// taken for another.
func TestSignedIdentityDoesNotBleed(t *testing.T) {
	l := start(t, withSigned)
	const users, connections, requests = 20, 16, 80
	name := func(i int) string { i %= users; return fmt.Sprintf("user-%d-%s", i, strings.Repeat("x", i)) }
	for i := range users {
		s := session.Session{Tags: []string{name(i)}}
		if i%4 != 0 {
			s.HMACEnabled, s.HMACString = true, "secret of "+name(i)
		}
		l.add(name(i), s)
	}
	date := dateNow()
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			client := l.client()
			defer client.close()
			for i := range requests {
				who := c*7 + i*13
				user, dialect := name(who), dialectNames[(c+i)%3]
				target := fmt.Sprintf("/signed/%d/%d", c, i)
				header, want := signGet(user, "secret of "+user, target, date), 200
				switch {
				case who%users%4 == 0 && i%2 == 0:
					header = []string{login(user)}
				case who%users%4 == 0:
					want = 401
				case i%5 == 4:
					header, want = signGet(user, "secret of "+name(who+1), target, date), 401
				}
				a := client.ask(request(dialect, "GET", target, header...))
				if a.status != want || want == 200 && (a.get("X-Auth-User") != user || a.get("X-Auth-Tags") != user) || want != 200 && strings.Contains(a.String(), "user-") {
					t.Errorf("%s: %v, want %d", user, a, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Every header that the proxy passes on can be signed, as the request has it.
func TestSignedHeaders(t *testing.T) {
	l := start(t, withSigned)
	l.add("ann", session.Session{HMACEnabled: true, HMACString: "secret"})
	date := dateNow()
	f := func(what string, status int, name, line string, header ...string) {
		t.Helper()
		for _, dialect := range dialectNames {
			target := "/signed/" + strings.ReplaceAll(dialect+" "+what, " ", "-")
			names, lines := "(request-target) date", []string{"(request-target): get " + target, "date: " + date}
			if name != "" {
				names, lines = names+" "+name, append(lines, line)
			}
			all := append(header, "Date: "+date, sign("ann", "secret", names, lines...))
			if a := l.ask(dialect, "GET", target, all...); a.status != status {
				t.Errorf("%s, %s: %v, want %d", what, dialect, a, status)
			}
		}
	}
	f("nothing more", 200, "", "")
	f("one", 200, "x-note", "x-note: a b", "X-Note:  a b \t")
	f("one in other capitals", 200, "X-NOTE", "x-note: a", "x-nOTE: a")
	f("several", 200, "x-note", "x-note: a, b, c", "X-Note: a", "x-note: b", "X-NOTE: c")
	f("several in another order", 401, "x-note", "x-note: b, a", "X-Note: a", "x-note: b")
	f("one of several", 401, "x-note", "x-note: a", "X-Note: a", "x-note: b")
	f("empty", 200, "x-note", "x-note: ", "X-Note:")
	f("absent", 401, "x-note", "x-note: ")
	f("cookie", 200, "cookie", "cookie: a=1; b=2", "Cookie: a=1; b=2")
	f("content type", 200, "content-type", "content-type: text/plain", "Content-Type: text/plain")
	f("user agent", 200, "user-agent", "user-agent: me", "User-Agent: me")
	f("host of the client", 200, "host", "host: example.com")
	f("another host", 401, "host", "host: example.org")
	f("host of this listener", 401, "host", "host: sidekey")
	f("two dates", 401, "", "", "Date: "+date)
}
