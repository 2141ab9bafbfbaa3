package auth

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/session"
	"sidekey/limiter"
)

// used returns the state of everything that a request of a user to an API is charged to.
func (w *world) used(user, apiID string) []any {
	w.t.Helper()
	api := w.checker.Settings().APIs.ByID(apiID)
	a := w.directory.Live(api.Org, user)
	if a == nil {
		w.t.Fatalf("%s is not active", user)
	}
	now := w.clock.now()
	var states []any
	for _, b := range a.buckets {
		states = append(states, b.scope, b.rate.State(now), b.quota.State(now))
	}
	return append(states, api.Limit.State(now))
}

// A request that violates everything is repaired one thing at a time: the answers come
// in the order of the contract's table, and none of them uses up anything.
func TestCheckOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders, off := api("orders", "/orders"), api("off", "/off")
		orders.Versions, orders.VersionHeader = []string{"v1", "v2"}, "x-api-version"
		orders.Rate, orders.Per = 1, 1e6
		off.Active = false
		w := newWorld(t, orders, off, api("shop", "/shop"))
		w.put("default", "ann", "pw", func(s *session.Session) {
			s.Rate, s.Per, s.QuotaMax = 1, 10, 1
			s.AccessRights = map[string]session.Right{"orders": {}}
		})
		w.put("default", "bob", "bob's", nil)

		// Use everything up, and spoil the rest.
		r := request("ann", "pw")
		r.URI, r.Headers = []byte("/orders/1"), fakeHeaders{"x-api-version": {"v1"}}
		if v := w.check(r); v.Reason != Pass {
			t.Fatal(v.Reason)
		}
		bob := request("bob", "bob's")
		bob.URI = []byte("/shop/1")
		if v := w.check(bob); v.Reason != Pass {
			t.Fatal(v.Reason)
		}
		w.edit("default", "ann", func(s *session.Session) {
			s.IsInactive, s.Expires = true, 1
			s.AccessRights = map[string]session.Right{"shop": {}}
		})
		w.hash.Gate = make(chan struct{})
		w.set(func(s *Settings) { s.Passwords = w.passwords(1, 0) })
		occupied := make(chan struct{})
		go func() {
			w.ask("occupies", "the only slot")
			close(occupied)
		}()
		go func() {
			r := request("absent", "pw")
			r.URI = []byte("/shop")
			w.check(r) // where it is
		}()
		synctest.Wait()

		r.URI, r.Headers = []byte("/orders%2f.."), fakeHeaders{"x-api-version": {"v9"}}
		r.AuthorizationCount, r.Authorization = 0, nil
		states := w.used("ann", "orders")
		step := func(repaired string, want Reason) Verdict {
			t.Helper()
			v := w.check(r)
			if v.Reason != want {
				t.Errorf("%s: %v, want %v", repaired, v.Reason, want)
			}
			if want == MalformedCredentials {
				return v
			}
			if v.Message != want.Message() {
				t.Errorf("%s: %q", repaired, v.Message)
			}
			if want != Pass {
				if after := w.used("ann", "orders"); !reflect.DeepEqual(after, states) {
					t.Errorf("%s: the refusal %v made %+v of %+v", repaired, v.Reason, after, states)
				}
			}
			return v
		}
		rights := func(right session.Right) {
			w.edit("default", "ann", func(s *session.Session) { s.AccessRights = map[string]session.Right{"orders": right} })
		}

		step("nothing", AmbiguousPath)
		r.URI = []byte("/nowhere")
		step("a clear path to no API", UnknownAPI)
		r.URI = []byte("/off/1")
		step("a path of an API that is switched off", UnknownAPI)
		r.URI = []byte("/orders/1")
		step("an API's path", UnknownVersion)
		r.Headers = fakeHeaders{"x-api-version": {"v1", "v1"}}
		step("a version, twice", UnknownVersion)
		r.Headers = fakeHeaders{"x-api-version": {"v1"}}
		step("a version", NoCredentials)
		r.AuthorizationCount, r.Authorization = 2, []byte(basic("ann", "pw"))
		step("credentials, twice", MalformedCredentials)
		r.AuthorizationCount, r.Authorization = 1, []byte("Bearer x")
		step("credentials of another kind", MalformedCredentials)
		r.Authorization = []byte(basic("ann", "wrong"))
		if v := step("credentials", Busy); v.Retry != time.Second {
			t.Errorf("busy, and come back after %v", v.Retry)
		}
		// Never for a right password that is remembered.
		if v := w.check(bob); v.Reason != Pass {
			t.Errorf("bob, remembered, while all is busy: %v", v.Reason)
		}
		close(w.hash.Gate)
		synctest.Wait()
		step("a free slot", BadCredentials)
		r.Authorization = []byte(basic("ann", "pw"))
		step("the right password", Inactive)
		w.edit("default", "ann", func(s *session.Session) { s.IsInactive = false })
		step("active", Expired)
		w.edit("default", "ann", func(s *session.Session) { s.Expires = w.clock.wall.Load()/1e9 + 1000 })
		step("not expired", APINotGranted)
		rights(session.Right{Versions: []string{"v2"}})
		step("the API granted, another version", APINotGranted)
		rights(session.Right{Versions: []string{"v1"}, AllowedURLs: []session.AllowedURL{{URL: "/orders/2", Methods: []string{"GET"}}}})
		step("the version granted, another URL", URLNotGranted)
		rights(session.Right{Versions: []string{"v1"}, AllowedURLs: []session.AllowedURL{{URL: "/orders/1", Methods: []string{"POST"}}}})
		step("the URL granted, another method", URLNotGranted)
		rights(session.Right{Versions: []string{"v1"}, AllowedURLs: []session.AllowedURL{{URL: "/orders/1", Methods: []string{"GET"}}}})
		if v := step("all granted", RateExceeded); v.Retry != 10*time.Second {
			t.Errorf("over the rate, and come back after %v", v.Retry)
		}
		w.clock.pass(10 * time.Second)
		states = w.used("ann", "orders")
		if v := step("a free rate", QuotaExceeded); v.Retry != limiter.Forever {
			t.Errorf("over the quota, and come back after %v", v.Retry)
		}
		w.edit("default", "ann", func(s *session.Session) { s.QuotaMax = 2 })
		states = w.used("ann", "orders")
		step("quota left", APIRateExceeded)
		w.clock.pass(1e6 * time.Second)
		w.edit("default", "ann", func(s *session.Session) { s.Expires = 0 })
		v := step("all repaired", Pass)
		if v.Account.User() != "ann" || v.API.ID != "orders" || v.Rate.Remaining != 0 || v.Quota.Remaining != 0 {
			t.Errorf("%+v", v)
		}
		<-occupied
	})
}

