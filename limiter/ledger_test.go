package limiter

import (
	"errors"
	"sync"
	"testing"
	"time"
)

var errDisk = errors.New("the disk failed")

// ledger is a Ledger whose disk is a map. What it is asked waits for the test to answer,
// unless it is eager.
type ledger struct {
	eager bool // answers by itself, from a goroutine of its own, in the order it was asked

	mu    sync.Mutex // protects everything below
	kept  map[QuotaKey]Reservation
	queue []asked
	count int // how often it was asked

	hurried int // how often somebody waited
}

type asked struct {
	key  QuotaKey
	r    Reservation
	done func(error)
}

func (l *ledger) Reserve(key QuotaKey, r Reservation, done func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, asked{key, r, done})
	l.count++
	if l.eager && len(l.queue) == 1 {
		go l.drain()
	}
}

func (l *ledger) Hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hurried++
}

// drain commits whatever waits, as one writer does.
func (l *ledger) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		a := l.queue[0]
		l.keepLocked(a)
		l.mu.Unlock()
		a.done(nil)
		l.mu.Lock()
		l.queue = l.queue[1:]
	}
}

func (l *ledger) keepLocked(a asked) {
	if l.kept == nil {
		l.kept = make(map[QuotaKey]Reservation)
	}
	l.kept[a.key] = a.r
}

// answer answers the oldest question. applied says whether the reservation is on disk,
// which after an error nobody can know.
func (l *ledger) answer(t testing.TB, err error, applied bool) {
	t.Helper()
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.mu.Unlock()
		t.Fatal("the ledger was not asked")
	}
	a := l.queue[0]
	l.queue = l.queue[1:]
	if applied {
		l.keepLocked(a)
	}
	l.mu.Unlock()
	a.done(err)
}

// onDisk returns what is kept of the quota named key.
func (l *ledger) onDisk(key QuotaKey) Reservation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept[key]
}

// open returns the questions that wait for an answer.
func (l *ledger) open() (reservations []Reservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.queue {
		reservations = append(reservations, a.r)
	}
	return reservations
}

func (l *ledger) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// ask is what a caller of this package does: it asks for one request until there is an
// answer, waiting for the ledger where it has to. A quota that never has enough is given
// up in the end.
func ask(l Limits, clock func() Now) (r Result) {
	for range 10_000 {
		if l.Quota != nil {
			l.Quota.mu.Lock()
			l.Edition = l.Quota.edition
			l.Quota.mu.Unlock()
		}
		r = Admit(clock(), l)
		if r.Outcome != NeedsLedger || !l.Quota.Wait(clock(), time.Minute) {
			return r
		}
	}
	return r
}

func still(now Now) func() Now { return func() Now { return now } }
