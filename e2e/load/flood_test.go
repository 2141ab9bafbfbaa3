package load

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// T-44: while many connections from many addresses guess passwords without pause, remembered users
// are served as usual, another user gets in, all guesses beyond the capacity for hashing are
// refused without hashing, and none leaves anything behind, in memory or on disk. bench/flood
// measures how long that takes, on a quiet machine.
func TestT44Flood(t *testing.T) {
	const guessers, addresses, lasts, maxMiB = 100, 200, 2 * time.Second, 16
	s := sidekeytest.Start(t, sidekeytest.Listeners)
	for _, name := range []string{"ann", "victim0", "victim1", "victim2", "newcomer0", "newcomer1", "newcomer2"} {
		s.PutUser(name, `{"basic_auth_data":{"password":"pw"}}`)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: guessers + 10}
	defer transport.CloseIdleConnections()
	ask := func(client, user, password string) (status int, intended string) {
		status, header := login(s, transport, client, user, password)
		return status, header.Get("X-Error-Status")
	}
	if status, _ := ask("10.0.0.1", "ann", "pw"); status != 200 {
		t.Fatal(status)
	}
	database := func() string {
		text, err := os.ReadFile(filepath.Join(s.DataDir, "sidekey.db"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// First, open as many connections as later, so that their cost is known.
	var idle sync.WaitGroup
	for i := range guessers {
		idle.Go(func() { ask(fmt.Sprint("10.1.0.", i), "ann", "pw") })
	}
	idle.Wait()
	resident, stored, hashes, refused := s.Process.ResidentKiB(), database(), metric(s, `sidekey_password_hashes_total{.*`), refusedUnseen(s)

	var logins atomic.Int64 // by users who are not remembered
	end := time.Now().Add(lasts)
	var group sync.WaitGroup
	for g := range guessers {
		group.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				user := fmt.Sprintf("unknown-%d-%d", g, i)
				if i%2 == 0 {
					user = fmt.Sprint("victim", i%3)
				}
				if status, intended := ask(fmt.Sprint("10.0.0.", g*7%addresses), user, fmt.Sprint("guess ", g, i)); intended != "401" && intended != "429" {
					t.Errorf("a guess: %d, %s", status, intended)
				}
				logins.Add(1)
			}
		})
	}
	group.Go(func() { // from an address that also sends guesses
		for time.Now().Before(end) {
			if status, intended := ask("10.0.0.7", "ann", "pw"); status != 200 {
				t.Errorf("a remembered user: %d, %s", status, intended)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	for i := range 3 {
		group.Go(func() {
			time.Sleep(time.Duration(i+1) * lasts / 4)
			for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
				status, intended := ask(fmt.Sprint("192.0.2.", i), fmt.Sprint("newcomer", i), "pw")
				logins.Add(1)
				if status == 200 {
					t.Logf("newcomer %d was admitted after %v", i, time.Since(began))
					return
				}
				if intended != "429" || time.Since(began) > testutil.Patience {
					t.Errorf("newcomer %d: %d, %s after %v", i, status, intended, time.Since(began))
					return
				}
			}
		})
	}
	group.Wait()
	sent := int(logins.Load())
	hashed, unseen := metric(s, `sidekey_password_hashes_total{.*`)-hashes, refusedUnseen(s)-refused
	t.Logf("%d logins, %d hashed, %d refused without hashing", sent, hashed, unseen)
	if hashed+unseen != sent || hashed*5 > sent {
		t.Errorf("of %d logins, %d were hashed and %d refused without hashing", sent, hashed, unseen)
	}
	grown := (s.Process.ResidentKiB() - resident) / 1024
	t.Logf("grown by %d MiB", grown)
	if grown > maxMiB {
		t.Errorf("grown by %d MiB, want at most %d", grown, maxMiB)
	}
	if database() != stored {
		t.Error("the database has changed")
	}
}

// login sends a request of a client with credentials, as NGINX does. Without an answer the status
// is 0, and the test has failed.
func login(s *sidekeytest.Sidekey, transport *http.Transport, client, user, password string) (status int, header http.Header) {
	request, err := http.NewRequest("GET", "http://"+s.CheckAddr+"/auth/nginx", nil)
	if err != nil {
		s.T.Error(err)
		return 0, nil
	}
	for name, value := range map[string]string{"X-Original-Method": "GET", "X-Original-URI": "/", "X-Forwarded-For": client} {
		request.Header.Set(name, value)
	}
	request.SetBasicAuth(user, password)
	answer, err := transport.RoundTrip(request)
	if err != nil {
		s.T.Error(err)
		return 0, nil
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Header
}

// refusedUnseen returns the number of logins that were refused without looking at the password.
func refusedUnseen(s *sidekeytest.Sidekey) int {
	return metric(s, `sidekey_decisions_total{.*reason="(busy|too_many_failures)"}`)
}

// metric returns the sum of the metrics whose names match an expression.
func metric(s *sidekeytest.Sidekey, expression string) (sum int) {
	s.T.Helper()
	_, text, _ := s.Admin("GET", "/metrics", "")
	for _, found := range regexp.MustCompile(`(?m)^`+expression+` ([0-9]+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(found[len(found)-1])
		if err != nil {
			s.T.Fatal(err)
		}
		sum += n
	}
	return sum
}
