package server

import (
	"context"
	"time"

	"sidekey/config"
	"sidekey/decisionlog"
	"sidekey/events"
)

// startObservers opens the decision log and the queue of events.
func (p *Server) startObservers(c config.Config) (err error) {
	if p.decisions, err = decisionlog.Open(decisionLogOf(c), p.log); err != nil {
		return err
	}
	p.events = events.NewQueue(eventsOf(c), c.Events.Queue, p.log)
	p.monitor = events.NewMonitor(p.events)
	return nil
}

// lastMoment is what the observers get to deliver what they hold even where the listeners
// took all of shutdown_timeout.
const lastMoment = 250 * time.Millisecond

// stopObservers delivers what the observers hold, until the deadline.
func (p *Server) stopObservers(deadline context.Context) error {
	end, _ := deadline.Deadline()
	ctx, cancel := context.WithTimeout(context.Background(), max(time.Until(end), lastMoment))
	defer cancel()
	if p.events != nil {
		p.events.Stop(ctx)
	}
	if p.decisions == nil {
		return nil
	}
	return p.decisions.Stop(ctx)
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
