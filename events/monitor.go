package events

import (
	"math"
	"strconv"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/check"
	"sidekey/limiter"
)

// Monitor turns decisions and writes into events. It is a [check.Observer].
type Monitor struct {
	queue    *Queue
	failures *limiter.Window // AuthFailure, of all users together
}

// failuresPerSecond bounds the AuthFailure events, so that a client that guesses passwords cannot
// crowd out other events.
const failuresPerSecond = 10

// NewMonitor returns a monitor that adds its events to q.
func NewMonitor(q *Queue) *Monitor {
	return &Monitor{queue: q, failures: limiter.NewWindow(failuresPerSecond, 1)}
}

// Wants implements [check.Observer].
func (m *Monitor) Wants(v auth.Verdict) bool {
	switch v.Reason {
	case auth.Pass:
		return len(v.Reached) > 0 && m.queue.Enabled()
	case auth.BadCredentials, auth.Inactive, auth.Expired, auth.RateExceeded, auth.QuotaExceeded, auth.APIRateExceeded:
		return m.queue.Enabled()
	}
	return false
}

// Observe implements [check.Observer].
func (m *Monitor) Observe(r *check.Record) {
	v, now := &r.Verdict, limiter.At(r.At.Add(r.Took))
	switch v.Reason {
	case auth.Pass:
		for _, percent := range v.Reached {
			e := m.event(r, "TriggerExceeded", "Quota trigger reached")
			e.TriggerLimit = strconv.FormatFloat(percent, 'f', -1, 64)
			e.UsagePercentage = usage(v.Quota)
			m.queue.Add(e)
		}
	case auth.BadCredentials:
		if limiter.Admit(now, limiter.Limits{Rate: m.failures}).Outcome != limiter.Admitted {
			m.queue.Drop()
			return
		}
		m.queue.Add(m.event(r, "AuthFailure", "Auth Failure"))
	case auth.Inactive:
		m.once(r, now, "KeyExpired", "Attempted access from inactive key.")
	case auth.Expired:
		m.once(r, now, "KeyExpired", "Attempted access from expired key.")
	case auth.RateExceeded:
		m.once(r, now, "RateLimitExceeded", "Key Rate Limit Exceeded")
	case auth.APIRateExceeded:
		m.once(r, now, "RateLimitExceeded", "API Rate Limit Exceeded")
	case auth.QuotaExceeded:
		m.once(r, now, "QuotaExceeded", "Key Quota Limit Exceeded")
	}
}

// once adds an event if the refusal is the first of its kind in its period.
func (m *Monitor) once(r *check.Record, now limiter.Now, event, message string) {
	if r.Verdict.News(now) {
		m.queue.Add(m.event(r, event, message))
	}
}

// event describes a decision. The name of a user that does not exist is left out: it may be a
// password in the wrong field.
func (m *Monitor) event(r *check.Record, event, message string) Event {
	v := &r.Verdict
	var name session.Name
	if v.Named != nil {
		name = session.Name{Org: v.Named.Org(), User: v.Named.User()}
	} else {
		name.Org = v.API.Org
	}
	e := newEvent(event, message, name, r.At)
	e.APIID = v.API.ID
	e.Path, e.Origin = clip(r.Path()), clip(r.Request.Client)
	return e
}

// clip copies at most the first 1024 bytes of a text of the request.
func clip(text []byte) string { return string(text[:min(len(text), 1024)]) }

// usage returns how much of a quota is used, in whole percent as Tyk has it.
func usage(q limiter.QuotaState) string {
	if q.Limit == 0 {
		return ""
	}
	return strconv.FormatFloat(math.Floor(float64(q.Limit-q.Remaining)*100/float64(q.Limit)), 'f', 0, 64)
}

// Created reports a user that was created over the admin API.
func (m *Monitor) Created(name session.Name) { m.written("TokenCreated", "Key created.", name) }

// Updated reports a user that was changed over the admin API.
func (m *Monitor) Updated(name session.Name) { m.written("TokenUpdated", "Key modified.", name) }

// Deleted reports a user that was deleted over the admin API.
func (m *Monitor) Deleted(name session.Name) { m.written("TokenDeleted", "Key deleted.", name) }

func (m *Monitor) written(event, message string, name session.Name) {
	if m.queue.Enabled() {
		m.queue.Add(newEvent(event, message, name, time.Now()))
	}
}
