package auth

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/route"
	"sidekey/auth/session"
)

// An expiry is a second: at it the user is expired, before it not.
func TestCheckExpires(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	at := w.clock.wall.Load() / 1e9
	f := func(expires, wall int64, want Reason) {
		t.Helper()
		w.put("default", "ann", "pw", func(s *session.Session) { s.Expires = expires })
		w.clock.wall.Store(wall)
		if v := w.ask("ann", "pw"); v.Reason != want {
			t.Errorf("expires %d, now %d: %v, want %v", expires, wall, v.Reason, want)
		}
	}
	f(0, at*1e9, Pass)
	f(-1, at*1e9, Pass)
	f(1, at*1e9, Expired)
	f(at, at*1e9-1, Pass)
	f(at, at*1e9, Expired)
	f(at, at*1e9+1, Expired)
	f(at+1, at*1e9+999_999_999, Pass)
	f(1<<62, at*1e9, Pass)
}

// A request that waited for its password to be hashed is judged by the time after that, not by the
// time of its arrival.
func TestCheckExpiresWhileHashing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api("orders", "/"))
		w.put("default", "ann", "pw", func(s *session.Session) { s.Expires = w.clock.wall.Load()/1e9 + 5 })
		w.hash.Gate = make(chan struct{})
		reason := make(chan Reason)
		go func() { reason <- w.ask("ann", "pw").Reason }()
		synctest.Wait()
		w.clock.pass(5 * time.Second)
		close(w.hash.Gate)
		if got := <-reason; got != Expired {
			t.Errorf("%v", got)
		}
	})
}

// A store that cannot be read is the one reason for a 503.
func TestCheckStoreDown(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", nil)
	w.put("default", "bob", "pw", nil)
	w.want("ann", "pw", Pass)
	w.memory.fail(ErrStoreDown)
	w.want("ann", "pw", Pass) // active: the store is not asked
	if v := w.want("bob", "pw", Unavailable); v.Retry != time.Second {
		t.Errorf("come back after %v", v.Retry)
	}
	w.want("absent", "pw", Unavailable)
	w.memory.fail(ErrDamaged)
	w.want("bob", "pw", BadCredentials)
	w.memory.fail(nil)
	w.want("bob", "pw", Pass)
}

func TestAPIVersion(t *testing.T) {
	versioned := api("orders", "/")
	versioned.Versions, versioned.VersionHeader, versioned.DefaultVersion = []string{"v1", "v2"}, "x-api-version", "v1"
	noDefault := versioned
	noDefault.DefaultVersion = "v3"
	f := func(a route.API, headers map[string][]string, want string, known bool) {
		t.Helper()
		got, ok := versionOf(&a, &Request{Headers: fakeHeaders(headers)})
		if got != want || ok != known {
			t.Errorf("%v: %q, %v; want %q, %v", headers, got, ok, want, known)
		}
	}
	const name = "x-api-version"
	f(versioned, nil, "v1", true)
	f(versioned, map[string][]string{name: {"v1"}}, "v1", true)
	f(versioned, map[string][]string{name: {"v2"}}, "v2", true)
	f(versioned, map[string][]string{name: {"v3"}}, "", false)
	f(versioned, map[string][]string{name: {"V1"}}, "", false)
	f(versioned, map[string][]string{name: {""}}, "", false)
	f(versioned, map[string][]string{name: {"v1 "}}, "", false)
	f(versioned, map[string][]string{name: {"v1", "v2"}}, "", false)
	f(versioned, map[string][]string{name: {"v1", "v1"}}, "", false)
	f(versioned, map[string][]string{"other": {"v3"}}, "v1", true)
	f(noDefault, nil, "", false)
	f(noDefault, map[string][]string{name: {"v2"}}, "v2", true)
	// Unversioned: the header means nothing.
	f(api("orders", "/"), map[string][]string{name: {"v9", "v8"}}, "Default", true)
	if v, ok := versionOf(new(route.API), &Request{}); v != "" || !ok {
		t.Errorf("%q, %v", v, ok)
	}
}

func TestGranted(t *testing.T) {
	f := func(versions []string, version string, want bool) {
		t.Helper()
		if got := granted(versions, version); got != want {
			t.Errorf("%q of %q: %v", version, versions, got)
		}
	}
	f(nil, "v1", true)
	f([]string{}, "v1", true)
	f([]string{"v1"}, "v1", true)
	f([]string{"v1", "v2"}, "v2", true)
	f([]string{"v1"}, "v2", false)
	f([]string{"v1"}, "V1", false)
	f([]string{"v1"}, "v", false)
	f([]string{"v1"}, "", false)
}

// Decisions are pooled: a released one keeps nothing of its request, above all no password (T-09).
func TestT09ReleasedDecisionKeepsNothing(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "open sesame", nil)
	for _, r := range []*Request{
		request("ann", "open sesame"), request("ann", "wrong sesame"),
		{Headers: fakeHeaders{}, URI: []byte("/"), AuthorizationCount: 1, Authorization: []byte(basic("ann\x00", "open sesame"))},
	} {
		d := w.checker.start(w.clock.now(), r, new(Verdict))
		d.decide()
		d.release()
		if bytes.Contains(d.basic.buf[:], []byte("sesame")) || d.basic.given.Password != nil || d.request != nil || d.verdict != nil || d.account != nil || d.way != nil {
			t.Errorf("%s: a released decision still has %+v", r.Authorization, d.basic)
		}
	}
}
