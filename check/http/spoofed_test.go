package http

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sidekey/auth/route"
	"sidekey/auth/session"
)

// spoofed are headers that a client may send and that some gateway has believed or let through
// under another spelling. None belongs to the dialect that is asked.
func spoofed(dialect string) (list []string) {
	own := map[string][]string{
		"envoy":   {"Host", "X-Forwarded-For"},
		"nginx":   {"Host", "X-Forwarded-For", "X-Original-Method", "X-Original-Uri"},
		"forward": {"Host", "X-Forwarded-For", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"},
	}[dialect]
	metadata := map[string]string{
		"X-Original-Method": "GET", "X-Original-Uri": "/open", "X-Original-Url": "/open", "X-Original-Host": "open.example.com",
		"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/open", "X-Forwarded-Host": "open.example.com", "X-Forwarded-Proto": "https",
		"X-Forwarded-Port": "443", "X-Forwarded-Prefix": "/open", "X-Forwarded-Server": "open", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Path": "/open",
		"X-Rewrite-Url": "/open", "X-Request-Uri": "/open", "X-Override-Url": "/open", "X-Auth-Request-Redirect": "/open",
		"X-Envoy-Original-Path": "/open", "X-Envoy-Original-Host": "open.example.com", "X-Envoy-Internal": "true", "X-Envoy-External-Address": "127.0.0.1", "X-Envoy-Decorator-Operation": "open",
		"X-Real-Ip": "127.0.0.1", "X-Client-Ip": "127.0.0.1", "X-Cluster-Client-Ip": "127.0.0.1", "True-Client-Ip": "127.0.0.1", "Cf-Connecting-Ip": "127.0.0.1", "Client-Ip": "127.0.0.1", "Via": "1.1 open",
		"Forwarded": "for=127.0.0.1;host=open.example.com;proto=https", "X-Host": "open.example.com", "Host": "open.example.com",
		"X-Http-Method-Override": "GET", "X-Http-Method": "GET", "X-Method-Override": "GET",
		"X-Auth-User": "root", "X-Auth-Org": "root", "X-Auth-Tags": "admin", "X-Auth-Policies": "admin", "X-Error-Status": "200",
		"Authorization": "", "Proxy-Authorization": "Basic cm9vdDpwdyBvZiByb290", "X-Authorization": "Basic cm9vdDpwdyBvZiByb290", "X-Tyk-Authorization": "x", "Authentication": "Basic cm9vdDpwdyBvZiByb290",
		"User-Agent": "kube-probe/1.30", "Referer": "http://localhost/open", "Origin": "http://localhost", "Cookie": "Authorization=Basic%20cm9vdDpwdyBvZiByb290",
		"Api-Version": "v2", "X-Sidekey-Shadow": "1", "Upgrade": "websocket", "Expect": "nothing",
	}
	for name, value := range metadata {
		spellings := []string{name, strings.ToLower(name), strings.ToUpper(name)}
		if slices.Contains(own, name) || name == "Authorization" {
			spellings = nil
		}
		if dashed := strings.ReplaceAll(name, "-", "_"); dashed != name {
			spellings = append(spellings, dashed, strings.ReplaceAll(name, "-", "."), strings.ReplaceAll(name, "-", ""), name+"_", name+"-", "_"+name, "X-"+name)
		}
		for _, spelling := range spellings {
			list = append(list, spelling+": "+value)
		}
	}
	for _, option := range []string{"authorization", "Authorization, x-forwarded-for", "x-original-uri, x-original-method", "host", "close, x-auth-user", "keep-alive, authorization"} {
		list = append(list, "Connection: "+option)
	}
	list = append(list, "X-Folded: a\r\n X-Original-URI: /open", "X-Folded: a\r\n\tAuthorization: Basic cm9vdDpwdyBvZiByb290", "TE: trailers", "Trailer: X-Original-URI")
	slices.Sort(list)
	return list
}

// T-21, T-22, T-23: headers that the proxy's dialect does not use change nothing: not the user,
// not the rights, not a byte of the reply.
func TestT21SpoofedHeadersChangeNothing(t *testing.T) {
	l := start(t, func(o *options) {
		o.apis = append(o.apis, route.API{ID: "open", Org: "default", ListenPath: "/", Hosts: []string{"open.example.com"}, Realm: "Open", Active: true})
	})
	l.add("alice", session.Session{Alias: "Alice", AccessRights: map[string]session.Right{
		"open": {}, "rest": {AllowedURLs: []session.AllowedURL{{URL: "/open", Methods: []string{"GET"}}}},
	}})
	l.add("root", session.Session{})
	asked := 0
	for _, dialect := range dialectNames {
		list := spoofed(dialect)
		client := l.client()
		for what, q := range map[string]struct {
			method, target string
			header         []string
			status         int
		}{
			"granted":        {"GET", "/open", []string{login("alice")}, 200},
			"another URL":    {"GET", "/closed", []string{login("alice")}, 403},
			"another method": {"DELETE", "/open", []string{login("alice")}, 403},
			"another API":    {"GET", "/orders/1", []string{login("alice")}, 403},
			"wrong password": {"GET", "/open", []string{basic("alice", "x")}, 401},
			"no credentials": {"GET", "/open", nil, 401},
			"inactive API":   {"GET", "/off", []string{login("alice")}, 403},
		} {
			plain := l.ask(dialect, q.method, q.target, q.header...)
			if plain.status != q.status {
				t.Fatalf("%s, %s: %v", dialect, what, plain)
			}
			for _, line := range list {
				for _, header := range [][]string{append([]string{line}, q.header...), append(slices.Clone(q.header), line)} {
					asked++
					got := client.ask(request(dialect, q.method, q.target, header...))
					if strings.HasPrefix(line, "Connection: close") {
						client.close()
						client = l.client()
					}
					if got.String() != plain.String() {
						t.Errorf("%s, %s with %q: %v, want %v", dialect, what, line, got, plain)
					}
				}
			}
		}
		client.close()
	}
	t.Logf("%d requests", asked)
}

// T-22: headers that a proxy copies from an admitted reply overwrite those that a client sent
// under their names: every header is there, even if it is empty.
func TestT22EveryIdentityHeaderIsSent(t *testing.T) {
	l := start(t, func(o *options) { o.meta = map[string]string{"developer": "X-Developer-Id"} })
	l.add("alice", session.Session{})
	for _, dialect := range dialectNames {
		a := l.ask(dialect, "GET", "/", login("alice"), "X-Auth-Alias: root", "X-Auth-Tags: admin", "X-Auth-Policies: all", "X-Developer-Id: 1")
		for _, want := range []string{"X-Auth-User: alice", "X-Auth-Org: default", "X-Auth-Alias: ", "X-Auth-Tags: ", "X-Auth-Policies: ", "X-Developer-Id: "} {
			if n := strings.Count(fmt.Sprintf("%s\n", strings.Join(a.header, "\n")), want+"\n"); n != 1 {
				t.Errorf("%s: %q stands there %d times: %v", dialect, want, n, a)
			}
		}
	}
}

// A repeated header that must be there once is a refusal, not a guess which one counts. The same
// name in another place is not a repetition.
func TestT21DuplicatesAreRefused(t *testing.T) {
	l := start(t)
	l.add("alice", session.Session{})
	for _, dialect := range dialectNames {
		for _, line := range strings.Split(request(dialect, "GET", "/", login("alice")), "\r\n")[1:] {
			name, value, found := strings.Cut(line, ": ")
			if !found || dialect == "forward" && name == "Host" {
				continue
			}
			for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
				for _, other := range []string{value, "", "x"} {
					a := l.ask(dialect, "GET", "/", login("alice"), spelling+": "+other)
					wanted := `{"error": "Request metadata missing"}`
					switch name {
					case "Host":
						wanted = `{"error": "Request not understood"}`
					case "Authorization":
						wanted = `{"error": "Attempted access with malformed header, header not in basic auth format"}`
					}
					if a.status/100 != 4 || a.body != wanted {
						t.Errorf("%s with a second %s: %s: %v, want %s", dialect, spelling, other, a, wanted)
					}
				}
			}
		}
	}
}
