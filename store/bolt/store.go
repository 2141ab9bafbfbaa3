// Package bolt is the store in one bbolt file on this machine.
//
// Every record carries a checksum over its bucket, key and value, because bbolt itself does
// not notice a flipped bit: a record that does not match is never used. One goroutine writes,
// and an answered write is on disk. No slice that bbolt lends leaves a transaction, and no
// caller's code runs inside a reading one.
//
// We use bbolt because one file with one writer is what a sidecar needs: no server, no
// compaction in the background, a file that can be copied. Instead of SQLite, which needs cgo
// or a translation of its C code, and of a log of our own, which would have to prove what
// bbolt has proven. It costs a sync for each commit, which group commit shares, and a file
// that never shrinks, which [Store.Compact] replaces.
package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sidekey/auth"
	"sidekey/internal/durable"
	"sidekey/store"
	"sidekey/store/bolt/boltfile"
)

// reopenEvery is how often the store tries to open a database again after a failed commit,
// however many writes come in between.
const reopenEvery = time.Second

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	path string
	log  *slog.Logger

	file      atomic.Pointer[file]    // nil while it cannot be opened
	published atomic.Pointer[version] // the newest state of which every commit is published
	astray    atomic.Bool             // the file was not in its place at the last look

	// The file that belongs at the path: the open one, one that must be opened again, or one
	// that a compaction is about to put there.
	identity atomic.Pointer[os.FileInfo]

	queue   queue
	notify  store.Notify
	owed    []func() // publications that failed because the file was not open; for the writer only
	stopped chan struct{}

	rules atomic.Uint64 // raised when what edits are checked against has changed

	// For the writer only.
	sums     sums        // as the transaction under way leaves them
	moved    moved       // what a compaction has to copy again
	replaced fs.FileInfo // see [Store.belongs]
	failedAt time.Time   // when the file last could not be opened again, or not be written

	done doneCounts

	compacting sync.Mutex  // held while a compaction is under way
	copying    sync.Mutex  // held while a backup is copied
	suspect    atomic.Bool // bbolt has panicked on the file: it is verified before it is opened again

	damagedMu sync.Mutex // protects damaged
	damaged   map[string]bool
}

var _ store.Store = (*Store)(nil)

// Open opens the database, and creates it if there is none. The file must belong to the user
// of this process, with no access for others, in a folder that others cannot write to.
func Open(path string, log *slog.Logger) (*Store, error) {
	if err := durable.MkdirAll(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	if err := checkFolder(path); err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	if err := checkFile(path); err != nil {
		return nil, err
	}
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if err := f.syncOpened(); err != nil {
		f.db.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s := &Store{
		path:    path,
		log:     log,
		notify:  store.Notify{User: func(string, string) {}, Policy: func(string) {}},
		stopped: make(chan struct{}),
		damaged: make(map[string]bool),
	}
	s.file.Store(f)
	s.identity.Store(&f.info)
	s.queue.init()
	s.markPublished() // no reader knows an earlier state
	if err := removeLeftovers(path); err != nil {
		s.log.Warn("cannot remove files that a crash left behind", "error", err)
	}
	if err := os.WriteFile(boltfile.PidFile(path), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		s.log.Warn("cannot record which process holds the database", "error", err)
	}
	go s.writeLoop()
	return s, nil
}

// Notify implements [store.Store].
func (s *Store) Notify(n store.Notify) { s.notify = n }

// Close writes what is queued and closes the file. Later writes are refused with
// [auth.ErrStoreDown].
func (s *Store) Close() error {
	s.queue.close()
	<-s.stopped
	s.compacting.Lock() // a compaction that is under way ends now
	defer s.compacting.Unlock()
	f := s.file.Swap(nil)
	if f == nil {
		return nil
	}
	os.Remove(boltfile.PidFile(s.path)) // while it is still ours
	return f.db.Close()
}

// Ready implements [store.Store].
func (s *Store) Ready() error {
	open := s.file.Load()
	if open == nil {
		return auth.ErrStoreDown
	}
	return s.inPlace(open)
}

// inPlace returns [store.ErrMoved] if the file at the path of the database is another one than
// the open one, or missing. It runs before each commit, because a restart would not find what
// is written then.
func (s *Store) inPlace(open *file) error {
	info, err := os.Stat(s.path)
	astray := errors.Is(err, fs.ErrNotExist) ||
		err == nil && !os.SameFile(info, open.info) && !os.SameFile(info, *s.identity.Load())
	if s.astray.CompareAndSwap(!astray, astray) {
		if astray {
			s.log.Error("the database file was removed or replaced while in use: nothing is written until it is back in its place; a backup still contains everything", "path", s.path)
		} else {
			s.log.Info("the database file is back in its place", "path", s.path)
		}
	}
	if astray {
		return store.ErrMoved
	}
	return nil
}

// view runs f in a reading transaction. If bbolt panics on what it finds there, that is an
// error like any other.
func (s *Store) view(f func(tx *bbolt.Tx) error) error {
	for {
		open := s.file.Load()
		if open == nil {
			return auth.ErrStoreDown
		}
		began, err := open.view(f)
		switch {
		case errors.Is(err, errPanicked) && !began:
			// bbolt holds its locks now, and never releases them.
			if s.file.CompareAndSwap(open, nil) {
				s.log.Error("the database can no longer be read", "error", err)
				letGo(open.os)
				s.suspect.Store(true)
				s.queue.signal()
			}
			return auth.ErrStoreDown
		case !errors.Is(err, bolterrors.ErrDatabaseNotOpen):
			return err
		case s.file.Load() == open:
			return auth.ErrStoreDown // closed for good
		}
		// Another file has taken its place since.
	}
}

// reopen closes the file and opens it again. After a failed commit the file's pages in memory
// and on disk may differ; only what is read back from disk counts. If bbolt panicked, closing
// could wait for locks that are never released, so the file is abandoned instead.
func (s *Store) reopen(panicked bool) {
	if old := s.file.Swap(nil); old != nil {
		if panicked {
			letGo(old.os)
		} else if err := old.db.Close(); err != nil {
			s.log.Error("closing the database after a failed commit failed", "error", err)
		}
	}
	if panicked {
		s.suspect.Store(true)
	}
	var err error
	if s.suspect.Load() {
		var report boltfile.Report
		if report, err = boltfile.Verify(s.path); err == nil {
			err = report.Usable()
		}
	}
	var f *file
	if err == nil {
		f, err = openFile(s.path)
	}
	if err == nil && !s.belongs(f) {
		err = errors.Join(store.ErrMoved, f.db.Close())
	}
	if err != nil {
		s.log.Error("the database cannot be opened again", "error", err, "next_try", reopenEvery)
		s.tryLater()
		return
	}
	s.suspect.Store(false)
	if err := f.syncOpened(); err != nil {
		s.log.Error("the database can be read, but not written", "error", err, "next_try", reopenEvery)
		s.tryLater()
	} else {
		s.identity.Store(&f.info)
		s.replaced = nil
	}
	s.file.Store(f)
	owed := s.owed
	s.owed = nil
	for _, tell := range owed {
		tell()
	}
}

// belongs reports whether f may be opened again. A disk that fails right after a compaction may
// bring the replaced file back, even if it acknowledged the sync of the folder. That file has
// the same records until the first commit to the new one, so until then it is as good.
func (s *Store) belongs(f *file) bool {
	return os.SameFile(f.info, *s.identity.Load()) || s.replaced != nil && os.SameFile(f.info, s.replaced)
}

func (s *Store) tryLater() {
	s.failedAt = time.Now()
	time.AfterFunc(reopenEvery, s.queue.signal)
}
