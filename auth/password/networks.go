package password

import "sync/atomic"

// Networks are the networks that a user's credentials were right from: a /24 of IPv4, a /64 of IPv6.
// Failures of other clients never refuse right credentials from one of them. There are [maxNetworks] at
// most; a new one displaces the oldest but the first. Only right credentials add one, so a stranger
// cannot displace any. Most users have one. Networks is safe for concurrent use.
type Networks struct {
	first atomic.Uint64
	more  atomic.Pointer[[]network] // never changed once it is there
}

// maxNetworks bounds the memory of a user whose networks never end: 0.5 KB.
const maxNetworks = 64

// Has reports whether the network of a client's address is one of them.
func (s *Networks) Has(client []byte) bool { return s.has(originOf(client).network()) }

func (s *Networks) has(n network) bool {
	if s.first.Load() == uint64(n) {
		return true
	}
	return s.hasMore(n)
}

func (s *Networks) hasMore(n network) bool {
	more := s.more.Load()
	if more == nil {
		return false
	}
	for _, one := range *more {
		if one == n {
			return true
		}
	}
	return false
}

// Add adds the network of a client whose credentials were right.
func (s *Networks) Add(client []byte) { s.add(originOf(client).network()) }

func (s *Networks) add(n network) {
	if s.has(n) || s.first.CompareAndSwap(0, uint64(n)) {
		return
	}
	for !s.has(n) {
		before := s.more.Load()
		var after []network
		if before != nil {
			after = append(after, (*before)[max(0, len(*before)-(maxNetworks-2)):]...)
		}
		after = append(after, n)
		s.more.CompareAndSwap(before, &after)
	}
}
