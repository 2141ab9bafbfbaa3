package auth

import (
	"context"
	"slices"
	"sync"
	"time"
)

// turns lets only so many do something at once, and only so many wait for it. Who has
// asked for less goes first, so those who ask without pause cannot keep out the one who
// asks once: neither from the slots nor from the queue.
type turns struct {
	mu      sync.Mutex // protects all below
	free    int        // slots
	most    int        // waiting
	waiting []*waiter  // in the order in which they came
}

type waiter struct {
	weight int
	turn   chan bool // true: go; false: somebody with less weight took the place
}

func newTurns(slots, most int) *turns { return &turns{free: slots, most: most} }

// enter waits for a turn, at most for patience, or returns false. Everybody who was let
// in leaves.
func (t *turns) enter(ctx context.Context, weight int, patience time.Duration) bool {
	w := t.queue(weight)
	if w == nil {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case turn := <-w.turn:
		return turn
	case <-timer.C:
	case <-ctx.Done():
	}
	if t.leaveQueue(w) {
		return false
	}
	return <-w.turn // given in this very moment
}

// queue returns a place in the queue, or nil where all are taken by those with no more
// weight. Where a slot is free, it is the place's turn at once.
func (t *turns) queue(weight int) *waiter {
	w := &waiter{weight: weight, turn: make(chan bool, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		w.turn <- true
		return w
	}
	if len(t.waiting) >= t.most {
		i := t.find(func(w, than *waiter) bool { return w.weight >= than.weight })
		if i < 0 || t.waiting[i].weight <= weight {
			return nil
		}
		t.remove(i).turn <- false
	}
	t.waiting = append(t.waiting, w)
	return w
}

// leaveQueue takes a place out of the queue, or returns false where it has been told
// something.
func (t *turns) leaveQueue(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, w)
	if i < 0 {
		return false
	}
	t.remove(i)
	return true
}

// leave gives a slot to the one who waits with the least weight, the first of those.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(func(w, than *waiter) bool { return w.weight < than.weight })
	if i < 0 {
		t.free++
		return
	}
	t.remove(i).turn <- true
}

// find returns the place that is better than those before it, or -1 where nobody waits.
func (t *turns) find(better func(w, than *waiter) bool) (best int) {
	best = -1
	for i, w := range t.waiting {
		if best < 0 || better(w, t.waiting[best]) {
			best = i
		}
	}
	return best
}

func (t *turns) remove(i int) *waiter {
	w := t.waiting[i]
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return w
}

// length returns how many wait.
func (t *turns) length() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}
