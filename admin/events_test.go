package admin

import (
	"slices"
	"sync"
	"testing"

	"sidekey/auth/session"
	"sidekey/store"
)

// told is a KeyEvents that records its calls.
type told struct {
	mu   sync.Mutex
	what []string
}

func (e *told) Created(n session.Name) { e.add("created " + n.KeyID()) }
func (e *told) Updated(n session.Name) { e.add("updated " + n.KeyID()) }
func (e *told) Deleted(n session.Name) { e.add("deleted " + n.KeyID()) }

func (e *told) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.what = append(e.what, what)
}

// Each write of a user is reported, in both dialects, and nothing else is.
func TestKeyEvents(t *testing.T) {
	events := &told{}
	l := start(t, func(c *Config) { c.KeyEvents = events })
	f := func(method, path, body string, want ...string) {
		t.Helper()
		events.what = nil
		l.ask(method, path, body)
		if !slices.Equal(events.what, want) {
			t.Errorf("%s %s: told of %q, want %q", method, path, events.what, want)
		}
	}
	const session = `{"basic_auth_data":{"password":"pw"}}`
	f("POST", "/tyk/policies", `{"id":"gold","org_id":"default","access_rights":{"rest":{}}}`)
	f("POST", "/tyk/keys/alice", session, "created defaultalice")
	f("POST", "/tyk/keys/alice", session, "updated defaultalice")
	f("PUT", "/tyk/keys/alice?suppress_reset=1", session, "updated defaultalice")
	f("PUT", "/tyk/keys/policy/alice", `{"apply_policies":["gold"]}`, "updated defaultalice")
	f("GET", "/tyk/keys/alice", "")
	f("POST", "/tyk/keys/preview", session)
	f("POST", "/tyk/keys/reset/alice", "")
	f("DELETE", "/tyk/keys/alice", "", "deleted defaultalice")
	f("DELETE", "/tyk/keys/alice", "")
	f("PUT", "/tyk/keys/alice", session)
	f("PUT", "/tyk/keys/policy/alice", `{"apply_policies":["gold"]}`)
	f("POST", "/tyk/keys/alice", `{"rate":"x"}`)

	f("POST", "/api/apis/keys/basic/bob", session, "created defaultbob")
	f("PUT", "/api/apis/keys/basic/bob", session, "updated defaultbob")
	f("PUT", "/api/keys/defaultbob", session, "updated defaultbob")
	f("DELETE", "/api/keys/defaultbob", "", "deleted defaultbob")
	f("POST", "/api/keys/defaultcarol", session, "created defaultcarol")
	f("DELETE", "/api/apis/keys/basic/carol", "", "deleted defaultcarol")

	// A write that failed, or may have failed, is not reported.
	l.users.Fail(store.ErrOutcomeUnknown)
	f("POST", "/tyk/keys/dave", session)
}
