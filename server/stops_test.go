package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Stops run last to first, all of them though one fails, and once.
func TestStops(t *testing.T) {
	var s stops
	var order []string
	for _, name := range []string{"database", "listener", "watcher"} {
		s.add(name, func(context.Context) error {
			order = append(order, name)
			if name == "watcher" {
				return nil
			}
			return errors.New("broken")
		})
	}
	deadline := time.Now().Add(time.Minute)
	if err := s.run(deadline); err == nil || err.Error() != "listener: broken\ndatabase: broken" {
		t.Errorf("got error %v", err)
	}
	if got := strings.Join(order, " "); got != "watcher listener database" {
		t.Errorf("stopped %s", got)
	}
	if err := s.run(deadline); err != nil || len(order) != 3 {
		t.Errorf("again: error %v, stopped %v", err, order)
	}
}

// A part that does not end, because the disk hangs, does not keep the others from stopping.
func TestStopsBounded(t *testing.T) {
	takes := func(d time.Duration) func(context.Context) error {
		return func(context.Context) error { time.Sleep(d); return nil }
	}
	f := func(timeout, takesTime, want time.Duration, patient, ends bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var s stops
			if patient {
				s.addPatient("slow", takes(takesTime))
			} else {
				s.add("slow", takes(takesTime))
			}
			began := time.Now()
			err := s.run(began.Add(timeout))
			if took := time.Since(began); took != want || (err == nil) != ends {
				t.Errorf("timeout %v, takes %v, patient %t: got %v after %v, want %v", timeout, takesTime, patient, err, took, want)
			}
			time.Sleep(takesTime)
		})
	}
	f(5*time.Second, time.Second, time.Second, false, true)
	f(5*time.Second, time.Hour, 5*time.Second+lastMoment, false, false)
	f(0, lastMoment, lastMoment, false, true)
	f(0, time.Hour, 2*lastMoment, false, false)
	f(5*time.Second, 6*time.Second, 6*time.Second, true, true)
	f(5*time.Second, time.Hour, 5*time.Second+maxLate-lastMoment, true, false)
}

// A function that ends with its context says why it did not finish, in its own words.
func TestStopsInOwnWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stops
		s.add("log", func(ctx context.Context) error { <-ctx.Done(); return errors.New("3 lines are lost") })
		if err := s.run(time.Now().Add(time.Second)); err == nil || err.Error() != "log: 3 lines are lost" {
			t.Errorf("got error %v", err)
		}
	})
}

// maxLate holds for the parts of a Server even if each of them stalls.
func TestStopsAllStall(t *testing.T) {
	cfg := testConfig(t, "127.0.0.1:0", "127.0.0.1:0")
	running, err := Start("", cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	parts := append(stops{{name: "watching the configuration file"}}, running.stops...)
	if err := running.Stop(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var s stops
		released := make(chan struct{})
		for _, part := range parts {
			s = append(s, stop{part.name, func(context.Context) error { <-released; return nil }, part.patient})
		}
		began := time.Now()
		err := s.run(began.Add(time.Second))
		if took := time.Since(began); took > time.Second+maxLate {
			t.Errorf("took %v", took)
		}
		if n := strings.Count(err.Error(), "did not end within shutdown_timeout"); n != len(parts) {
			t.Errorf("%d of %d parts say that they did not end: %v", n, len(parts), err)
		}
		close(released)
	})
}

// A background job that waits for the disk does not take the time of the requests in flight: it
// stops after the listeners.
func TestJobsStopAfterListeners(t *testing.T) {
	s, err := Start("", testConfig(t, "127.0.0.1:0", "127.0.0.1:0"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	begun := make(map[string]int)
	for i, part := range s.stops {
		begun[part.name] = i
	}
	for _, job := range []string{"removing expired records", "counting password hashes"} {
		if at, ok := begun[job]; !ok || at > begun["admin listener"] || at < begun["database"] {
			t.Errorf("%s is number %d (%t) of %v", job, at, ok, begun)
		}
	}
}