// Each refusal fills in the right fields of the verdict. Before the password was right, it has no
// account.
func TestCheckVerdict(t *testing.T) {
	w := newWorld(t, api("orders", "/orders"))
	w.put("default", "ann", "pw", func(s *session.Session) { s.IsInactive = true })
	f := func(change func(r *Request), want Reason, apiID, user string) {
		t.Helper()
		r := request("ann", "pw")
		r.URI = []byte("/orders")
		change(r)
		v := w.check(r)
		if v.Reason != want || (v.API == nil) != (apiID == "") || (v.Account == nil) != (user == "") {
			t.Errorf("%v for the API %v and the account %v", v.Reason, v.API, v.Account)
		}
	}
	f(func(r *Request) { r.URI = []byte("/x") }, UnknownAPI, "", "")
	f(func(r *Request) { r.URI = []byte("/orders%2f") }, AmbiguousPath, "", "")
	f(func(r *Request) { r.AuthorizationCount = 0 }, NoCredentials, "orders", "")
	f(func(r *Request) { r.Authorization = []byte("Bearer x") }, MalformedCredentials, "orders", "")
	f(func(r *Request) { r.Authorization = []byte(basic("ann", "x")) }, BadCredentials, "orders", "")
	f(func(r *Request) { r.Authorization = []byte(basic("bob", "pw")) }, BadCredentials, "orders", "")
	f(func(r *Request) {}, Inactive, "orders", "ann")
}

// One user name in two orgs is two users: password, limits, rights and memory of the one
// are nothing to the other. (In Tyk they mix for ten seconds.)
func TestCheckTwoOrgs(t *testing.T) {
	theirs := api("theirs", "/theirs")
	theirs.Org = "other"
	w := newWorld(t, api("ours", "/"), theirs)
	w.put("default", "ann", "ours", func(s *session.Session) { s.QuotaMax, s.Alias = 2, "our Ann" })
	w.put("other", "ann", "theirs", func(s *session.Session) { s.QuotaMax, s.Alias = 3, "their Ann" })
	f := func(path, password string, want Reason, org string, remaining int64) {
		t.Helper()
		r := request("ann", password)
		r.URI = []byte(path)
		v := w.check(r)
		if v.Reason != want {
			t.Fatalf("%s with %q: %v", path, password, v.Reason)
		}
		if v.Account != nil && (v.Account.Org() != org || identity(v.Account, "X-Auth-Org") != org || v.Quota.Remaining != remaining) {
			t.Errorf("%s: org %s, %d remain", path, v.Account.Org(), v.Quota.Remaining)
		}
	}
	f("/x", "ours", Pass, "default", 1)
	f("/x", "theirs", BadCredentials, "", 0)
	f("/theirs", "ours", BadCredentials, "", 0)
	f("/theirs", "theirs", Pass, "other", 2)
	f("/x", "ours", Pass, "default", 0)
	f("/x", "ours", QuotaExceeded, "default", 0)
	f("/theirs", "theirs", Pass, "other", 1)
	w.remove("default", "ann")
	f("/x", "ours", BadCredentials, "", 0)
	f("/theirs", "theirs", Pass, "other", 0)
	f("/theirs", "theirs", QuotaExceeded, "other", 0)
}

