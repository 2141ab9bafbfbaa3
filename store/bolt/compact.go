package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/internal/broken"
	"sidekey/internal/durable"
	"sidekey/store/bolt/boltfile"
)

// Compaction is what [Store.Compact] did.
type Compaction struct {
	Before int64   `json:"before"`        // bytes
	After  int64   `json:"after"`         // bytes
	Pause  float64 `json:"pause_seconds"` // how long writers had to wait
}

// ErrCompacting says that another compaction is under way.
var ErrCompacting = errors.New("a compaction is under way")

const (
	compactChunk  = 500 // records copied in one transaction, and then written out
	compactLast   = 500 // records, at most, that are copied while writers wait
	compactRounds = 20  // after that, writers wait for all that is left
)

// moved collects the keys that are written while a compaction copies.
type moved struct {
	keys map[movedKey]struct{} // nil: no compaction is under way
}

type movedKey struct{ bucket, key string }

func (m *moved) add(bucket, key []byte) {
	if m.keys != nil {
		m.keys[movedKey{string(bucket), string(key)}] = struct{}{}
	}
}

// take returns the collected keys and starts a new collection.
func (m *moved) take() map[movedKey]struct{} {
	keys := m.keys
	m.keys = make(map[movedKey]struct{})
	return keys
}

// Compact replaces the database by a new file without free pages, because bbolt's file never
// gets smaller. Reading and writing go on. Records that are written during the copy are copied
// again, in rounds, and the last few while writers wait. If it fails, the old file stays in use.
// It returns [ErrCompacting] if another compaction is under way.
func (s *Store) Compact() (done Compaction, err error) {
	if !s.compacting.TryLock() {
		return Compaction{}, ErrCompacting
	}
	defer s.compacting.Unlock()
	if err := s.Ready(); err != nil {
		return Compaction{}, fmt.Errorf("compact: %w", err)
	}
	c := compaction{store: s}
	defer func() {
		if err != nil {
			c.abandon(errors.Is(err, errPanicked))
			err = fmt.Errorf("compact: %w", err)
		}
	}()
	if done.Before, err = size(s.path); err != nil {
		return done, err
	}
	if err := s.pause(func() { s.moved.take() }); err != nil {
		return done, err
	}
	if err := c.begin(); err != nil {
		return done, err
	}
	for range compactRounds {
		var again map[movedKey]struct{}
		if err := s.pause(func() { again = s.moved.take() }); err != nil {
			return done, err
		}
		if err := c.copyAgain(again); err != nil {
			return done, err
		}
		if err := c.sync(); err != nil {
			return done, err
		}
		if len(again) <= compactLast {
			break
		}
	}
	if pauseErr := s.pause(func() {
		began := time.Now()
		if err = c.finish(); err == nil {
			done.After, err = size(s.path) // before the next write makes the file larger
		}
		done.Pause = time.Since(began).Seconds()
	}); pauseErr != nil {
		return done, pauseErr
	}
	if err != nil {
		return done, err
	}
	s.log.Info("compacted the database", "before", done.Before, "after", done.After, "pause_seconds", done.Pause)
	return done, nil
}

func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// compaction is a new file in the making.
type compaction struct {
	store *Store
	path  string
	file  *file
	sums  sums // of what is in the new file
}

