package bolt

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

// plainHash costs nothing, so that the test measures writes and not hashing.
type plainHash struct{}

func (plainHash) Kind() string                         { return "plain" }
func (plainHash) MaxPassword() int                     { return 72 }
func (plainHash) Make(password []byte) (string, error) { return "plain:" + string(password), nil }
func (plainHash) Matches(stored string, password []byte) bool {
	return stored == "plain:"+string(password)
}
func (plainHash) Current(stored string) bool { return strings.HasPrefix(stored, "plain:") }

// A write acts on the next check that starts after it was answered: 100,000 writes of 64
// writers, each checked at once by its writer.
func TestWriteActsOnNextCheck(t *testing.T) {
	const (
		writers = 64
		rounds  = 100_000
	)
	s := mustOpen(t, newPath(t))
	defer mustClose(t, s)
	apis, err := route.NewAPIs([]route.API{{ID: "default", Org: "default", ListenPath: "/", Active: true, DefaultVersion: "Default"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := password.NewPasswords(plainHash{}, writers, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	directory := auth.NewDirectory(s, &auth.Compiler{Ledger: s, Policies: session.NewPolicies(nil)})
	s.Notify(store.Notify{User: directory.Publish, Policy: func(string) {}})
	now := func() limiter.Now { return limiter.At(time.Now()) }
	checker := auth.NewChecker(directory, &auth.Settings{
		APIs: apis, Passwords: passwords, VerifiedTTL: time.Hour, QuotaWait: time.Minute, AllowEmptyRights: true,
	}, now)
	ask := func(user string) auth.Reason {
		request := auth.Request{
			URI: []byte("/"), Host: []byte("localhost"), Method: []byte("GET"),
			Authorization: basic(user, "pw"), AuthorizationCount: 1,
		}
		return checker.Check(now(), &request).Reason
	}

	var late atomic.Int64
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			user := fmt.Sprintf("user%d", w)
			for round := range rounds / writers {
				var want auth.Reason
				r := session.Record{Org: "default", User: user}
				r.Session.OrgID = "default"
				r.Session.BasicAuth.Password = "plain:pw"
				switch round % 4 {
				case 0:
					want = auth.Pass
				case 1:
					r.Session.IsInactive, want = true, auth.Inactive
				case 2:
					r.Session.Expires, want = 1, auth.Expired
				case 3:
					r.Session.BasicAuth.Password, want = "plain:other", auth.BadCredentials
				}
				_, err := s.Update("default", user, func(*session.Record) (*session.Record, error) { return &r, nil })
				if err != nil {
					t.Error(err)
					return
				}
				if got := ask(user); got != want {
					late.Add(1)
				}
			}
		})
	}
	group.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("%d of %d checks were late", n, rounds)
	}
}

func basic(user, password string) []byte {
	return []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}
