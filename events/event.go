// Package events reports to a webhook what happens to users: failed logins, exceeded limits,
// quota triggers, created, changed, and deleted keys.
//
// A decision never waits for the webhook: events wait in a bounded queue, and one goroutine sends
// them one after the other. Events that the queue cannot hold are dropped and counted. The queue
// is in memory only: its events are lost if the process is killed.
package events

import (
	"encoding/json"
	"time"

	"sidekey/auth/session"
)

// Event is the body of a request to the webhook. event, message, org, key, and trigger_limit are
// those of Tyk's stock template for monitors, in which all are strings.
type Event struct {
	Event           string `json:"event"`
	Message         string `json:"message"`
	Org             string `json:"org"`
	Key             string `json:"key"`  // [auth.Name.Token]; "" if there is no such user
	User            string `json:"user"` // the user's name, for people
	TriggerLimit    string `json:"trigger_limit,omitempty"`
	UsagePercentage string `json:"usage_percentage,omitempty"`
	APIID           string `json:"api_id,omitempty"`
	Path            string `json:"path,omitempty"`   // without the query
	Origin          string `json:"origin,omitempty"` // the client's address
	Timestamp       string `json:"timestamp"`
}

func newEvent(event, message string, name session.Name, at time.Time) Event {
	e := Event{Event: event, Message: message, Org: name.Org, User: name.User, Timestamp: at.UTC().Format(time.RFC3339Nano)}
	if name.User != "" {
		e.Key = name.Token()
	}
	return e
}

func (e Event) body() []byte {
	body, err := json.Marshal(e)
	if err != nil {
		panic("BUG: cannot encode an event: " + err.Error())
	}
	return body
}
