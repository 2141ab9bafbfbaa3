package bolt

import (
	"os"
	"sync/atomic"
	"time"

	"sidekey/store"
)

// doneCounts are the counts that [Store.Stats] returns.
type doneCounts struct {
	commits, failures, writes, reservations, nanos, users atomic.Uint64
}

// Stats implements [store.Store].
func (s *Store) Stats() store.Stats {
	stats := store.Stats{
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
