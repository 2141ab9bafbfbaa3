package http

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/check"
)

// witness wants everything and counts it.
type witness struct{ count int }

func (*witness) Wants(auth.Verdict) bool { return true }
func (w *witness) Observe(*check.Record) { w.count++ }

// picky wants what it is told to want, and records it.
type picky struct {
	wants func(auth.Verdict) bool
	seen  []string
}

func (p *picky) Wants(v auth.Verdict) bool { return p.wants(v) }

func (p *picky) Observe(d *check.Record) {
	named := ""
	if d.Verdict.Named != nil {
		named = d.Verdict.Named.User()
	}
	p.seen = append(p.seen, fmt.Sprintf("%s %v user=%q %s %s from %s", d.Dialect, d.Verdict.Reason, named, d.Request.Method, d.Path(), d.Request.Client))
	if d.Took < 0 || d.At.IsZero() || d.Headers == nil {
		p.seen = append(p.seen, fmt.Sprintf("%v after %v", d.Took, d.At))
	}
}

// Observers are told of each decision that they want, also of those that end before the
// credentials are read.
func TestObserve(t *testing.T) {
	all := &picky{wants: func(auth.Verdict) bool { return true }}
	passed := &picky{wants: func(v auth.Verdict) bool { return v.Reason == auth.Pass }}
	l := start(t)
	l.add("alice", session.Session{})
	l.ask("envoy", "GET", "/unseen")
	l.handler.SetObservers(all, passed)
	l.ask("envoy", "PUT", "/a/b?c=d", login("alice"))
	l.ask("nginx", "GET", "/n", basic("alice", "wrong"))
	l.ask("forward", "GET", "/f", basic("unknown", "wrong"))
	l.ask("forward@off", "GET", "/off")
	l.send("GET /auth/nginx HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	l.send("GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	l.handler.SetObservers()
	l.ask("envoy", "GET", "/unseen", login("alice"))
	want := []string{
		`envoy pass user="alice" PUT /a/b from 192.0.2.1`,
		`nginx bad_credentials user="alice" GET /n from 192.0.2.1`,
		`forward bad_credentials user="" GET /f from 192.0.2.1`,
		`forward unknown_api user="" GET /off from 192.0.2.1`,
		`nginx proxy_config user=""   from `,
		` proxy_config user=""   from `,
	}
	if !slices.Equal(all.seen, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(all.seen, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Equal(passed.seen, want[:1]) {
		t.Errorf("of those who passed: %q", passed.seen)
	}
}
