package password

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// queueing lets requests queue for turns, of which there is one at a time.
type queueing struct {
	turns *turns
	told  []string // in order
	in    chan string
	place *place // that is inside
	all   map[string]*place
}

func newQueueing(most int) *queueing {
	return &queueing{turns: newTurns(1, most), in: make(chan string, 100), all: make(map[string]*place)}
}

// enter has a request queue that waits a minute.
func (q *queueing) enter(name string, r rank, address string) {
	p := newPlace(r, originOf([]byte(address)))
	q.all[name] = p
	go func() {
		if q.turns.enter(context.Background(), p, time.Minute) {
			q.in <- name
		} else {
			q.in <- "not " + name
		}
	}()
	synctest.Wait()
	q.collect()
}

func (q *queueing) collect() {
	for len(q.in) > 0 {
		name := <-q.in
		q.told = append(q.told, name)
		if p := q.all[name]; p != nil {
			q.place = p
		}
	}
}

// leave ends the turn.
func (q *queueing) leave(vain bool) {
	q.turns.leave(q.place, vain)
	synctest.Wait()
	q.collect()
}

// guessed has addresses take a turn in vain.
func (q *queueing) guessed(addresses ...string) {
	for _, address := range addresses {
		q.enter("guess", stranger, address)
		q.leave(true)
	}
	q.told = nil
}

func (q *queueing) want(t *testing.T, want string) {
	t.Helper()
	if got := fmt.Sprint(q.told); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if n := q.turns.length(); n != 0 || q.turns.free != 1 || q.turns.strangers != 0 || len(q.turns.queued) != 0 {
		t.Errorf("%d wait, %d strangers of %d prefixes, %d free", n, q.turns.strangers, len(q.turns.queued), q.turns.free)
	}
}

// T-103: the next turn goes to the prefix with the fewest turns in vain, from the widest prefix to the
// narrowest, in any order of arrival. Operators and users whose password was right before go first, and
// need no room.
func TestT103Turns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(5)
		q.guessed("2001:db8:1:101::1", "2001:db8:1:102::1", "2001:db8:2:301::1", "192.0.2.1", "192.0.3.1")
		q.enter("first", stranger, "10.0.0.1")
		q.enter("a /48 that guessed twice", stranger, "2001:db8:1:900::1")
		q.enter("a /48 that guessed once", stranger, "2001:db8:2:900::1")
		q.enter("a /24 that guessed", stranger, "192.0.2.2")
		q.enter("another /24 of that /16", stranger, "192.0.4.2")
		q.enter("another /32", stranger, "2001:db9::1")
		q.enter("known", familiar, "2001:db8:1:101::1")
		q.enter("admin", operator, "")
		for range 8 {
			q.leave(false)
		}
		q.want(t, "[first admin known another /32 another /24 of that /16 a /24 that guessed a /48 that guessed once a /48 that guessed twice]")
	})
}

// T-103: without room the last of the prefix that asks for most has to go, and being told so
// changes nothing for the next time.
func TestT103NoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(3)
		q.guessed("2001:db8:77::1")
		q.enter("first", stranger, "10.0.0.1")
		for i := range 3 {
			q.enter(fmt.Sprint("guess", i), stranger, fmt.Sprintf("2001:db8:%d::1", i))
		}
		for range 100 {
			q.enter("more", stranger, "2001:db8:77::1")
		}
		for _, told := range q.told[1:] {
			if told != "not more" {
				t.Fatal(told)
			}
		}
		q.told = q.told[:1]
		q.enter("newcomer", stranger, "192.0.2.1")
		q.enter("of the same address", stranger, "192.0.2.1")
		q.enter("of the same /16", stranger, "192.0.9.1")
		q.enter("one too many", stranger, "192.0.2.1")
		for range 4 {
			q.leave(false)
		}
		q.want(t, "[first not guess2 not guess1 not of the same address not one too many newcomer of the same /16 guess0]")

		// 100 were refused, one was in vain: one is held against the /32, and nothing after a while.
		key := originOf([]byte("2001:db8:77::1")).prefix(0)
		if got := q.turns.vain.of(key); got != 1 {
			t.Errorf("%d turns in vain", got)
		}
		time.Sleep(2*debtTime + time.Second) // of the bubble
		q.guessed("198.51.100.1")
		if got := q.turns.vain.of(key); got != 0 {
			t.Errorf("%d turns in vain, long ago", got)
		}
	})
}

// A place is as good as the best request that shares it, and a request that gives up leaves no place
// taken.
func TestT117SharedPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(3)
		q.guessed("2001:db8::1")
		q.enter("first", stranger, "10.0.0.1")
		q.enter("shared", stranger, "2001:db8::1")
		q.enter("other", stranger, "192.0.2.1")
		q.turns.favour(q.all["shared"], stranger, originOf([]byte("2001:db8::2"))) // no better
		q.turns.favour(q.all["shared"], familiar, originOf([]byte("2001:db8::2")))
		q.turns.favour(q.all["shared"], stranger, originOf([]byte("198.51.100.1"))) // no better
		q.turns.favour(q.all["first"], operator, unknownOrigin)                     // it is inside
		q.enter("impatient", stranger, "192.0.2.9")
		for range 3 {
			q.leave(false)
		}
		q.leave(false)
		q.want(t, "[first shared other impatient]")

		q.told = nil
		q.enter("first", stranger, "10.0.0.1")
		q.enter("impatient", stranger, "192.0.2.9")
		time.Sleep(2 * time.Minute) // of the bubble
		synctest.Wait()
		q.leave(true)
		q.collect()
		q.want(t, "[first not impatient]")
	})
}

// T-103: the memory of prefixes is bounded, however many there are and however fast they
// are hashed.
func TestT103DebtsBounded(t *testing.T) {
	var d debts
	for i := range 100_000 {
		d.add(origin(0x2001<<48|i<<8), 1)
		if n := len(d.recent) + len(d.older); n > 2*(maxDebts+prefixLevels) {
			t.Fatalf("%d prefixes", n)
		}
	}
}

// A guess that finds no room.
func BenchmarkTurnsNoRoom(b *testing.B) {
	t := newTurns(1, 16)
	random := func(i int) *place { return newPlace(stranger, origin(0x2001<<48|i*2654435761%(1<<32)<<8)) }
	for i := range 17 {
		t.queue(random(i))
	}
	for i := range 1000 {
		t.vain.add(random(i).from, 1)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if p := newPlace(stranger, unknownOrigin); i%2 == 0 {
			t.heaviest(p)
		} else {
			t.heaviest(random(i))
		}
	}
}
