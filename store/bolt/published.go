package bolt

import (
	"time"

	"go.etcd.io/bbolt"

	"sidekey/auth"
)

// publishWait bounds how long a read waits for the publication of what it has seen. That takes
// the sync of a commit and some microseconds.
const publishWait = time.Second

// version is one state of an open file.
type version struct {
	db          *bbolt.DB
	transaction int // rises with each commit
}

// markPublished records that every commit that readers can see has been published. Only the
// writer may call it, when that is true.
func (s *Store) markPublished() {
	_ = s.view(func(tx *bbolt.Tx) error {
		s.published.Store(&version{tx.DB(), tx.ID()})
		return nil
	})
}

func (s *Store) isPublished(v version) bool {
	newest := s.published.Load()
	return newest != nil && newest.db == v.db && newest.transaction >= v.transaction
}

// viewPublished runs f in a reading transaction, again and again until what f has read is
// published. bbolt's readers see a commit before it is synced and published. A caller that
// showed it then could show a state that checks do not act on yet, or that the disk loses.
//
// It returns [auth.ErrStoreDown] also if the publication does not come in time, because the
// disk hangs. The writer and the functions of Notify must not call it: they would wait for
// themselves.
func (s *Store) viewPublished(f func(tx *bbolt.Tx) error) error {
	var late <-chan time.Time
	for {
		var seen version
		err := s.view(func(tx *bbolt.Tx) error {
			seen = version{tx.DB(), tx.ID()}
			return f(tx)
		})
		if seen.db == nil || s.isPublished(seen) {
			return err
		}
		if late == nil {
			late = time.After(publishWait)
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
		if s.isPublished(seen) {
			return err
		}
		// Another file has taken its place, after a failed commit or a compaction.
	}
}
