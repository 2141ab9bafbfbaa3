package httpsig

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// macOf returns a signature that is unlike all others.
func macOf(i int) []byte { return fmt.Appendf(nil, "mac-%028d", i) }

func ownerOf(i int) (o Owner) {
	binary.BigEndian.PutUint64(o[:], uint64(i))
	return o
}

// No user can take the room of all others: a user may hold as many places as are free.
func TestSpentFairShare(t *testing.T) {
	const most, skew = 1000, 300
	now := int64(1_800_000_000)
	m := NewSpent(most)
	next := 0
	fill := func(who int) (took int) {
		for ; ; took++ {
			next++
			switch got := m.Spend(now, skew, now, ownerOf(who), macOf(next)); got {
			case FirstUse:
			case NoRoom:
				if again := m.Spend(now, skew, now, ownerOf(who), macOf(next)); again != NoRoom {
					t.Fatalf("refused for want of room, then %v", again)
				}
				return took
			default:
				t.Fatalf("%d of %d: %v", took, who, got)
			}
		}
	}
	for who, want := range []int{500, 250, 125, 63, 31, 16, 8, 4, 2, 1} {
		if took := fill(who); took < want-1 || took > want+1 {
			t.Errorf("user %d got %d places, want about %d", who, took, want)
		}
	}
	if m.held > most {
		t.Errorf("%d held", m.held)
	}
	// All places are free again when the signatures are too old.
	now += skew + 2*spanSeconds
	m.Spend(now, skew, now, ownerOf(1), macOf(0))
	if m.held != 1 || len(m.owners) != 1 || len(m.spans) != 1 {
		t.Errorf("%d held of %d owners in %d spans", m.held, len(m.owners), len(m.spans))
	}
	if took := fill(2); took < 498 {
		t.Errorf("%d places", took)
	}
}

// A signature that was refused for lack of room was not accepted, and one that was accepted is
// never accepted again, over a long time and with all possible dates.
func TestSpentNeverTwice(t *testing.T) {
	const skew = 60
	m := NewSpent(400)
	accepted := make(map[int]int64) // signature to its date
	now := int64(1_800_000_000)
	for i := range 4_000 {
		if i%20 == 0 {
			now += int64(i % 7)
		}
		date := now + int64(i*37%(2*skew+1)) - skew
		if m.Spend(now, skew, date, ownerOf(i%5), macOf(i)) == FirstUse {
			accepted[i] = date
		}
		for j := max(0, i-300); j < i; j += 13 {
			date, was := accepted[j]
			if was && date >= now-skew && date <= now+skew && m.Spend(now, skew, date, ownerOf(j%5), macOf(j)) != SpentBefore {
				t.Fatalf("at %d: signature %d of %d is accepted again", now, j, date)
			}
		}
	}
	if len(accepted) < 500 {
		t.Errorf("%d accepted", len(accepted))
	}
}

func TestSpentHandOver(t *testing.T) {
	const now, skew = 1_800_000_000, 300
	m := NewSpent(1000)
	for i := range 100 {
		if got := m.Spend(now, skew, now+int64(i), ownerOf(i%3), macOf(i)); got != FirstUse {
			t.Fatal(got)
		}
	}
	data, err := m.HandOver()
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Spend(now, skew, now, ownerOf(1), macOf(1000)); got != SpentBefore {
		t.Errorf("after it was handed over, one is accepted: %v", got)
	}
	next := NewSpent(1000)
	for i := range data {
		changed := append([]byte(nil), data...)
		changed[i] ^= 1
		if err := next.TakeOver(changed); err == nil {
			t.Fatalf("taken over with byte %d changed", i)
		}
	}
	for _, short := range [][]byte{nil, data[:31], data[:32], data[:len(data)-1]} {
		if err := next.TakeOver(short); err == nil {
			t.Fatalf("taken over from %d bytes", len(short))
		}
	}
	if err := next.TakeOver(data); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if got := next.Spend(now, skew, now+int64(i), ownerOf(i%3), macOf(i)); got != SpentBefore {
			t.Fatalf("%d: %v", i, got)
		}
	}
	if next.held != 100 || next.owners[1] != 33 {
		t.Errorf("%d held, %v", next.held, next.owners)
	}
	if got := next.Spend(now, skew, now, ownerOf(1), macOf(1000)); got != FirstUse {
		t.Error(got)
	}
}

func TestSpentRefuseBefore(t *testing.T) {
	const now, skew = 1_800_000_000, 300
	m := NewSpent(1000)
	m.RefuseBefore(now)
	m.RefuseBefore(now - 100) // does not take it back
	for date, want := range map[int64]Outcome{now - 1: SpentBefore, now - skew: SpentBefore, now: FirstUse, now + 1: FirstUse} {
		if got := m.Spend(now, skew, date, ownerOf(1), macOf(int(date))); got != want {
			t.Errorf("%d: %v, want %v", date-now, got, want)
		}
	}
}

// However many goroutines spend the same signatures at once, each is spent once.
func TestSpentAtOnce(t *testing.T) {
	const now, skew, signatures = 1_800_000_000, 300, 10_000
	m := NewSpent(10 * signatures)
	var first atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range signatures {
				if m.Spend(now, skew, now, ownerOf(1), macOf(i)) == FirstUse {
					first.Add(1)
				}
			}
		})
	}
	group.Wait()
	if first.Load() != signatures || m.held != signatures {
		t.Errorf("%d spent of %d, %d held", first.Load(), signatures, m.held)
	}
}
