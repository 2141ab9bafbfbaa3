// Package store keeps users and quotas in one bbolt file. It is the only package
// that knows bbolt.
//
// Every record carries a checksum over its bucket, key and value, because bbolt
// itself does not notice a flipped bit: a record that does not match is never used.
// One goroutine writes; what is acknowledged is on disk. No slice that bbolt lends
// leaves a transaction, and no caller's code runs inside a reading one.
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

// reopenEvery is how often a database is tried that could not be opened again after
// a failed commit, however many writes come meanwhile.
const reopenEvery = time.Second

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	path string
	log  *slog.Logger

	file    atomic.Pointer[file]    // nil while it cannot be opened
	inForce atomic.Pointer[version] // the newest that everybody has been told of
	astray  atomic.Bool             // the file was not in its place when that was looked at last

	// Which file belongs at the path: the open one, that which has to be opened again, or
	// that which a compaction is about to put there.
	identity atomic.Pointer[os.FileInfo]

	queue   queue
	notify  store.Notify
	owed    []func() // news that nobody could read when they were told; the writer's alone
	stopped chan struct{}

	rules atomic.Uint64 // raised when what edits are checked against has changed

	// Of the writer alone.
	sums     sums      // as the transaction under way leaves them
	moved    moved     // what a compaction has to copy again
	failedAt time.Time // when the file could not be opened again, or not be written, last

	done doneCounts

	compacting sync.Mutex  // held while a compaction is under way
	copying    sync.Mutex  // held while a backup is copied
	suspect    atomic.Bool // bbolt has panicked on the file: it is verified before it is opened again

	damagedMu sync.Mutex // protects damaged
	damaged   map[string]bool
}

var _ store.Store = (*Store)(nil)

// Open opens the database, creating it where there is none. The file must belong to
// the user of this process and to nobody else, in a folder
// that nobody else can write to.
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
	if err := f.settle(); err != nil {
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
	s.noteInForce() // nobody knows of any other
	if err := removeLeftovers(path); err != nil {
		s.log.Warn("cannot remove what a crash has left behind", "error", err)
	}
	if err := os.WriteFile(boltfile.PidFile(path), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		s.log.Warn("cannot note who holds the database", "error", err)
	}
	go s.writeLoop()
	return s, nil
}

// Notify implements [store.Store].
func (s *Store) Notify(n store.Notify) { s.notify = n }

// Close writes what is queued and closes the file. Writes that come later are
// refused with [auth.ErrStoreDown].
func (s *Store) Close() error {
	s.queue.close()
	<-s.stopped
	s.compacting.Lock() // one that is under way ends now
	defer s.compacting.Unlock()
	f := s.file.Swap(nil)
	if f == nil {
		return nil
	}
	os.Remove(boltfile.PidFile(s.path)) // while it is still ours
	return f.db.Close()
}

// Ready returns nil, or why the store cannot be used: [auth.ErrStoreDown], or
// [store.ErrMoved], with which it can be read.
func (s *Store) Ready() error {
	open := s.file.Load()
	if open == nil {
		return auth.ErrStoreDown
	}
	return s.inPlace(open)
}

// inPlace returns [store.ErrMoved] where another file than the open one, or none, is at
// the path of the database. It is looked at before each commit: a restart would not find
// what is written.
func (s *Store) inPlace(open *file) error {
	info, err := os.Stat(s.path)
	astray := errors.Is(err, fs.ErrNotExist) ||
		err == nil && !os.SameFile(info, open.info) && !os.SameFile(info, *s.identity.Load())
	if s.astray.CompareAndSwap(!astray, astray) {
		if astray {
			s.log.Error("the database file was removed or replaced while in use: nothing is written until it is back in its place; a backup still has all of it", "path", s.path)
		} else {
			s.log.Info("the database file is back in its place", "path", s.path)
		}
	}
	if astray {
		return store.ErrMoved
	}
	return nil
}

// view runs f in a reading transaction. What f finds so broken that bbolt panics is
// an error like any other.
func (s *Store) view(f func(tx *bbolt.Tx) error) error {
	for {
		open := s.file.Load()
		if open == nil {
			return auth.ErrStoreDown
		}
		began, err := open.view(f)
		switch {
		case errors.Is(err, errPanicked) && !began:
			// bbolt holds its locks now, and never gives them back.
			if s.file.CompareAndSwap(open, nil) {
				s.log.Error("the database cannot be read any more", "error", err)
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
		// Another file has come into its place meanwhile.
	}
}

// reopen closes the file and opens it again. After a failed commit the file's pages in
// memory and on disk may differ; only what is read back from disk counts. Where bbolt
// panicked, closing could wait for locks that nobody will ever give back: the file is let
// go of instead.
func (s *Store) reopen(panicked bool) {
	if old := s.file.Swap(nil); old != nil {
		if panicked {
			letGo(old.os)
		} else if err := old.db.Close(); err != nil {
			s.log.Error("closing the database after a failed commit", "error", err)
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
	if err == nil && !os.SameFile(f.info, *s.identity.Load()) {
		err = errors.Join(store.ErrMoved, f.db.Close())
	}
	if err != nil {
		s.log.Error("the database cannot be opened again", "error", err, "next_try", reopenEvery)
		s.tryLater()
		return
	}
	s.suspect.Store(false)
	if err := f.settle(); err != nil {
		s.log.Error("the database can be read, but not written", "error", err, "next_try", reopenEvery)
		s.tryLater()
	}
	s.file.Store(f)
	owed := s.owed
	s.owed = nil
	for _, tell := range owed {
		tell()
	}
}

func (s *Store) tryLater() {
	s.failedAt = time.Now()
	time.AfterFunc(reopenEvery, s.queue.signal)
}
