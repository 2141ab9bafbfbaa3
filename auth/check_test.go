package auth

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/route"
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
	// Where no rights are no rights: those who were written before are asked again.
	w.set(func(s *Settings) { s.AllowEmptyRights = false })
	f("all", "/", APINotGranted)
	f("empty", "/shop", APINotGranted)
	f("shop", "/shop", Pass)
}

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

// T-11: who may not know whether a user exists learns it from nothing: the same verdict,
// after the same work, for every kind of user and every kind of wrong password.
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

// T-09: the bytes of a request are the next request's as soon as Check has returned.
// Nothing of them may be left in what was learnt from it.
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

// All headers for the upstream are always there, empty without a value, so that a proxy overwrites
// those of the client (Caddy CVE-2026-30851); and none has a value that is not a header (T-83).
func TestT83Identity(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.directory.SetCompiler(w.compiler(map[string]string{"dev": "X-Dev", "list": "X-List", "a": "X-A"}))
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
