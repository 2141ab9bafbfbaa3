package server

import (
	"context"

	"sidekey/config"
	"sidekey/decisionlog"
	"sidekey/events"
)

// startObservers opens the decision log and the queue of events.
func (s *Server) startObservers(c config.Config) (err error) {
	if s.decisions, err = decisionlog.Open(decisionLogOf(c), s.log); err != nil {
		return err
	}
	s.stops.add("decision log", s.decisions.Stop)
	s.events = events.NewQueue(eventsOf(c), c.Events.Queue, s.log)
	s.stops.add("events", func(ctx context.Context) error {
		s.events.Stop(ctx)
		return nil
	})
	s.monitor = events.NewMonitor(s.events)
	return nil
}

func decisionLogOf(c config.Config) decisionlog.Config {
	return decisionlog.Config{
		File:         c.Log.File,
		Decisions:    c.Log.Decisions,
		Sample:       c.Log.Sample,
		UnknownUsers: c.Log.UnknownUsers,
	}
}

func eventsOf(c config.Config) events.Config {
	return events.Config{URL: c.Events.WebhookURL, Timeout: c.Events.WebhookTimeout, Attempts: c.Events.WebhookAttempts}
}
