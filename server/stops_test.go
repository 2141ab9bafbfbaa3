package server

import (
	"context"
	"errors"
	"strings"
	"testing"
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
