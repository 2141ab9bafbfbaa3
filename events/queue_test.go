package events

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sidekey/auth/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a webhook without a network.
type receiver struct {
	mu      sync.Mutex
	answers []int         // of the next requests; 0 = no answer; then 200
	hang    bool          // do not answer
	asked   []time.Time   // when requests came
	ids     []string      // of all requests
	bodies  []string      // that were answered 200
	header  http.Header   // of the last request
	slow    time.Duration // before every answer
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.asked = append(r.asked, time.Now())
	r.ids = append(r.ids, request.Header.Get("Idempotency-Key"))
	r.header = request.Header
	status := 200
	if len(r.answers) > 0 {
		status, r.answers = r.answers[0], r.answers[1:]
	}
	hang, slow := r.hang, r.slow
	r.mu.Unlock()
	if hang {
		slow = time.Hour
	}
	select {
	case <-time.After(slow):
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if status == 200 {
		r.mu.Lock()
		r.bodies = append(r.bodies, string(body))
		r.mu.Unlock()
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.example.com/"}}, Body: io.NopCloser(strings.NewReader("thanks"))}, nil
}

var here = Config{URL: "https://user:canary@example.com/canary?canary", Timeout: 5 * time.Second, Attempts: 4}

func event(name string) Event {
	return newEvent(name, "m", session.Name{Org: "default", User: "alice"}, time.Now())
}

// run runs f in a bubble with a queue of size 10, and wants the counts at its end.
func run(t *testing.T, c Config, r *receiver, want Counts, f func(q *Queue)) (log string) {
	t.Helper()
	var said bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		q := startQueue(c, 10, slog.New(slog.NewTextHandler(&said, nil)), r)
		f(q)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		q.Stop(ctx)
		if took := time.Since(began); took > time.Second {
			t.Errorf("stopping took %v", took)
		}
		if got := q.Counts(); got != want {
			t.Errorf("%+v, want %+v\n%s", got, want, &said)
		}
	})
	if strings.Contains(said.String(), "canary") {
		t.Errorf("the log holds a secret of the URL: %s", &said)
	}
	return said.String()
}

func TestQueueDelivers(t *testing.T) {
	r := &receiver{}
	run(t, here, r, Counts{Queued: 3, Delivered: 3}, func(q *Queue) {
		for _, name := range []string{"A", "B", "C"} {
			q.Add(event(name))
		}
	})
	got := strings.Join(r.bodies, "\n")
	if want := `{"event":"A","message":"m","org":"default","key":"eyJvcmciOiJkZWZhdWx0IiwiaWQiOiJhbGljZSIsImgiOiJtdXJtdXI2NCJ9","user":"alice","timestamp":"2000-01-01T00:00:00Z"}`; !strings.HasPrefix(got, want) || len(r.bodies) != 3 {
		t.Errorf("got %s", got)
	}
	if r.header.Get("Content-Type") != "application/json" || r.header.Get("User-Agent") != "sidekey" || len(r.ids[0]) < 20 || r.ids[0] == r.ids[1] {
		t.Errorf("header %v, ids %q", r.header, r.ids)
	}
}

// A failed event is tried again after pauses that grow and differ, under the same id, and given
// up after the last attempt. The failure is logged once, and so is the recovery.
func TestQueueTriesAgain(t *testing.T) {
	r := &receiver{answers: []int{500, 0, 429, 408, 503, 200}}
	log := run(t, here, r, Counts{Queued: 2, Delivered: 1, Failed: 1}, func(q *Queue) {
		q.Add(event("A"))
		q.Add(event("B"))
		time.Sleep(time.Minute)
		synctest.Wait()
	})
	if len(r.asked) != 6 || r.ids[0] != r.ids[3] || r.ids[3] == r.ids[4] {
		t.Fatalf("asked at %v with %q", r.asked, r.ids)
	}
	for i, most := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
		if pause := r.asked[i+1].Sub(r.asked[i]); pause < most/2 || pause > most {
			t.Errorf("pause %d: %v, want %v to %v", i, pause, most/2, most)
		}
	}
	if strings.Count(log, "cannot deliver an event") != 1 || strings.Count(log, "delivering events works again") != 1 {
		t.Errorf("the log says: %s", log)
	}
}

// An event that cannot succeed is not tried again; nor is a redirect followed.
func TestQueueGivesUp(t *testing.T) {
	for _, status := range []int{400, 401, 404, 301, 307, 308} {
		r := &receiver{answers: []int{status}}
		run(t, here, r, Counts{Queued: 1, Failed: 1}, func(q *Queue) {
			q.Add(event("A"))
			time.Sleep(time.Minute)
		})
		if len(r.asked) != 1 {
			t.Errorf("%d: asked %d times", status, len(r.asked))
		}
	}
}

// Nothing waits for a webhook that does not answer: events without room are dropped.
func TestQueueDrops(t *testing.T) {
	r := &receiver{hang: true}
	c := here
	c.Attempts = 1
	run(t, c, r, Counts{Queued: 11, Dropped: 20 + 9, Failed: 2}, func(q *Queue) {
		q.Add(event("A"))
		synctest.Wait()
		began := time.Now()
		for range 30 {
			q.Add(event("B"))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v", took)
		}
		if got := q.Counts(); got.Dropped != 20 {
			t.Errorf("%+v", got)
		}
		time.Sleep(c.Timeout)
		synctest.Wait()
		if got := q.Counts(); got.Failed != 1 {
			t.Errorf("after the timeout: %+v", got)
		}
	})
}

// At the end, each waiting event is tried once while there is time.
func TestQueueStops(t *testing.T) {
	r := &receiver{slow: 300 * time.Millisecond, answers: []int{500, 200, 200}}
	run(t, here, r, Counts{Queued: 5, Delivered: 2, Failed: 2, Dropped: 1}, func(q *Queue) {
		for range 5 {
			q.Add(event("A"))
		}
	})
}

func TestQueueConfig(t *testing.T) {
	r := &receiver{}
	run(t, Config{}, r, Counts{Queued: 2, Delivered: 1, Dropped: 1}, func(q *Queue) {
		if q.Enabled() {
			t.Error("enabled without a URL")
		}
		q.Add(event("A"))
		synctest.Wait()
		q.SetConfig(here)
		if !q.Enabled() {
			t.Error("not enabled with a URL")
		}
		q.Add(event("B"))
	})
}

// The environment does not change where events go, and an error does not show their URL.
func TestTransport(t *testing.T) {
	q := NewQueue(Config{}, 1, slog.New(slog.DiscardHandler))
	defer q.Stop(context.Background())
	if q.client.Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy of the environment is used")
	}
	for _, address := range []string{"http://user:canary@127.0.0.1:1/canary?canary", "http://canary.invalid:port/", "canary://x", "http://[canary", "http://%zz/canary"} {
		_, err := q.attempt(&Config{URL: address, Timeout: time.Second}, []byte("{}"), "id")
		var outer *url.Error
		if err == nil || errors.As(err, &outer) || strings.Contains(err.Error(), "canary?") || strings.Contains(err.Error(), ":canary") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
