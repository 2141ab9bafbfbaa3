package http

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sidekey/auth/session"
	"sidekey/decisionlog"
	"sidekey/events"
)

// T-07, T-09: observers copy what a record borrows. Users take turns on one connection, each
// with a path and an address as long as the others', so what an observer had kept of one
// request would be the next one's by the time it is written.
func TestT07ObserversCopy(t *testing.T) {
	var mu sync.Mutex
	var sent []string
	webhook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e events.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, fmt.Sprintf("%s %s %s from %s", e.Event, e.User, e.Path, e.Origin))
	}))
	defer webhook.Close()
	file := filepath.Join(t.TempDir(), "decisions.log")
	discard := slog.New(slog.DiscardHandler)
	decisions, err := decisionlog.Open(decisionlog.Config{File: file, Decisions: "all", Sample: 1}, discard)
	if err != nil {
		t.Fatal(err)
	}
	queue := events.NewQueue(events.Config{URL: webhook.URL, Timeout: patience, Attempts: 1}, 1000, discard)

	l := start(t)
	l.handler.SetObservers(decisions, events.NewMonitor(queue))
	const users = 8
	// Requests 0 to 7 are admitted and 8 to 15 over the rate, which is an event for each.
	var requests strings.Builder
	var lines, told []string
	for i := range 2 * users {
		user, path, from := fmt.Sprintf("user-%d", i%users), fmt.Sprintf("/path-%02d", i), fmt.Sprintf("192.0.2.1%02d", i)
		if i < users {
			l.add(user, session.Session{Rate: 1, Per: 3600, EnableDetailedRecording: true})
		}
		raw := request("forward", "GET", path, login(user), fmt.Sprintf("X-Note: note %02d", i))
		requests.WriteString(strings.Replace(raw, "192.0.2.1", from, 1))
		reason := "pass"
		if i >= users {
			reason = "rate"
			told = append(told, fmt.Sprintf("RateLimitExceeded %s %s from %s", user, path, from))
		}
		lines = append(lines, fmt.Sprintf("%s %s %s from %s: note %02d", reason, user, path, from, i))
	}
	c := l.client()
	if _, err := io.WriteString(c.conn, requests.String()); err != nil {
		t.Fatal(err)
	}
	for range 2 * users {
		c.read()
	}
	c.close()
	l.handler.SetObservers()
	queue.Stop(t.Context())
	if err := decisions.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var logged []string
	for line := range strings.Lines(string(text)) {
		var d struct {
			Reason, User, Path, Client string
			Headers                    map[string]string
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		logged = append(logged, fmt.Sprintf("%s %s %s from %s: %s", d.Reason, d.User, d.Path, d.Client, d.Headers["X-Note"]))
	}
	if !slices.Equal(logged, lines) {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(logged, "\n"), strings.Join(lines, "\n"))
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(sent, told) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(sent, "\n"), strings.Join(told, "\n"))
	}
}
