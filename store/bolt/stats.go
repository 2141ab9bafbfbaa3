package bolt

import (
	"os"
	"sync/atomic"
	"time"
)

// Stats are what a store has done since it was opened, and how large it is.
type Stats struct {
	Commits, Failures uint64
	Writes            uint64 // operations that shared the commits
	Reservations      uint64 // of quotas, among the writes
	Committing        time.Duration
	Bytes             int64
	Users             uint64
}

type doneCounts struct {
	commits, failures, writes, reservations, nanos, users atomic.Uint64
}

// Stats returns them.
func (s *Store) Stats() Stats {
	stats := Stats{
		Commits:      s.done.commits.Load(),
		Failures:     s.done.failures.Load(),
		Writes:       s.done.writes.Load(),
		Reservations: s.done.reservations.Load(),
		Committing:   time.Duration(s.done.nanos.Load()),
		Users:        s.done.users.Load(),
	}
	if info, err := os.Stat(s.path); err == nil {
		stats.Bytes = info.Size()
	}
	return stats
}
