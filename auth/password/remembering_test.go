package password

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

// The networks of one user are bounded, and each is known until many others have come.
func TestT104NetworksBounded(t *testing.T) {
	var n Networks
	for i := range network(1000) {
		n.add(ipv6Network(i))
		n.add(ipv6Network(i))
		for j := network(0); j <= i; j++ {
			if known, want := n.has(ipv6Network(j)), j == 0 || i-j < maxNetworks-1; known != want {
				t.Fatalf("after %d the network %d is known: %v", i, j, known)
			}
		}
	}
	if got := len(*n.more.Load()); got != maxNetworks-1 {
		t.Errorf("%d networks out of line", got)
	}
	// At once: none is lost.
	var together Networks
	var group sync.WaitGroup
	for i := range network(maxNetworks) {
		group.Go(func() { together.add(ipv6Network(i)) })
	}
	group.Wait()
	for i := range network(maxNetworks) {
		if !together.has(ipv6Network(i)) {
			t.Errorf("network %d is lost", i)
		}
	}
}

func ipv6Network(i network) network { return 0x2001<<48 | i }

func TestRemembered(t *testing.T) {
	var r Remembered
	r.key[0] = 1
	f := func(password string, mono int64, want bool) {
		t.Helper()
		if got := r.Knows([]byte(password), mono); got != want {
			t.Errorf("%.40q at %d: %v", password, mono, got)
		}
	}
	f("", 0, false)
	f("pw", 0, false)
	r.Learn([]byte("pw"), 0, 100, nil)
	f("pw", 0, true)
	f("pw", 99, true)
	f("pw", 100, false)
	f("pw", 101, false)
	f("pW", 0, false)
	f("p", 0, false)
	f("", 0, false)
	f("pw\x00", 0, false)
	f("pw ", 0, false)
	f(strings.Repeat("p", 1024), 0, false)
	// Of two right ones the last is known: there is one memory, however many try.
	r.Learn([]byte("other"), 0, 100, nil)
	f("pw", 0, false)
	f("other", 0, true)
	// The longest, and what is one byte longer than the memory reads.
	longest := strings.Repeat("p", MaxPassword)
	r.Learn([]byte(longest), 0, 100, nil)
	f(longest, 0, true)
	f(longest+"x", 0, false)
	f(longest[1:], 0, false)
	f(longest+longest, 0, false)
	// Another account's key makes another memory of the same password.
	var other Remembered
	other.last.Store(r.last.Load())
	if other.Knows([]byte(longest), 0) {
		t.Error("what one account remembers lets another one in")
	}
	if last := r.last.Load(); bytes.Contains(last.digest[:], []byte("ppp")) {
		t.Error("the password itself is kept")
	}
}
