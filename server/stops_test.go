package server

import (
	"context"
	"errors"
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
	if err := s.run(t.Context()); err == nil || err.Error() != "listener: broken\ndatabase: broken" {
		t.Errorf("got error %v", err)
	}
	if got := strings.Join(order, " "); got != "watcher listener database" {
		t.Errorf("stopped %s", got)
	}
	if err := s.run(t.Context()); err != nil || len(order) != 3 {
		t.Errorf("again: error %v, stopped %v", err, order)
	}
}

// A part that does not end, because the disk hangs, does not keep the others from stopping.
func TestWaitFor(t *testing.T) {
	f := func(timeout, takes, want time.Duration, ends bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			deadline, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			began := time.Now()
			err := waitFor(deadline, func() { time.Sleep(takes) })
			if took := time.Since(began); took != want || (err == nil) != ends {
				t.Errorf("timeout %v, takes %v: got %v after %v, want %v", timeout, takes, err, took, want)
			}
			time.Sleep(takes)
		})
	}
	f(5*time.Second, time.Second, time.Second, true)
	f(5*time.Second, time.Hour, 5*time.Second, false)
	f(0, 100*time.Millisecond, 100*time.Millisecond, true)
	f(0, time.Hour, lastMoment, false)
}
