package limiter

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The answers of a ledger to an ask, with one process and with several.
func TestGrant(t *testing.T) {
	const top = math.MaxInt64
	at := func(start, reserved int64) Reservation {
		return Reservation{Generation: 3, Start: start, Reserved: reserved}
	}
	back := func(start, reserved, returned int64) Reservation {
		return Reservation{Generation: 3, Start: start, Reserved: reserved, Returned: returned}
	}
	old := Reservation{Generation: 2, Start: 900, Reserved: 99}
	// Of a quota of 100 in 50 ns.
	ask := func(seen Reservation, want, wall int64) Ask {
		return Ask{Want: want, Seen: seen, Max: 100, Renewal: 50, Wall: wall}
	}
	f := func(what string, disk Reservation, a Ask, alone, shared Grant) {
		t.Helper()
		if got := disk.Grant(a, true); got != alone {
			t.Errorf("%s, alone: %+v, want %+v", what, got, alone)
		}
		if got := disk.Grant(a, false); got != shared {
			t.Errorf("%s, shared: %+v, want %+v", what, got, shared)
		}
	}
	both := func(what string, disk Reservation, a Ask, want Grant) { t.Helper(); f(what, disk, a, want, want) }

	both("the first of all", Reservation{}, ask(at(0, 0), 5, 1000), Grant{at(1000, 5), 5})
	both("the first of a generation", old, ask(at(0, 0), 5, 1000), Grant{at(1000, 5), 5})
	both("more", at(1000, 5), ask(at(1000, 5), 10, 1049), Grant{at(1000, 15), 10})
	both("the last ones", at(1000, 95), ask(at(1000, 95), 10, 1049), Grant{at(1000, 100), 5})
	both("none is left", at(1000, 100), ask(at(1000, 100), 10, 1049), Grant{at(1000, 100), 0})
	both("the maximum was lowered", at(1000, 120), ask(at(1000, 120), 10, 1049), Grant{at(1000, 120), 0})
	both("the next period", back(1000, 100, 7), ask(back(1000, 100, 7), 10, 1050), Grant{at(1050, 10), 10})
	both("the clock went back", at(1000, 95), ask(at(1000, 95), 2, 7), Grant{at(1000, 97), 2})
	both("a period without end", at(1000, 5), Ask{Want: 1, Seen: at(1000, 5), Max: 100, Wall: top}, Grant{at(1000, 6), 1})
	both("the end of numbers", at(1, top-2), Ask{Want: 5, Seen: at(1, top-2), Max: top, Wall: 7}, Grant{at(1, top), 2})
	both("periods of no length", at(1000, 1), Ask{Want: 1, Seen: at(1000, 1), Max: 1, Renewal: 1, Wall: 1001}, Grant{at(1001, 1), 1})

	// The ledger has lost what the process has seen.
	both("a lost write", at(1000, 5), ask(at(1000, 20), 10, 1001), Grant{at(1000, 30), 10})
	both("a lost record", Reservation{}, ask(at(1000, 20), 10, 1001), Grant{at(1000, 30), 10})
	both("a lost period", at(900, 99), ask(at(1000, 20), 10, 1001), Grant{at(1000, 30), 10})
	both("a lost record of a period that is over", Reservation{}, ask(at(1000, 20), 10, 1050), Grant{at(1050, 10), 10})

	// The ledger holds more: it belongs to another process, or to none.
	f("more than was seen", at(1000, 50), ask(at(1000, 20), 10, 1001), Grant{at(1000, 30), 10}, Grant{at(1000, 60), 10})
	f("a period that was not seen", at(1060, 50), ask(at(1000, 20), 10, 1061), Grant{at(1060, 10), 10}, Grant{at(1060, 60), 10})

	// Given back.
	f("all of a block", at(1000, 30), ask(at(1000, 30), -10, 0), Grant{at(1000, 20), -10}, Grant{back(1000, 20, 10), -10})
	both("nothing", at(1000, 30), ask(at(1000, 30), 0, 0), Grant{at(1000, 30), 0})
	f("more than is reserved", at(1000, 5), ask(at(1000, 5), -10, 0), Grant{at(1000, 0), -5}, Grant{back(1000, 0, 5), -5})
	both("before anything was granted", Reservation{}, ask(at(0, 0), 0, 0), Grant{at(0, 0), 0})
	f("beside others", at(1000, 50), ask(at(1000, 30), -10, 0), Grant{at(1000, 20), -10}, Grant{back(1000, 40, 10), -10})
	f("of a period that is over", at(1060, 50), ask(at(1000, 30), -10, 0), Grant{at(1060, 0), 0}, Grant{at(1060, 50), 0})
	// Another process has seen more than is reserved since: nothing of it is lost.
	f("after others gave back", back(1000, 20, 10), ask(at(1000, 30), 5, 1001), Grant{at(1000, 35), 5}, Grant{back(1000, 25, 10), 5})
	f("after that was lost", at(1000, 15), ask(back(1000, 20, 10), 5, 1001), Grant{back(1000, 25, 10), 5}, Grant{back(1000, 25, 10), 5})
}

