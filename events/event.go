// Package events tells a webhook what happens to users: failed logins, limits that are
// used up, triggers of quotas, keys that are written.
//
// A decision never waits for the webhook: events wait in a bounded queue, one goroutine
// sends them one after the other, and what the queue cannot hold is dropped and counted.
// The queue is memory only: what waits is lost when the process is killed.
package events

import (
	"encoding/json"
	"time"

	"sidekey/auth"
)

// Event is the body of a webhook's request. event, message, org, key and trigger_limit
// are those of Tyk's stock template for monitors, in which all are strings.
type Event struct {
	Event           string `json:"event"`
	Message         string `json:"message"`
	Org             string `json:"org"`
	Key             string `json:"key"`  // [auth.Name.Token]; "" where there is no such user
	User            string `json:"user"` // the name in it, for people
	TriggerLimit    string `json:"trigger_limit,omitempty"`
	UsagePercentage string `json:"usage_percentage,omitempty"`
	APIID           string `json:"api_id,omitempty"`
	Path            string `json:"path,omitempty"`   // without the query
	Origin          string `json:"origin,omitempty"` // the client's address
	Timestamp       string `json:"timestamp"`
}

func newEvent(event, message string, name auth.Name, at time.Time) Event {
	e := Event{Event: event, Message: message, Org: name.Org, User: name.User, Timestamp: at.UTC().Format(time.RFC3339Nano)}
	if name.User != "" {
		e.Key = name.Token()
	}
	return e
}

func (e Event) body() []byte {
	body, err := json.Marshal(e)
	if err != nil {
		panic("BUG: an event of strings is no JSON: " + err.Error())
	}
	return body
}
