package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/internal/broken"
	"sidekey/store"
	"sidekey/store/bolt/boltfile"
)

// maxPerCommit bounds how long one commit delays the next.
const maxPerCommit = 4096

// operation is one change that is waiting for its commit.
type operation struct {
	// apply changes tx. It may return an error only before its first change.
	apply func(tx *bbolt.Tx) error
	// committed publishes the operation before it is answered; nil: nothing to publish.
	committed func()
	// last ends the batch, so that later operations are applied when it is published.
	last bool
	// patient says that no caller waits for the operation before hurry is called.
	patient bool
	done    func(error)
}

// refused marks an error of the caller's own edit.
type refused struct{ error }

// queue collects operations for the writer. Adding to it never blocks. Its length is bounded
// by the number of waiting callers, except for the pauses of reads that have given up on a
// hanging disk: these run when it is back.
type queue struct {
	mu      sync.Mutex // protects waiting, pauses, closed and ending
	waiting []operation
	pauses  []func() // each is run once, between two commits
	closed  bool
	wake    chan struct{} // holds one token while something is waiting

	patience time.Duration // how long patient operations wait for others to share a commit with
	ending   bool          // a timer runs that ends the patience
}

// reservationPatience is the patience of the program: short compared with the half minute of
// traffic that a reservation lasts, and long compared with a commit. 10,000 active users with
// a quota make several hundred reservations a second, which then take 20 commits.
const reservationPatience = 50 * time.Millisecond

func (q *queue) init() { q.wake, q.patience = make(chan struct{}, 1), reservationPatience }

func (q *queue) add(op operation) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, op)
	switch {
	case !op.patient:
		q.signal()
	case !q.ending:
		q.ending = true
		time.AfterFunc(q.patience, func() {
			q.mu.Lock()
			q.ending = false
			q.mu.Unlock()
			q.hurry()
		})
	}
	return true
}

// hurry has the writer take the waiting operations now.
func (q *queue) hurry() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		q.signal()
	}
}

func (q *queue) addPause(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.pauses = append(q.pauses, f)
	q.signal()
	return true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for operations, for pauses or for a signal. last says that no more will come.
func (q *queue) take() (batch []operation, pauses []func(), last bool) {
	<-q.wake
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxPerCommit)
	if i := slices.IndexFunc(q.waiting[:n], func(op operation) bool { return op.last }); i >= 0 {
		n = i + 1
	}
	batch, q.waiting = q.waiting[:n:n], q.waiting[n:]
	if len(q.waiting) > 0 {
		q.signal()
	}
	pauses, q.pauses = q.pauses, nil
	return batch, pauses, q.closed && len(q.waiting) == 0
}

// pause runs f while the writer pauses: no commit is under way, and none begins before f
// returns. It waits for the end of f.
func (s *Store) pause(f func()) error {
	done := make(chan struct{})
	if !s.queue.addPause(func() { defer close(done); f() }) {
		return auth.ErrStoreDown
	}
	<-done
	return nil
}

func (s *Store) write(op operation) {
	if !s.queue.add(op) {
		// Not in this goroutine: a ledger must not call done before Reserve returns.
		go op.done(auth.ErrStoreDown)
	}
}

// change writes op and waits for its end. It returns an error of the caller's own edit as it
// is.
func (s *Store) change(op operation) error {
	done := make(chan error, 1)
	op.done = func(err error) { done <- err }
	s.write(op)
	err := <-done
	if r := (refused{}); errors.As(err, &r) {
		return r.error
	}
	return err
}

// writeLoop is the only writer. All operations that wait when a commit begins go into it, so
// they share the price of one sync.
func (s *Store) writeLoop() {
	defer close(s.stopped)
	for {
		batch, pauses, last := s.queue.take()
		if f := s.file.Load(); (f == nil || !f.writable) && time.Since(s.failedAt) >= reopenEvery {
			s.reopen(false)
			s.markPublished()
		}
		for _, f := range pauses {
			f()
		}
		if len(batch) > 0 {
			s.commit(batch)
		}
		if last {
			return
		}
	}
}

// commit applies a batch, makes it durable, publishes it, and answers it, in this order.
func (s *Store) commit(batch []operation) {
	if broken.Is("ackfirst") {
		for i := range batch {
			batch[i].done(nil)
			batch[i].done = func(error) {}
		}
	}
	results := make([]error, len(batch))
	began := time.Now()
	err := s.update(func(tx *bbolt.Tx) error {
		for i, op := range batch {
			results[i] = op.apply(tx)
		}
		return nil
	})
	s.done.nanos.Add(uint64(time.Since(began)))
	s.done.commits.Add(1)
	s.done.writes.Add(uint64(len(batch)))
	if err != nil {
		s.done.failures.Add(1)
	} else {
		s.replaced = nil
		s.done.users.Store(s.sums.Buckets[0].Count)
	}
	unknown := err != nil && !errors.Is(err, auth.ErrStoreDown)
	if unknown {
		s.log.Error("a commit failed: the database is opened again", "error", err)
		s.reopen(errors.Is(err, errPanicked))
		err = fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, err)
	}
	for i, op := range batch {
		if err != nil {
			results[i] = err
		}
		if op.committed != nil && (results[i] == nil || unknown) {
			op.committed()
			if s.file.Load() == nil {
				s.owed = append(s.owed, op.committed)
			}
		}
	}
	s.markPublished()
	for i, op := range batch {
		op.done(results[i])
	}
}

// put stores payload under key, in place of what is there. Only the writer may call it, with
// its transaction.
func (s *Store) put(tx *bbolt.Tx, bucket, key, payload []byte) error {
	s.moved.add(bucket, key)
	return s.sums.put(tx, bucket, key, boltfile.Seal(bucket, key, payload))
}

// delete removes what is stored under key, if anything. Only the writer may call it, with
// its transaction.
func (s *Store) delete(tx *bbolt.Tx, bucket, key []byte) error {
	s.moved.add(bucket, key)
	return s.sums.delete(tx, bucket, key)
}

// update runs f in the writing transaction. [auth.ErrStoreDown] says that f was not run.
func (s *Store) update(f func(tx *bbolt.Tx) error) (err error) {
	open := s.file.Load()
	if open == nil || !open.writable {
		return auth.ErrStoreDown
	}
	if err := s.inPlace(open); err != nil {
		return err
	}
	defer damaged(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return open.db.Update(func(tx *bbolt.Tx) error {
		s.sums.load(tx)
		if err := f(tx); err != nil {
			return err
		}
		return s.sums.save(tx)
	})
}
