package auth

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"sidekey/auth/httpsig"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// Benchmarks of the steps of a warm check, each over many users: with one user, everything would come
// from the cache of the processor.

const benchUsers = 10_000

// benchWorld has that many active users, whose passwords are remembered, and a request
// of each.
func benchWorld(b *testing.B) (*world, []*Request) {
	orders := api("orders", "/orders", "example.org")
	w := newWorld(b, orders, api("root", "/"))
	requests := make([]*Request, benchUsers)
	distinct := make(map[string]bool)
	for i := range requests {
		user, password := fmt.Sprintf("user-%d", i), fmt.Sprintf("password-%d", i)
		w.put("default", user, password, func(s *session.Session) {
			s.Rate, s.Per, s.QuotaMax = 1e6, 1, 1_000_000_000
			s.AccessRights = map[string]session.Right{"orders": {}, "root": {}}
		})
		r := request(user, password)
		r.URI = []byte("/orders/1")
		// In one piece, as a request that has just been read.
		text := fmt.Appendf(nil, "%s203.%d.%d.17", r.Authorization, i>>8, i&255)
		n := len(r.Authorization)
		r.Authorization, r.Client = text[:n:n], text[n:]
		if v := w.check(r); v.Reason != Pass || v.Account.User() != user {
			b.Fatal(v.Reason)
		}
		requests[i] = r
		distinct[string(r.Authorization)] = true
	}
	for range 10 { // until blocks of the quotas are reserved for the traffic there is
		for _, r := range requests {
			w.clock.pass(10)
			w.check(r)
		}
	}
	if len(distinct) != benchUsers || w.directory.Active() != benchUsers || w.hash.Count.Load() != benchUsers {
		b.Fatalf("%d distinct users, %d active, %d hashes", len(distinct), w.directory.Active(), w.hash.Count.Load())
	}
	b.Cleanup(func() {
		if got := w.hash.Count.Load(); got != benchUsers {
			b.Errorf("%d hashes: passwords were not remembered", got)
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	return w, requests
}

// accounts returns the credentials and the account of each request.
func benchAccounts(b *testing.B, w *world, requests []*Request) (given []Credentials, accounts []*Account) {
	seen := make(map[*Account]bool)
	for _, r := range requests {
		c, malformed := ParseBasic(r.Authorization, new(CredentialBuffer))
		a := w.directory.Live("default", string(c.User))
		if malformed != "" || a == nil {
			b.Fatal(malformed, a)
		}
		given, accounts = append(given, c), append(accounts, a)
		seen[a] = true
	}
	if len(seen) != benchUsers {
		b.Fatalf("%d accounts", len(seen))
	}
	return given, accounts
}

func BenchmarkFindAPI(b *testing.B) {
	w, requests := benchWorld(b)
	apis := w.checker.Settings().APIs
	for i := 0; b.Loop(); i++ {
		if a, reason := findAPI(apis, requests[i%benchUsers]); reason != Pass || a.ID != "orders" {
			b.Fatal(reason)
		}
	}
}

func BenchmarkParseBasic(b *testing.B) {
	_, requests := benchWorld(b)
	for i := 0; b.Loop(); i++ {
		var buf CredentialBuffer
		if _, malformed := ParseBasic(requests[i%benchUsers].Authorization, &buf); malformed != "" {
			b.Fatal(malformed)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	w, requests := benchWorld(b)
	given, _ := benchAccounts(b, w, requests)
	for i := 0; b.Loop(); i++ {
		if _, err := w.directory.Find("default", given[i%benchUsers].User); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRemembered(b *testing.B) {
	w, requests := benchWorld(b)
	given, accounts := benchAccounts(b, w, requests)
	mono := w.clock.mono.Load()
	for i := 0; b.Loop(); i++ {
		if !accounts[i%benchUsers].remembered.Knows(given[i%benchUsers].Password, mono) {
			b.Fatal("not remembered")
		}
	}
}

func BenchmarkSigned(b *testing.B) {
	w := signingWorld(b)
	w.set(func(s *Settings) { s.Signatures = httpsig.NewSpent(100_000_000) })
	s := w.by("ann", "secret-of-ann")
	r := s.request()
	w.wantSigned("once, to load the user", r, Pass)
	r.Headers = lentHeader{"date", []byte(s.header["date"][0]), [][]byte{[]byte(s.header["date"][0])}}
	given, err := httpsig.Parse(r.Authorization, new(httpsig.Buffer))
	signed := httpsig.Message{Method: r.Method, URI: r.URI, Host: r.Host, Headers: r.Headers}
	account := w.directory.Live("default", "ann")
	if err != nil || account == nil {
		b.Fatal(err, account)
	}
	for b.Loop() {
		var buf httpsig.Buffer
		if _, err := httpsig.Parse(r.Authorization, &buf); err != nil || !account.signer.Matches(&signed, &given) {
			b.Fatal("not signed")
		}
	}
}

func BenchmarkRights(b *testing.B) {
	w, requests := benchWorld(b)
	_, accounts := benchAccounts(b, w, requests)
	orders := w.checker.Settings().APIs.ByID("orders")
	for i := 0; b.Loop(); i++ {
		if g := accounts[i%benchUsers].grantOf(orders, true); g == nil || !granted(g.versions, "Default") {
			b.Fatal("not granted")
		}
	}
}

func BenchmarkRate(b *testing.B) {
	w, requests := benchWorld(b)
	_, accounts := benchAccounts(b, w, requests)
	benchLimits(b, w, accounts, func(bucket *bucket) limiter.Limits { return limiter.Limits{Rate: bucket.rate} })
}

func BenchmarkQuota(b *testing.B) {
	w, requests := benchWorld(b)
	_, accounts := benchAccounts(b, w, requests)
	benchLimits(b, w, accounts, func(bucket *bucket) limiter.Limits { return limiter.Limits{Quota: bucket.quota} })
}

func benchLimits(b *testing.B, w *world, accounts []*Account, of func(*bucket) limiter.Limits) {
	now := w.clock.now()
	for i := 0; b.Loop(); i++ {
		now.Mono += 10 // so each user comes every 100 µs
		l := of(accounts[i%benchUsers].buckets[0])
		for limiter.Admit(now, l).Outcome != limiter.Admitted {
			if !l.Quota.Wait(now, 1<<40) {
				b.Fatal("not admitted")
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	w, requests := benchWorld(b)
	now := w.clock.now()
	for i := 0; b.Loop(); i++ {
		now.Mono += 10 // so each user comes every 100 µs
		if v := w.checker.Check(now, requests[i%benchUsers]); v.Reason != Pass {
			b.Fatal(v.Reason)
		}
	}
}

func BenchmarkCheckParallel(b *testing.B) {
	w, requests := benchWorld(b)
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.N(benchUsers); pb.Next(); i++ { // each goroutine at other users
			if v := w.checker.Check(w.clock.now(), requests[i%benchUsers]); v.Reason != Pass {
				b.Error(v.Reason)
				return
			}
		}
	})
}

// A client without right credentials, without the cost of the hash itself.
func BenchmarkCheckUnknown(b *testing.B) {
	w, requests := benchWorld(b)
	absent := make([]*Request, len(requests))
	for i := range absent {
		absent[i] = request(fmt.Sprintf("absent-%d", i), "pw")
	}
	start := w.hash.Count.Load()
	for i := 0; b.Loop(); i++ {
		if v := w.check(absent[i%benchUsers]); v.Reason != BadCredentials {
			b.Fatal(v.Reason)
		}
	}
	w.hash.Count.Store(start)
	if got := w.directory.Active(); got != benchUsers {
		b.Errorf("%d active", got)
	}
}

// The memory of an active user, without the record.
func BenchmarkAccountMemory(b *testing.B) {
	for b.Loop() {
		w := newWorld(b, api("orders", "/orders"))
		for i := range benchUsers {
			w.memory.write(session.Record{Org: "default", User: fmt.Sprintf("user-%d", i), Session: session.Session{
				OrgID: "default", Alias: "Benchmark User", Tags: []string{"edge", "edge-eu"},
				Rate: 100, Per: 1, QuotaMax: 1_000_000, AccessRights: map[string]session.Right{"orders": {}},
			}})
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range benchUsers {
			if _, err := w.directory.Find("default", fmt.Appendf(nil, "user-%d", i)); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/benchUsers, "B/account")
		runtime.KeepAlive(w)
	}
}

// A whole check against ten URL patterns, of which the last matches.
func BenchmarkCheckPatterns(b *testing.B) {
	w := newWorld(b, api("orders", "/orders"))
	var urls []session.AllowedURL
	for i := range 9 {
		urls = append(urls, session.AllowedURL{URL: fmt.Sprintf("/orders/%d/{id}/*", i), Methods: []string{"GET"}})
	}
	urls = append(urls, session.AllowedURL{URL: "/orders/last/{id}", Methods: []string{"GET"}})
	w.put("default", "ann", "pw", func(s *session.Session) {
		s.Rate, s.Per, s.QuotaMax = 1e9, 1, 1_000_000_000_000
		s.AccessRights = map[string]session.Right{"orders": {AllowedURLs: urls}}
	})
	r := request("ann", "pw")
	r.URI = []byte("/orders/last/17?x=1")
	w.check(r)
	b.ReportAllocs()
	for b.Loop() {
		if v := w.check(r); v.Reason != Pass {
			b.Fatal(v.Reason)
		}
	}
}
