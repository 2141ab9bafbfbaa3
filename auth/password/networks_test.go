package password

import (
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