// begin makes the new file and copies every record into it, in short transactions, so that
// the old file does not grow and its readers do not wait.
func (c *compaction) begin() error {
	temp, err := os.CreateTemp(filepath.Dir(c.store.path), filepath.Base(c.store.path)+".compact-*")
	if err != nil {
		return err
	}
	c.path = temp.Name()
	if err := errors.Join(temp.Close(), initialise(c.path)); err != nil {
		return err
	}
	if c.file, err = openFile(c.path); err != nil {
		return err
	}
	c.file.db.NoSync, c.file.db.NoGrowSync = true, true // until all is there
	for _, bucket := range boltfile.Summed {
		var last []byte
		for more := true; more; {
			var keys, values [][]byte
			err := c.store.view(func(tx *bbolt.Tx) error {
				cursor := tx.Bucket(bucket).Cursor()
				key, value := cursor.Seek(last)
				if key != nil && bytes.Equal(key, last) {
					key, value = cursor.Next()
				}
				for ; key != nil && len(keys) < compactChunk; key, value = cursor.Next() {
					keys, values = append(keys, bytes.Clone(key)), append(values, bytes.Clone(value))
				}
				more = key != nil
				return nil
			})
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				break
			}
			last = keys[len(keys)-1]
			err = c.update(func(tx *bbolt.Tx) error {
				tx.Bucket(bucket).FillPercent = 0.9 // keys come in order
				for i, key := range keys {
					if err := c.sums.put(tx, bucket, key, values[i]); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			if err := writeOut(c.file.os); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyAgain copies records that were written since they were copied.
func (c *compaction) copyAgain(keys map[movedKey]struct{}) error {
	if len(keys) == 0 {
		return nil
	}
	return c.update(func(to *bbolt.Tx) error {
		return c.store.view(func(from *bbolt.Tx) error {
			for k := range keys {
				bucket, key := []byte(k.bucket), []byte(k.key)
				var err error
				if value := from.Bucket(bucket).Get(key); value != nil {
					err = c.sums.put(to, bucket, key, bytes.Clone(value))
				} else {
					err = c.sums.delete(to, bucket, key)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// update runs f in a transaction of the new file.
func (c *compaction) update(f func(tx *bbolt.Tx) error) (err error) {
	defer damaged(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return c.file.db.Update(func(tx *bbolt.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return c.sums.save(tx)
	})
}

// finish brings the new file up to date and puts it in place of the old one. It runs while
// the writer pauses.
func (c *compaction) finish() error {
	s := c.store
	if err := s.Ready(); err != nil {
		return err
	}
	again := s.moved.keys
	s.moved.keys = nil
	if err := c.copyAgain(again); err != nil {
		return err
	}
	var old boltfile.Sums
	var generation uint64
	err := s.view(func(tx *bbolt.Tx) (err error) {
		generation = tx.Bucket(boltfile.Users).Sequence()
		old, err = boltfile.DecodeSums(tx.Bucket(boltfile.Meta).Get(boltfile.KeySums))
		return err
	})
	if err != nil {
		return err
	}
	if c.sums.Buckets != old.Buckets {
		return fmt.Errorf("%w: some records cannot be read, or are not in their last state", auth.ErrDamaged)
	}
	if err := c.update(func(tx *bbolt.Tx) error { return tx.Bucket(boltfile.Users).SetSequence(generation) }); err != nil {
		return err
	}
	c.file.db.NoSync, c.file.db.NoGrowSync = false, false
	if err := errors.Join(c.file.trim(), c.sync()); err != nil {
		return err
	}
	before := s.identity.Swap(&c.file.info)
	if err := os.Rename(c.path, s.path); err != nil {
		s.identity.Store(before)
		return err
	}
	s.replaced = *before
	c.path = ""
	if !broken.Is("norenamesync") {
		err = durable.SyncDir(filepath.Dir(s.path))
	}
	if err != nil {
		// It is unknown which file a power cut would leave. Neither may be written to before
		// the folder is synced.
		old := s.file.Swap(nil)
		go closeFile(s, old)
		s.tryLater()
		return err
	}
	c.file.writable = true // c.sync has synced all of it
	replaced := s.file.Swap(c.file)
	c.file = nil
	s.markPublished()         // the same records
	go closeFile(s, replaced) // waits for its readers
	return nil
}

func (c *compaction) sync() error {
	if broken.Is("nofilesync") {
		return nil
	}
	return c.file.db.Sync()
}

// trim cuts off the pages beyond the end, which bbolt adds before it needs them.
func (f *file) trim() error {
	return f.db.View(func(tx *bbolt.Tx) error { return f.os.Truncate(tx.Size()) })
}

// closeFile closes a file that was in use.
func closeFile(s *Store, f *file) {
	if err := f.db.Close(); err != nil {
		s.log.Warn("closing the replaced database failed", "error", err)
	}
}

// abandon leaves nothing of a compaction that failed.
func (c *compaction) abandon(panicked bool) {
	_ = c.store.pause(func() { c.store.moved.keys = nil }) // or the writer has ended
	switch {
	case c.file == nil:
	case panicked:
		letGo(c.file.os)
	default:
		closeFile(c.store, c.file)
	}
	if c.path != "" {
		os.Remove(c.path)
	}
}
