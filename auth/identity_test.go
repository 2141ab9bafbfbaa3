package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"sidekey/auth/session"
)

// T-07: 256 users at once, each its own identity (tinyauth CVE-2026-33544 mixed them).
func TestT07Identity(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	var group sync.WaitGroup
	for g := range 256 {
		user, password := fmt.Sprintf("user-%d", g), fmt.Sprintf("password-%d", g)
		w.put("default", user, password, func(s *session.Session) { s.Alias, s.QuotaMax = "alias of "+user, 1_000_000 })
		group.Go(func() {
			for i := range 1000 {
				v := w.ask(user, password)
				if v.Reason != Pass || v.Account.User() != user || identity(v.Account, "X-Auth-Alias") != "alias of "+user {
					t.Errorf("%s: %v as %v", user, v.Reason, v.Account)
					return
				}
				if want := int64(1_000_000 - i - 1); v.Quota.Remaining != want {
					t.Errorf("%s: request %d leaves %d", user, i, v.Quota.Remaining)
				}
			}
		})
	}
	group.Wait()
}

// All headers for the upstream are always there, empty without a value, so that a proxy overwrites
// those of the client (Caddy CVE-2026-30851); and none has a value that is not a header (T-83).
func TestT83Identity(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.setCompiler(w.compiler(map[string]string{"dev": "X-Dev", "list": "X-List", "a": "X-A"}))
	f := func(change func(s *session.Session), want ...string) {
		t.Helper()
		w.put("default", "ann", "pw", change)
		v := w.want("ann", "pw", Pass)
		var got []string
		for name, value := range v.Account.Identity {
			got = append(got, fmt.Sprintf("%s: %s", name, value))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
	}
	f(nil, "X-Auth-User: ann", "X-Auth-Org: default", "X-Auth-Alias: ", "X-Auth-Tags: ", "X-Auth-Policies: ", "X-A: ", "X-Dev: ", "X-List: ")
	f(func(s *session.Session) {
		s.Alias, s.Tags = "Ann Ä", []string{"a", "b"}
		s.MetaData = mustMeta(t, `{"dev":"d 1","list":[1,"x"],"other":"o"}`)
	}, "X-Auth-User: ann", "X-Auth-Org: default", "X-Auth-Alias: Ann Ä", "X-Auth-Tags: a,b", "X-Auth-Policies: ", "X-A: ", "X-Dev: d 1", `X-List: [1,"x"]`)
	// Written before its name was made a header's.
	for _, bad := range []string{`"a\r\nX-Admin: 1"`, `"\u0000"`, `"\u007f"`, `"\u0085"`, `"\u202e"`, `"` + strings.Repeat("x", 1025) + `"`, "[1,\n2]"} {
		f(func(s *session.Session) { s.MetaData = mustMeta(t, `{"dev":`+bad+`}`) },
			"X-Auth-User: ann", "X-Auth-Org: default", "X-Auth-Alias: ", "X-Auth-Tags: ", "X-Auth-Policies: ", "X-A: ", "X-Dev: ", "X-List: ")
	}
}

// Names that look alike are different users, or none: nothing folds, composes or trims
// them (T-81).
func TestT81Homographs(t *testing.T) {
	names := []string{"ann", "Ann", "ANN", "\u0430nn", "\uff41nn", "a\u0301nn", "\u00e1nn", "ann\u200d", "ann\u200b", "a\u00adnn", "ann.", "ann ", "ſnn", "snn", "ınn", "inn"}
	w := newWorld(t, api("orders", "/"))
	for i, name := range names {
		if session.CheckNames("default", name) == nil {
			w.put("default", name, "pw-"+string(rune('a'+i)), nil)
		}
	}
	for i, name := range names {
		for j := range names {
			v := w.ask(name, "pw-"+string(rune('a'+j)))
			if right := i == j && session.CheckNames("default", name) == nil; (v.Reason == Pass) != right {
				t.Errorf("%q with the password of %q: %v", name, names[j], v.Reason)
			}
			if v.Reason == Pass && v.Account.User() != name {
				t.Errorf("%q became %q", name, v.Account.User())
			}
		}
	}
}
