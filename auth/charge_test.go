package auth

import (
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/session"
	"sidekey/limiter"
)

// A disk that does not answer makes a refusal that says when to come back, within the
// configured wait, and uses up nothing.
func TestCheckQuotaNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := api("orders", "/")
		orders.Rate, orders.Per = 10, 1000
		w := newWorld(t, orders)
		start := time.Now()
		w.checker.now = func() limiter.Now {
			passed := int64(time.Since(start))
			return limiter.Now{Mono: w.clock.mono.Load() + passed, Wall: w.clock.wall.Load() + passed}
		}
		ask := func(user string) (v Verdict, took time.Duration) {
			before := time.Now()
			v = w.checker.Check(w.checker.now(), request(user, "pw"))
			return v, time.Since(before)
		}
		w.put("default", "ann", "pw", func(s *session.Session) { s.Rate, s.Per, s.QuotaMax = 5, 1000, 3 })
		w.put("default", "bob", "pw", nil)
		w.memory.silent = true
		w.set(func(s *Settings) { s.QuotaWait = 300 * time.Millisecond })
		for range 3 {
			v, took := ask("ann")
			if v.Reason != Busy || v.Retry != time.Second || took != 300*time.Millisecond {
				t.Errorf("%v, come back after %v, answered after %v", v.Reason, v.Retry, took)
			}
			if v.Rate.Remaining != 5 || v.Quota.Remaining != 3 {
				t.Errorf("used up: %+v %+v", v.Rate, v.Quota)
			}
		}
		// A user without a quota does not wait for the disk.
		if v, took := ask("bob"); v.Reason != Pass || took != 0 {
			t.Errorf("bob: %v after %v", v.Reason, took)
		}
		w.set(func(s *Settings) { s.QuotaWait = 0 })
		if v, took := ask("ann"); v.Reason != Busy || took != 0 {
			t.Errorf("%v after %v", v.Reason, took)
		}
		w.memory.answerAll()
		w.set(func(s *Settings) { s.QuotaWait = time.Second })
		for i, want := range []Reason{Pass, Pass, Pass, QuotaExceeded} {
			v, _ := ask("ann")
			if v.Reason != want || v.Quota.Remaining != max(0, int64(2-i)) {
				t.Errorf("request %d: %v, %+v", i, v.Reason, v.Quota)
			}
		}
	})
}

// The disk answers while the request waits: it passes, and is charged once.
func TestCheckQuotaRecordedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api("orders", "/"))
		w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax = 3 })
		w.memory.silent = true
		verdict := make(chan Verdict)
		go func() { verdict <- w.ask("ann", "pw") }()
		synctest.Wait()
		w.memory.answerAll()
		if v := <-verdict; v.Reason != Pass || v.Quota.Remaining != 2 {
			t.Errorf("%v, %+v", v.Reason, v.Quota)
		}
	})
}

// A user is edited, reset or deleted while a request waits for the quota: the request goes on with the
// new account.
func TestCheckEditWhileWaitingForQuota(t *testing.T) {
	f := func(name string, change func(w *world), want Reason, remaining int64) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, api("orders", "/"))
				w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax = 3 })
				w.memory.silent = true
				verdict := make(chan Verdict, 1)
				go func() { verdict <- w.ask("ann", "pw") }()
				synctest.Wait()
				change(w)
				w.memory.answerAll()
				v := <-verdict
				if v.Reason != want || want == Pass && v.Quota.Remaining != remaining {
					t.Errorf("%v, %+v", v.Reason, v.Quota)
				}
			})
		})
	}
	f("a new record", func(w *world) { w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax = 10 }) }, Pass, 9)
	f("a new password", func(w *world) { w.put("default", "ann", "new", func(s *session.Session) { s.QuotaMax = 10 }) }, BadCredentials, 0)
	f("deleted", func(w *world) { w.remove("default", "ann") }, BadCredentials, 0)
	f("switched off afresh", func(w *world) { w.put("default", "ann", "pw", func(s *session.Session) { s.IsInactive = true }) }, Inactive, 0)
	f("a larger quota", func(w *world) { w.edit("default", "ann", func(s *session.Session) { s.QuotaMax = 5 }) }, Pass, 4)
	f("no quota any more", func(w *world) { w.edit("default", "ann", func(s *session.Session) { s.QuotaMax = 0 }) }, Pass, 0)
}

// A program that stops soon refuses requests that need a quota, and uses nothing of it.
func TestCheckWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api("orders", "/"))
		w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax = 1000 })
		w.put("default", "bob", "pw", nil)
		w.want("ann", "pw", Pass)
		w.want("bob", "pw", Pass)
		unused := w.directory.Settle()
		start := time.Now()
		v := w.want("ann", "pw", Unavailable)
		if took := time.Since(start); took > 100*time.Millisecond || v.Retry != 0 {
			t.Errorf("after %v, come back after %v", took, v.Retry)
		}
		w.want("bob", "pw", Pass)
		for key, ask := range unused {
			if left := ask.Seen.Reserved + ask.Want; left != 1 {
				t.Errorf("%v: one was used, %d stay reserved", key, left)
			}
		}
	})
}

// If the new account of an edited user is late, a request is refused as busy: some proxies let requests
// through on a 503.
func TestCheckWhileAnEditIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api("orders", "/"))
		w.put("default", "ann", "pw", func(s *session.Session) { s.QuotaMax = 1000 })
		w.want("ann", "pw", Pass)
		w.directory.Live("default", "ann").close()
		start := time.Now()
		v := w.want("ann", "pw", Busy)
		if took := time.Since(start); took > 100*time.Millisecond || v.Retry != time.Second {
			t.Errorf("after %v, come back after %v", took, v.Retry)
		}
	})
}
