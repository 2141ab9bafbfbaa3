package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// BenchmarkReload measures the longest that a check, an admin write and a /readyz take with
// 100,000 active users: in seconds without a reload, and in seconds with one that changes what all
// accounts are made of. Run it with -benchtime 1x; it takes half a minute.
func BenchmarkReload(b *testing.B) {
	const users, seconds = 100_000, 5
	s := newReloadable(b)
	s.Server.log = slog.New(slog.DiscardHandler)
	hash, kind, err := s.checker.Settings().Passwords.Make(context.Background(), "pw")
	if err != nil {
		b.Fatal(err)
	}
	name := func(i int) string { return fmt.Sprint("user", i) }
	var group sync.WaitGroup
	for g := range 250 {
		group.Go(func() {
			for i := g; i < users; i += 250 {
				record := session.Record{Org: "default", User: name(i), Session: session.Session{
					OrgID: "default", BasicAuth: session.BasicAuth{Password: hash, HashType: kind}, Rate: 1000, Per: 1, QuotaMax: 1_000_000,
				}}
				if _, err := s.store.Update(record.Org, record.User, func(*session.Record) (*session.Record, error) { return &record, nil }); err != nil {
					b.Error(err)
					return
				}
				if _, err := s.directory.Find(record.Org, []byte(record.User)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	const known = 100 // users with a remembered password
	ask := func(user string) auth.Reason {
		r := auth.Request{Method: []byte("GET"), Host: []byte("localhost"), URI: []byte("/"), Client: []byte("10.0.0.1"), AuthorizationCount: 1}
		q := http.Request{Header: make(http.Header)}
		q.SetBasicAuth(user, "pw")
		r.Authorization = []byte(q.Header.Get("Authorization"))
		v := s.checker.Check(limiter.At(time.Now()), &r)
		return v.Reason
	}
	for i := range known {
		if reason := ask(name(i)); reason != auth.Pass {
			b.Fatal(reason)
		}
	}
	if got := s.directory.Active(); got != users {
		b.Fatalf("%d active users", got)
	}
	// measure returns the longest of each kind of request in a second.
	measure := func(during func()) (longest [4]time.Duration) {
		var stop atomic.Bool
		var group sync.WaitGroup
		for kind, f := range []func(i int){
			func(i int) { ask(name(i % known)) },
			func(i int) {
				if _, err := s.directory.Find("default", []byte(name(i%users))); err != nil {
					b.Error(err)
				}
			},
			func(i int) {
				s.rules()
				user := name(users - 1 - i%1000)
				if _, err := s.store.Update("default", user, func(old *session.Record) (*session.Record, error) { return old, nil }); err != nil {
					b.Error(err)
				}
			},
			func(int) {
				answer, err := http.Get("http://" + s.AdminAddr() + "/readyz")
				if err != nil {
					b.Error(err)
					return
				}
				answer.Body.Close()
			},
		} {
			group.Go(func() {
				for i := 0; !stop.Load(); i++ {
					begin := time.Now()
					f(i)
					longest[kind] = max(longest[kind], time.Since(begin))
					time.Sleep(100 * time.Microsecond)
				}
			})
		}
		time.Sleep(200 * time.Millisecond)
		during()
		time.Sleep(800 * time.Millisecond)
		stop.Store(true)
		group.Wait()
		return longest
	}
	for b.Loop() {
		var without, with [4][]time.Duration
		var took []time.Duration
		for i := range seconds {
			s.write(fmt.Sprintf("check.meta_headers = { plan = \"X-Plan-%d\" }\n", i))
			for kind, d := range measure(func() {}) {
				without[kind] = append(without[kind], d)
			}
			for kind, d := range measure(func() {
				begin := time.Now()
				if err := s.reload(); err != nil {
					b.Error(err)
				}
				took = append(took, time.Since(begin))
			}) {
				with[kind] = append(with[kind], d)
			}
		}
		for kind, what := range []string{"check", "lookup", "write", "readyz"} {
			for when, all := range map[string][]time.Duration{"without": without[kind], "with": with[kind]} {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, what+"-ms-"+when)
			}
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "reload-ms")
	}
}