func TestCheckVersions(t *testing.T) {
	versioned := api("orders", "/")
	versioned.Versions, versioned.VersionHeader, versioned.DefaultVersion = []string{"v1", "v2"}, "x-api-version", "v1"
	w := newWorld(t, versioned, api("plain", "/plain"))
	w.put("default", "ann", "pw", func(s *session.Session) {
		s.AccessRights = map[string]session.Right{"orders": {Versions: []string{"v2"}}, "plain": {Versions: []string{"Default"}}}
	})
	w.put("default", "bob", "pw", func(s *session.Session) {
		s.AccessRights = map[string]session.Right{"orders": {}, "plain": {Versions: []string{"v1"}}}
	})
	f := func(user, path string, versions []string, want Reason) {
		t.Helper()
		r := request(user, "pw")
		r.URI, r.Headers = []byte(path), fakeHeaders{"x-api-version": versions}
		if v := w.check(r); v.Reason != want {
			t.Errorf("%s %s %q: %v, want %v", user, path, versions, v.Reason, want)
		}
	}
	f("ann", "/", []string{"v2"}, Pass)
	f("ann", "/", []string{"v1"}, APINotGranted)
	f("ann", "/", nil, APINotGranted) // the default is v1
	f("ann", "/", []string{"v3"}, UnknownVersion)
	f("ann", "/", []string{"v2", "v1"}, UnknownVersion)
	f("ann", "/plain", []string{"v3"}, Pass) // unversioned: the header means nothing
	f("bob", "/", []string{"v1"}, Pass)
	f("bob", "/", nil, Pass)
	f("bob", "/plain", nil, APINotGranted)
}

func TestCheckRights(t *testing.T) {
	w := newWorld(t, api("orders", "/"), api("shop", "/shop"))
	w.put("default", "all", "pw", nil)
	w.put("default", "empty", "pw", func(s *session.Session) { s.AccessRights = map[string]session.Right{} })
	w.put("default", "shop", "pw", func(s *session.Session) { s.AccessRights = map[string]session.Right{"shop": {}} })
	f := func(user, path string, want Reason) {
		t.Helper()
		r := request(user, "pw")
		r.URI = []byte(path)
		if v := w.check(r); v.Reason != want {
			t.Errorf("%s %s: %v, want %v", user, path, v.Reason, want)
		}
	}
	f("all", "/", Pass)
	f("all", "/shop", Pass)
	f("empty", "/", Pass)
	f("shop", "/", APINotGranted)
	f("shop", "/shop", Pass)
	// A setting that makes missing rights grant nothing applies to users written before it, too.
	w.set(func(s *Settings) { s.AllowEmptyRights = false })
	f("all", "/", APINotGranted)
	f("empty", "/shop", APINotGranted)
	f("shop", "/shop", Pass)
}

// T-09: the bytes of a request belong to the next request as soon as Check has returned, so nothing may
// keep them.
func TestT09KeepsNoRequest(t *testing.T) {
	w := newWorld(t, api("orders", "/orders", "example.org"), api("root", "/"))
	w.memory.write(session.Record{Org: "default", User: "ann", Session: session.Session{OrgID: "default", BasicAuth: session.BasicAuth{Password: plain("pw-ann")}, QuotaMax: 100}})
	w.memory.write(session.Record{Org: "default", User: "bob", Session: session.Session{OrgID: "default", BasicAuth: session.BasicAuth{Password: plain("pw-bob")}, QuotaMax: 100}})
	header, host, uri := make([]byte, 0, 200), make([]byte, 0, 200), make([]byte, 0, 200)
	for i := range 100 {
		user := []string{"ann", "bob", "eve"}[i%3]
		header = append(header[:0], basic(user, "pw-"+user)...)
		host = append(host[:0], "example.org"...)
		uri = append(uri[:0], "/orders/1"...)
		v := w.check(&Request{Method: []byte("GET"), Host: host, URI: uri, Authorization: header, AuthorizationCount: 1, Headers: fakeHeaders{}})
		for _, b := range [][]byte{header, host, uri} {
			for i := range b {
				b[i] = 'X'
			}
		}
		if user == "eve" {
			if v.Reason != BadCredentials {
				t.Fatalf("eve: %v", v.Reason)
			}
			continue
		}
		if v.Reason != Pass || v.Account.User() != user || v.API.ID != "orders" {
			t.Fatalf("%s: %v as %v", user, v.Reason, v.Account)
		}
	}
	if got := w.directory.Active(); got != 2 {
		t.Errorf("%d users are active", got)
	}
	if got := w.hash.Count.Load(); got != 2+33 {
		t.Errorf("%d hashes", got)
	}
}
