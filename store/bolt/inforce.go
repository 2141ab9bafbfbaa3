package bolt

import (
	"time"

	"go.etcd.io/bbolt"

	"sidekey/auth"
)

// inForceWait is how long a read waits for the publication of what it has seen. That takes
// microseconds, and before it the sync of the commit.
const inForceWait = time.Second

// version is one state of an open file.
type version struct {
	db          *bbolt.DB
	transaction int // rises with each commit
}

// noteInForce takes note that all that can be read has been told. Only the writer may call
// it, when that is so.
func (s *Store) noteInForce() {
	_ = s.view(func(tx *bbolt.Tx) error {
		s.inForce.Store(&version{tx.DB(), tx.ID()})
		return nil
	})
}

func (s *Store) isInForce(v version) bool {
	newest := s.inForce.Load()
	return newest != nil && newest.db == v.db && newest.transaction >= v.transaction
}

// viewInForce runs f in a reading transaction, as often as it takes for what f has read to
// be in force. A commit can be read before it is synced, and before it is published. Who is
// told of it then may find that checks do not act on it yet, or that the disk has lost it.
//
// [auth.ErrStoreDown] also says that it was not in force in time: the disk hangs. The writer
// and those whom it tells must not call it: they would wait for themselves.
func (s *Store) viewInForce(f func(tx *bbolt.Tx) error) error {
	var late <-chan time.Time
	for {
		var seen version
		err := s.view(func(tx *bbolt.Tx) error {
			seen = version{tx.DB(), tx.ID()}
			return f(tx)
		})
		if seen.db == nil || s.isInForce(seen) {
			return err
		}
		if late == nil {
			late = time.After(inForceWait)
		}
		turn := make(chan struct{})
		if !s.queue.addPause(func() { close(turn) }) {
			return auth.ErrStoreDown
		}
		select {
		case <-turn:
		case <-late:
			return auth.ErrStoreDown
		}
		if s.isInForce(seen) {
			return err
		}
		// Another file has come into its place, after a failed commit or a compaction.
	}
}
