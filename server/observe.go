package server

import (
	"context"
	"time"

	"sidekey/config"
	"sidekey/decisionlog"
	"sidekey/events"
)

// startObservers opens the decision log and the queue of events.
func (s *Server) startObservers(c config.Config) (err error) {
	if s.decisions, err = decisionlog.Open(decisionLogOf(c), s.log); err != nil {
		return err
	}
	s.stops.add("decision log", func(deadline context.Context) error {
		ctx, cancel := extend(deadline)
		defer cancel()
		return s.decisions.Stop(ctx)
	})
	s.events = events.NewQueue(eventsOf(c), c.Events.Queue, s.log)
	s.stops.add("events", func(deadline context.Context) error {
		ctx, cancel := extend(deadline)
		defer cancel()
		s.events.Stop(ctx)
		return nil
	})
	s.monitor = events.NewMonitor(s.events)
	return nil
}

// lastMoment is how long an observer may take to deliver what it holds even if the listeners used
// all of shutdown_timeout.
const lastMoment = 250 * time.Millisecond

// extend returns a context that ends at the deadline, but not before lastMoment has passed.
func extend(deadline context.Context) (context.Context, context.CancelFunc) {
	end, _ := deadline.Deadline()
	return context.WithTimeout(context.Background(), max(time.Until(end), lastMoment))
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
