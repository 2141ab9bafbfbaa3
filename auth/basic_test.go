package auth

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"sidekey/auth/session"
)

// An Authorization header without a value is none: HAProxy and others send one where the
// client had none, and Tyk answers the same to both.
func TestCheckEmptyAuthorization(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	r := request("ann", "pw")
	r.Authorization = []byte{}
	if v := w.check(r); v.Reason != NoCredentials {
		t.Errorf("%v: %s", v.Reason, v.Message)
	}
}

// The message of malformed credentials is the one of Tyk's three that fits.
func TestCheckMalformed(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	f := func(header string, count int, want Malformed) {
		t.Helper()
		r := request("", "")
		r.Authorization, r.AuthorizationCount = []byte(header), count
		if v := w.check(r); v.Reason != MalformedCredentials || v.Message != string(want) {
			t.Errorf("%q: %v %q", header, v.Reason, v.Message)
		}
	}
	f("Bearer x", 1, notBasic)
	f(basic("ann", "pw"), 2, notBasic)
	f(basic("ann", "pw")+","+basic("ann", "pw"), 1, notBasic)
	f("Basic !", 1, notBase64)
	f("Basic "+encode("ann"), 1, notTwoPart)
	f(basic("ann", ""), 1, notTwoPart)
	if got := w.hash.Count.Load(); got != 0 {
		t.Errorf("%d hashes for headers that no user could log in with", got)
	}
}

// T-11: a client without the right password cannot learn whether a user exists: the verdict and the work
// are the same for every kind of user and every kind of wrong password.
func TestT11SameVerdict(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "active", "pw", nil)
	w.put("default", "inactive", "pw", func(s *session.Session) { s.IsInactive = true })
	w.put("default", "expired", "pw", func(s *session.Session) { s.Expires = 1 })
	w.put("default", "limited", "pw", func(s *session.Session) { s.Rate, s.Per, s.QuotaMax = 1, 1000, 1 })
	w.put("default", "without", "", nil)
	w.put("default", "nothing granted", "pw", func(s *session.Session) { s.AccessRights = map[string]session.Right{"other": {}} })
	w.put("other", "elsewhere", "pw", nil)
	w.want("limited", "pw", Pass)
	w.want("limited", "pw", RateExceeded)
	for _, password := range []string{"x", "pw2", strings.Repeat("p", 72), strings.Repeat("p", 73), strings.Repeat("p", 1024), plain("pw"), "pw\x00", "", strings.Repeat("p", 1025)} {
		w.hash.Take()
		want := w.ask("absent", password)
		work := len(w.hash.Take())
		for _, user := range []string{"active", "inactive", "expired", "limited", "without", "nothing granted", "elsewhere", "missing"} {
			got := w.ask(user, password)
			got.Named = nil // for the operator's log; no answer is made from it
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s with %.10q: %+v, an unknown user gets %+v", user, password, got, want)
			}
			if got := len(w.hash.Take()); got != work {
				t.Errorf("%s with %.10q: %d hashes, an unknown user costs %d", user, password, got, work)
			}
		}
	}
	if w.ask("absent", "x").Account != nil {
		t.Error("an unknown user has an account")
	}
}

// T-51: a user who is logged in is not refused because others fail on the same name.
func TestT51FailuresDoNotLockOut(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", nil)
	w.want("ann", "pw", Pass)
	stop := make(chan struct{})
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if v := w.ask("ann", fmt.Sprint("wrong", g, i)); v.Reason != BadCredentials && v.Reason != Busy {
					t.Errorf("a wrong password: %v", v.Reason)
				}
			}
		})
	}
	for range 100_000 {
		w.want("ann", "pw", Pass)
	}
	close(stop)
	group.Wait()
}