// several are processes that share one quota, and what an honest bookkeeper knows of them.
type several struct {
	ledger         *ledger
	limit, renewal int64
	now            Now
	quotas         []*Quota
	admitted       map[int64]int64 // by period
	burnt          map[int64]int64 // the most that crashes and failed asks can have cost
}

// request admits one request of a process, or asks the ledger for a block.
func (s *several) request(i int) (Outcome, error) {
	q := s.quotas[i]
	r := Admit(s.now, Limits{Quota: q})
	if r.Outcome == NeedsLedger {
		q.Wait(s.now, 0)
		return r.Outcome, nil
	}
	if r.Outcome != Admitted {
		return r.Outcome, nil
	}
	s.admitted[q.start]++
	disk := s.ledger.onDisk(ann)
	switch n := s.admitted[q.start]; {
	case n > s.limit:
		return r.Outcome, fmt.Errorf("%d were admitted of %d", n, s.limit)
	case disk.Reserved > s.limit:
		return r.Outcome, fmt.Errorf("%d are reserved of %d", disk.Reserved, s.limit)
	case disk.Start < q.start, disk.Start == q.start && disk.Reserved < n:
		return r.Outcome, fmt.Errorf("%d were admitted in period %d, on disk is %+v", n, q.start, disk)
	}
	return r.Outcome, nil
}

// answer takes the oldest ask to the disk, or loses it, or does both.
func (s *several) answer(t testing.TB, err error, applied bool) {
	if s.ledger.open() == 0 {
		return
	}
	before := s.ledger.onDisk(ann)
	s.ledger.answer(t, err, applied)
	if after := s.ledger.onDisk(ann); err != nil && applied {
		if after.Start != before.Start {
			before.Reserved = 0
		}
		s.burnt[after.Start] += max(0, after.Reserved-before.Reserved)
	}
}

func (s *several) answerAll(t testing.TB) {
	for s.ledger.open() > 0 {
		s.answer(t, nil, true)
	}
}

// restart replaces a process by a new one. A clean stop gives back what is left.
func (s *several) restart(t testing.TB, i int, clean bool) {
	s.answerAll(t) // what is on its way to a shared ledger arrives
	q := s.quotas[i]
	if key, ask, needed := q.GiveBack(); clean && needed {
		s.ledger.Reserve(key, ask, func(Grant, error) {})
		s.answerAll(t)
	} else if !clean {
		s.burnt[q.start] += max(0, q.reserved-q.used)
	}
	s.quotas[i] = NewQuota(ann, s.limit, s.renewal, s.ledger.onDisk(ann), s.ledger)
}

// The promise of a quota that several processes share: together they never admit more than
// the maximum in a period, and lose no more than the blocks of those that crashed and of
// asks whose answer was lost. Any of them can use the rest.
func TestQuotaOfSeveralProcesses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &several{
			ledger:   &ledger{shared: true},
			limit:    drawLimit.Draw(rt, "limit"),
			renewal:  drawRenewal.Draw(rt, "renewal in s"),
			now:      seconds(1e9),
			admitted: make(map[int64]int64),
			burnt:    make(map[int64]int64),
		}
		for range rapid.IntRange(1, 4).Draw(rt, "processes") {
			s.quotas = append(s.quotas, NewQuota(ann, s.limit, s.renewal, Reservation{}, s.ledger))
		}
		check := func(_ Outcome, err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		process := rapid.IntRange(0, len(s.quotas)-1)
		many := rapid.IntRange(1, 80)
		rt.Repeat(map[string]func(*rapid.T){
			"requests": func(rt *rapid.T) {
				i := process.Draw(rt, "process")
				for range many.Draw(rt, "n") {
					check(s.request(i))
				}
			},
			"answered requests": func(rt *rapid.T) {
				i := process.Draw(rt, "process")
				for range many.Draw(rt, "n") {
					check(s.request(i))
					s.answerAll(t)
				}
			},
			"commit":        func(*rapid.T) { s.answer(t, nil, true) },
			"fail":          func(rt *rapid.T) { s.answer(t, errDisk, rapid.Bool().Draw(rt, "applied")) },
			"crash":         func(rt *rapid.T) { s.restart(t, process.Draw(rt, "process"), false) },
			"stop":          func(rt *rapid.T) { s.restart(t, process.Draw(rt, "process"), true) },
			"time passes":   func(rt *rapid.T) { s.pass(rapid.Int64Range(0, 1e11).Draw(rt, "ns")) },
			"a period ends": func(*rapid.T) { s.pass(s.renewal * 1e9) },
		})
		// All stop, and one starts: it finds what the others have given back.
		for i := range s.quotas {
			s.restart(t, i, true)
		}
		s.restart(t, 0, true)
		for {
			outcome, err := s.request(0)
			check(outcome, err)
			if outcome == OverQuota {
				break
			}
			s.answerAll(t)
		}
		period := s.quotas[0].start
		if got := s.admitted[period]; got+s.burnt[period] < s.limit {
			rt.Fatalf("%d of %d were admitted, at most %d were burnt: the others cannot be had", got, s.limit, s.burnt[period])
		}
	})
}

func (s *several) pass(ns int64) {
	s.now.Wall += ns
	s.now.Mono += ns
}
