package password

import (
	"context"
	"slices"
	"sync"
	"time"
)

// turns lets a few requests do something slow at once, and a few more wait for it. It is fair to
// prefixes of the internet, not to addresses: the next turn goes to the /32 of IPv6 or /16 of IPv4
// that has had the fewest turns in vain, in it to the /48 or /24 that has had the fewest, and so on
// ([origin.prefix]). A request that finds no room is refused at once, and that is not held against it.
type turns struct {
	mu           sync.Mutex // protects all below
	free         int        // slots
	waiting      []*place   // in the order of their arrival
	strangers    int        // how many of waiting are strangers
	maxStrangers int
	queued       map[prefix]int // strangers that wait, by each of their prefixes
	vain         debts
}

// rank orders requests before their prefixes do: the higher one goes first.
type rank uint8

const (
	stranger rank = iota
	familiar      // presents the password that was right before
	operator
)

// place is a place in the queue for a turn. [turns.mu] protects all but turn.
type place struct {
	rank  rank
	from  origin
	state placeState
	turn  chan bool // true: go; false: another request got the place
}

type placeState uint8

const (
	outside placeState = iota
	waits
	inside
)

func newPlace(r rank, from origin) *place {
	return &place{rank: r, from: from, turn: make(chan bool, 1)}
}

func newTurns(slots, maxStrangers int) *turns {
	return &turns{free: slots, maxStrangers: maxStrangers, queued: make(map[prefix]int)}
}

// enter waits for a turn, for patience at most, and reports whether it came. If so, the caller must
// call leave.
func (t *turns) enter(ctx context.Context, p *place, patience time.Duration) bool {
	if !t.queue(p) {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case turn := <-p.turn:
		return turn
	case <-timer.C:
	case <-ctx.Done():
	}
	if t.leaveQueue(p) {
		return false
	}
	return <-p.turn // it was given at the same moment
}

// queue puts p into the queue, or returns false if there is no room. If a slot is free, it is p's
// turn at once. Only strangers need room: operators and users whose password was right before are few,
// and a flood is not made of them.
func (t *turns) queue(p *place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		t.start(p)
		return true
	}
	if p.rank == stranger && t.strangers >= t.maxStrangers {
		last := t.heaviest(p)
		if last == p {
			return false
		}
		t.remove(last)
		last.turn <- false
	}
	t.waiting = append(t.waiting, p)
	p.state = waits
	t.count(p, 1)
	return true
}

// leaveQueue takes a place out of the queue, or returns false if it has left the queue already.
func (t *turns) leaveQueue(p *place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state != waits {
		return false
	}
	t.remove(p)
	return true
}

// favour gives a place the rank and the origin of another request that waits for the same hash, if
// these are better and its turn has not come.
func (t *turns) favour(p *place, r rank, from origin) {
	t.mu.Lock()
	defer t.mu.Unlock()
	better := place{rank: r, from: from}
	if p.state == inside || !t.before(&better, p) {
		return
	}
	if p.state == waits {
		t.count(p, -1)
		defer t.count(p, 1)
	}
	p.rank, p.from = r, from
}

// leave gives the slot of p to the next place. vain says that the turn was in vain: the password was
// wrong.
func (t *turns) leave(p *place, vain bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !vain && p.rank == stranger {
		t.vain.add(p.from, -1)
	}
	next := t.next()
	if next == nil {
		t.free++
		return
	}
	t.remove(next)
	t.start(next)
}

// start begins the turn of a place. Until it ends it counts as in vain, so that many at once gain
// nothing.
func (t *turns) start(p *place) {
	p.state = inside
	if p.rank == stranger {
		t.vain.add(p.from, 1)
	}
	p.turn <- true
}

func (t *turns) remove(p *place) {
	i := slices.Index(t.waiting, p)
	t.waiting = slices.Delete(t.waiting, i, i+1)
	p.state = outside
	t.count(p, -1)
}

// count adds n to the numbers of strangers that wait, if p is one.
func (t *turns) count(p *place, n int) {
	if p.rank != stranger {
		return
	}
	t.strangers += n
	for level := range prefixLevels {
		key := p.from.prefix(level)
		if t.queued[key] += n; t.queued[key] == 0 {
			delete(t.queued, key)
		}
	}
}

// next returns the place whose turn is next, or nil.
func (t *turns) next() (next *place) {
	for _, p := range t.waiting {
		if next == nil || t.before(p, next) {
			next = p
		}
	}
	return next
}

// before reports whether p goes before another that came earlier.
func (t *turns) before(p, other *place) bool {
	if p.rank != other.rank || p.rank != stranger {
		return p.rank > other.rank
	}
	return compare(p.from, other.from, t.vain.of) < 0
}

// heaviest returns the stranger that must go so that p can wait: the last of the prefix with the most
// turns, counting those in vain and those waited for. It is p itself unless another one is worse.
func (t *turns) heaviest(p *place) *place {
	t.count(p, 1)
	defer t.count(p, -1)
	weight := func(key prefix) int { return t.vain.of(key) + t.queued[key] }
	last := p
	for _, other := range t.waiting {
		if other.rank != stranger {
			continue
		}
		if c := compare(other.from, last.from, weight); c > 0 || c == 0 && last != p {
			last = other
		}
	}
	return last
}

// compare compares the weights of the widest prefixes that tell two origins apart.
func compare(a, b origin, weight func(prefix) int) int {
	for level := range prefixLevels {
		if x, y := a.prefix(level), b.prefix(level); x != y {
			return weight(x) - weight(y)
		}
	}
	return 0
}

// length returns the number of places that wait.
func (t *turns) length() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

// debts count the turns that each prefix has had in vain, and forget them after [debtTime] to twice as
// long. Only hashes that were computed count, so the processors bound what a flood can add.
type debts struct {
	recent, older map[prefix]int
	began         time.Time // start of recent
}

const (
	debtTime = time.Minute
	maxDebts = 1 << 14 // prefixes in each of the maps; about 0.5 MB
)

func (d *debts) of(key prefix) int { return max(0, d.recent[key]+d.older[key]) }

func (d *debts) add(from origin, n int) {
	if now := time.Now(); now.Sub(d.began) > debtTime || len(d.recent) >= maxDebts {
		d.older = d.recent
		if now.Sub(d.began) > 2*debtTime {
			d.older = nil
		}
		d.recent, d.began = make(map[prefix]int), now
	}
	for level := range prefixLevels {
		key := from.prefix(level)
		if d.recent[key] += n; d.recent[key] == 0 {
			delete(d.recent, key)
		}
	}
}
