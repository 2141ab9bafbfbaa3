//go:build !race

package auth

import (
	"strconv"
	"testing"
	"time"

	"sidekey/auth/httpsig"
	"sidekey/auth/session"
)

// A warm check allocates nothing: it happens for every request that a proxy sees.
func TestAllocCheck(t *testing.T) {
	orders := api("orders", "/orders", "example.org")
	orders.Versions, orders.VersionHeader, orders.DefaultVersion = []string{"v1"}, "x-api-version", "v1"
	orders.Rate, orders.Per = 1e9, 1
	w := newWorld(t, orders, api("root", "/"))
	for _, user := range []string{"ann", "bob", "carl"} {
		w.put("default", user, "pw", func(s *session.Session) {
			s.Rate, s.Per, s.QuotaMax, s.Alias = 1e6, 1e-3, 1_000_000_000, user
			s.AccessRights = map[string]session.Right{"orders": {Versions: []string{"v1"}}}
		})
	}
	w.put("default", "slow", "pw", func(s *session.Session) { s.Rate, s.Per = 1, 1e6 })
	w.put("default", "poor", "pw", func(s *session.Session) { s.QuotaMax = 1 })
	w.put("default", "urls", "pw", func(s *session.Session) {
		s.AccessRights = map[string]session.Right{"orders": {AllowedURLs: []session.AllowedURL{{URL: "/orders/1", Methods: []string{"GET"}}, {URL: "/{name}(a|b)*/x", Methods: []string{"GET"}}}}}
	})

	f := func(name string, want Reason, change func(r *Request), users ...string) {
		t.Helper()
		var requests []*Request
		for _, user := range users {
			r := request(user, "pw")
			r.URI, r.Headers = []byte("/orders/1?x=2"), lentHeader{"x-api-version", []byte("v1"), nil}
			if change != nil {
				change(r)
			}
			requests = append(requests, r)
			w.check(r) // loads, hashes, reserves
		}
		i := 0
		allocs := testing.AllocsPerRun(1000, func() {
			w.clock.pass(time.Microsecond)
			if v := w.check(requests[i%len(requests)]); v.Reason != want {
				t.Fatalf("%s: %v", name, v.Reason)
			}
			i++
		})
		if allocs > 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
	// Reservations allocate, but for a block at a time.
	f("pass", Pass, nil, "ann", "bob", "carl")
	f("pass, named API", Pass, func(r *Request) { r.APIID = []byte("orders") }, "ann")
	f("pass, host in other spelling", Pass, func(r *Request) { r.Host = []byte("EXAMPLE.org.:443") }, "ann")
	f("not granted", APINotGranted, func(r *Request) { r.URI = []byte("/x") }, "ann")
	f("over the rate", RateExceeded, nil, "slow")
	f("over the quota", QuotaExceeded, nil, "poor")
	f("no credentials", NoCredentials, func(r *Request) { r.AuthorizationCount = 0 }, "ann")
	f("malformed credentials", MalformedCredentials, func(r *Request) { r.Authorization = []byte("Basic x") }, "ann")
	f("unknown version", UnknownVersion, func(r *Request) { r.Headers = lentHeader{"x-api-version", []byte("v9"), nil} }, "ann")
	f("pass, with a URL to match", Pass, nil, "urls")
	f("another URL", URLNotGranted, func(r *Request) { r.URI = []byte("/orders/2") }, "urls")
}

// A warm check of a signature allocates the text of its date, and now and then room to
// remember it.
func TestAllocSigned(t *testing.T) {
	w := signingWorld(t)
	w.set(func(s *Settings) { s.Signatures = httpsig.NewSpent(1_000_000) })
	const rounds = 5000
	requests := make([]*Request, rounds+2)
	for i := range requests {
		s := w.by("ann", "secret-of-ann")
		s.target = "/orders/" + strconv.Itoa(i)
		requests[i] = s.request()
		requests[i].Headers = lentHeader{"date", []byte(s.header["date"][0]), [][]byte{[]byte(s.header["date"][0])}}
	}
	i := 0
	allocs := testing.AllocsPerRun(rounds, func() {
		if v := w.check(requests[i]); v.Reason != Pass {
			t.Fatal(v.Reason)
		}
		i++
	})
	if allocs > 1 {
		t.Errorf("%v allocations", allocs)
	}
}
