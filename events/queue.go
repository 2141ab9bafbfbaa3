package events

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Config says where events are sent. See sidecar.toml.
type Config struct {
	URL      string // may have secrets in it; "" = nowhere
	Timeout  time.Duration
	Attempts int // at least 1
}

// Counts are the numbers of events so far. Queued events were accepted; of these, Delivered and
// Failed are finished. Dropped events were not accepted, or not tried.
type Counts struct {
	Queued, Delivered, Dropped, Failed int64
}

// Queue holds events until they are delivered.
type Queue struct {
	config  atomic.Pointer[Config]
	client  *http.Client
	log     *slog.Logger
	waiting chan Event

	queued, delivered, dropped, failed atomic.Int64

	broken bool // the last attempt failed, and the log says so; only the delivering goroutine uses it

	ctx      context.Context // of the attempts
	cancel   context.CancelFunc
	stopping chan struct{}
	stopped  chan struct{}
}

// Pauses between attempts.
const (
	firstPause = 500 * time.Millisecond
	maxPause   = 30 * time.Second
)

// NewQueue starts a queue that holds up to size events.
func NewQueue(c Config, size int, log *slog.Logger) *Queue {
	return startQueue(c, size, log, &http.Transport{
		// Proxy stays nil: an environment variable that is meant for other programs must not
		// send users' names elsewhere.
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           1,
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	})
}

func startQueue(c Config, size int, log *slog.Logger, transport http.RoundTripper) *Queue {
	q := &Queue{
		log:      log,
		waiting:  make(chan Event, size),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
		client: &http.Client{
			Transport: transport,
			// A redirect could lead anywhere and turns POST into GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.config.Store(&c)
	go q.run()
	return q
}

// SetConfig replaces the configuration, also for events that wait already.
func (q *Queue) SetConfig(c Config) { q.config.Store(&c) }

// Enabled reports whether there is a webhook.
func (q *Queue) Enabled() bool { return q.config.Load().URL != "" }

// Add adds an event, or drops it if the queue is full. It never waits.
func (q *Queue) Add(e Event) {
	select {
	case q.waiting <- e:
		q.queued.Add(1)
	default:
		q.dropped.Add(1)
	}
}

// Drop counts an event as dropped that was not worth a place in the queue.
func (q *Queue) Drop() { q.dropped.Add(1) }

// Counts returns the numbers of events so far.
func (q *Queue) Counts() Counts {
	return Counts{Queued: q.queued.Load(), Delivered: q.delivered.Load(), Dropped: q.dropped.Load(), Failed: q.failed.Load()}
}

// Stop tries each waiting event once, without pauses, and returns when that is done or ctx ends.
// The events that are left then are dropped.
func (q *Queue) Stop(ctx context.Context) {
	close(q.stopping)
	select {
	case <-q.stopped:
	case <-ctx.Done():
		q.cancel()
		<-q.stopped
	}
	q.cancel()
	q.client.CloseIdleConnections()
}

func (q *Queue) run() {
	defer close(q.stopped)
	for {
		select {
		case e := <-q.waiting:
			q.deliver(e)
		case <-q.stopping:
			q.drain()
			return
		}
	}
}

// drain delivers or drops the waiting events when no more are added.
func (q *Queue) drain() {
	for {
		select {
		case e := <-q.waiting:
			q.deliver(e)
		default:
			if c := q.Counts(); c.Dropped+c.Failed > 0 {
				q.log.Warn("not all events were delivered", "delivered", c.Delivered, "dropped", c.Dropped, "failed", c.Failed)
			}
			return
		}
	}
}

// deliver tries to send one event until the webhook accepts it or the attempts are used up.
func (q *Queue) deliver(e Event) {
	body, id := e.body(), rand.Text()
	pause := firstPause
	for attempt := 1; ; attempt++ {
		c := q.config.Load()
		if c.URL == "" || q.ctx.Err() != nil {
			q.dropped.Add(1)
			return
		}
		again, err := q.attempt(c, body, id)
		if err == nil {
			q.delivered.Add(1)
			if q.broken {
				q.broken = false
				q.log.Info("delivering events works again", "failed_total", q.failed.Load())
			}
			return
		}
		if !q.broken {
			q.broken = true
			q.log.Warn("cannot deliver an event", "event", e.Event, "attempt", attempt, "error", err)
		}
		if !again || attempt >= c.Attempts || !q.pause(pause/2+mathrand.N(pause/2)) {
			q.failed.Add(1)
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// pause waits. It returns false if the program stops.
func (q *Queue) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.stopping:
		return false
	}
}

// attempt sends an event once. again reports whether another attempt may help. Errors never show
// the URL, which may have secrets in it.
func (q *Queue) attempt(c *Config, body []byte, id string) (again bool, err error) {
	ctx, cancel := context.WithTimeout(q.ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("events.webhook_url: must be an address")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "sidekey")
	request.Header.Set("Idempotency-Key", id) // an attempt that timed out may have been accepted
	response, err := q.client.Do(request)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return true, err
	}
	defer response.Body.Close()
	io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return false, nil
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return true, fmt.Errorf("the webhook answered %d", code)
	default:
		return false, fmt.Errorf("the webhook answered %d", code)
	}
}
