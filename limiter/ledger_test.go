package limiter

import (
	"errors"
	"sync"
	"testing"
	"time"
)

var errDisk = errors.New("the disk failed")

// ledger is a Ledger whose disk is a map. Asks wait for the test to answer them, unless it
// is eager.
type ledger struct {
	eager  bool // answers by itself, from a goroutine of its own, in the order of the asks
	shared bool // several quotas with one key stand for several processes

	mu    sync.Mutex // protects everything below
	disk  map[QuotaKey]Reservation
	queue []asked
	count int // of asks

	hurried int // how often a request waited
}

type asked struct {
	key  QuotaKey
	ask  Ask
	done func(Grant, error)
}

func (l *ledger) Reserve(key QuotaKey, ask Ask, done func(Grant, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, asked{key, ask, done})
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

// drain commits everything that waits, as a single writer does.
func (l *ledger) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		a := l.queue[0]
		g := l.grantLocked(a)
		l.mu.Unlock()
		a.done(g, nil)
		l.mu.Lock()
		l.queue = l.queue[1:]
	}
}

func (l *ledger) grantLocked(a asked) Grant {
	if l.disk == nil {
		l.disk = make(map[QuotaKey]Reservation)
	}
	g := l.disk[a.key].Grant(a.ask, !l.shared)
	l.disk[a.key] = g.Reservation
	return g
}

// answer answers the oldest ask. applied says whether the grant is on disk, which is
// unknown to the quota after an error.
func (l *ledger) answer(t testing.TB, err error, applied bool) {
	t.Helper()
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.mu.Unlock()
		t.Fatal("the ledger received no ask")
	}
	a := l.queue[0]
	l.queue = l.queue[1:]
	var g Grant
	if applied {
		g = l.grantLocked(a)
	}
	l.mu.Unlock()
	a.done(g, err)
}

// onDisk returns the record of the quota named key.
func (l *ledger) onDisk(key QuotaKey) Reservation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.disk[key]
}

// open returns how many asks wait for an answer.
func (l *ledger) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

func (l *ledger) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// ask is what a caller of this package does: it tries to admit one request until there is
// an answer, and waits for the ledger if it has to. It gives a quota up that never has
// enough.
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
