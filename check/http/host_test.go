package http

import (
	"os"
	"strings"
	"testing"

	"sidekey/auth"
	"sidekey/auth/route"
	"sidekey/auth/session"
)

// T-101: in every dialect, what some reader takes for admin.example.com is not asked about
// as a host that no API has, which would lead it to the API for all others.
func TestT101Hosts(t *testing.T) {
	text, err := os.ReadFile("testdata/hosts.txt")
	if err != nil {
		t.Fatal(err)
	}
	spellings := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(spellings) < 40 {
		t.Fatalf("only %d spellings", len(spellings))
	}
	l := start(t, func(o *options) {
		o.apis = []route.API{
			{ID: "any", Org: "default", ListenPath: "/", Realm: "Any", Active: true},
			{ID: "admin", Org: "default", ListenPath: "/", Hosts: []string{"admin.example.com"}, Realm: "Admin", Active: true},
		}
	})
	l.add("alice", session.Session{AccessRights: map[string]session.Right{"any": {APIID: "any"}}})
	for _, dialect := range dialectNames {
		ask := func(dialect, host string) string {
			return asked(t, l, dialect, host)
		}
		for _, host := range []string{"example.com", "public.example.com:80", "127.0.0.1", "[::1]:8000", "xadmin.example.com", "admin.example.com.h"} {
			if got := ask(dialect, host); got != "200 " {
				t.Errorf("%s: %q: %s", dialect, host, got)
			}
		}
		for _, host := range []string{"admin.example.com", "ADMIN.example.com:80", "admin.example.com.", "Admin.Example.Com.:8000"} {
			if got := ask(dialect, host); got != "403 Access to this API has been disallowed" {
				t.Errorf("%s: %q: %s", dialect, host, got)
			}
		}
		// Some of them are no Host header for fasthttp, whatever they are for sidekey.
		unread := 0
		for _, host := range spellings {
			got := ask(dialect, host)
			switch {
			case got == "403 Request not understood" && dialect != "forward":
				unread++
				continue
			case got != "403 Path not allowed":
				t.Errorf("%s: %q: %s", dialect, host, got)
			}
			// The proxy names the API, so that the host decides nothing.
			if got := ask(dialect+"@any", host); got != "200 " {
				t.Errorf("%s@any: %q: %s", dialect, host, got)
			}
		}
		if read := len(spellings) - unread; read < 20 {
			t.Errorf("%s: only %d spellings reach the decision", dialect, read)
		}
		if got := ask(dialect, ""); got != "403 Request metadata missing" && got != "403 "+"Request not understood" {
			t.Errorf("%s: no host: %s", dialect, got)
		}
	}
}

// asked asks about a request to a host by alice, and returns the status that the client
// sees and the message.
func asked(t *testing.T, l *listener, dialect, host string) string {
	t.Helper()
	question := request(dialect, "GET", "/", login("alice"), "Connection: close")
	name := "\r\nHost: "
	if strings.HasPrefix(dialect, "forward") {
		name = "\r\nX-Forwarded-Host: "
	}
	question = strings.Replace(question, name+"example.com", name+host, 1)
	a := parseAnswer(t, l.send(question))
	status := a.get("X-Error-Status")
	if status == "" {
		status = "200"
	}
	return status + " " + a.get("X-Error-Message")
}

// T-101: explain tells which host it is about.
func TestT101ExplainHost(t *testing.T) {
	l := start(t, func(o *options) {
		o.apis = []route.API{
			{ID: "any", Org: "default", ListenPath: "/", Realm: "Any", Active: true},
			{ID: "admin", Org: "default", ListenPath: "/", Hosts: []string{"admin.example.com"}, Realm: "Admin", Active: true},
		}
	})
	f := func(q auth.Question, want auth.Step) {
		t.Helper()
		e, err := Explain(l.handler, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range e.Steps {
			if s.Check == auth.AmbiguousPath.String() && s == want {
				return
			}
		}
		t.Errorf("%+v: %+v, want %+v", q, e.Steps, want)
	}
	const hint = "APIs have hosts, so the Host header must be a registered name, an IPv4 or an [IPv6] address, with at most one :port"
	f(auth.Question{Host: "admin.example.com,h"}, auth.Step{Check: "ambiguous_path", Value: `host "admin.example.com,h"`, Hint: hint})
	f(auth.Question{Host: "admin.example.com,h", API: "any"}, auth.Step{Check: "ambiguous_path", Passed: true, Value: `path "/"`})
	f(auth.Question{Host: "a.org", Path: "//admin.example.com/x"}, auth.Step{Check: "ambiguous_path", Value: `path "//admin.example.com/x"`,
		Hint: "another reader of this path would see it at another API, or find another host in it: send it without // at its beginning, escapes of slashes, dot segments and ; parameters"})
}
