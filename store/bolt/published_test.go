package bolt

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/store"
)

// bbolt's readers see a write between its commit and its publication. Read waits until checks
// act on it, whether the commit has succeeded or its outcome is unknown.
func TestReadWaitsForPublication(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	put(t, s, record("default", "alice", "before"))
	put(t, s, record("default", "bob", "before"))

	type answer struct {
		alias   string
		names   int
		err     error
		inForce bool // when it was answered
	}
	var inForce atomic.Bool
	ask := func() (a answer) {
		r, _, err := s.Read("default", "alice")
		a = answer{alias: r.Session.Alias, err: err, inForce: inForce.Load()}
		names, err := s.Names(session.Name{}, 10)
		a.names, a.err = len(names), errors.Join(a.err, err)
		return a
	}
	reading := make(chan answer, 1)
	// In the moment between the two.
	s.Notify(store.Notify{User: func(string, string) {
		go func() { reading <- ask() }()
		until(t, "the read waits, or is answered", func() bool {
			s.queue.mu.Lock()
			defer s.queue.mu.Unlock()
			return len(s.queue.pauses) == 1 || len(reading) == 1
		})
		inForce.Store(true)
	}})
	f := func(what string, write func(), want answer, wantErr error) {
		t.Helper()
		inForce.Store(false)
		write()
		got := <-reading
		if !errors.Is(got.err, wantErr) {
			t.Errorf("%s: %v; want %v", what, got.err, wantErr)
		}
		got.err = nil
		want.inForce = true
		if got != want {
			t.Errorf("%s: %+v; want %+v", what, got, want)
		}
	}
	edit := func(alias string) error {
		_, err := s.Update("default", "alice", func(*session.Record) (*session.Record, error) {
			r := record("default", "alice", alias)
			return &r, nil
		})
		return err
	}
	f("a change", func() { must(t, edit("changed")) }, answer{alias: "changed", names: 2}, nil)
	f("a commit that fails", func() {
		breakFile(t, path)
		want(t, "the write", edit("lost"), store.ErrOutcomeUnknown)
	}, answer{alias: "changed", names: 2}, nil)
	f("a deletion", func() { remove(t, s, "default", "alice") }, answer{names: 1}, auth.ErrNoUser)
}

// Read does not wait for a hanging disk, nor for a store that closes.
func TestReadDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(newPath(t), quiet)
		must(t, err)
		put(t, s, record("default", "alice", "before"))
		hanging, goOn := make(chan struct{}), make(chan struct{})
		s.Notify(store.Notify{User: func(string, string) {
			close(hanging)
			<-goOn
		}})
		go s.Update("default", "alice", func(old *session.Record) (*session.Record, error) { return old, nil })
		<-hanging
		_, _, err = s.Read("default", "alice")
		want(t, "while the writer hangs", err, auth.ErrStoreDown)
		s.queue.close()
		_, _, err = s.Read("default", "alice")
		want(t, "while it closes", err, auth.ErrStoreDown)
		close(goOn)
		mustClose(t, s)
	})
}

// Records that need no publication can be read at once: those in another file with the same records,
// and those in a file that was opened again.
func TestReadFromAnotherFile(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	put(t, s, record("default", "alice", "x"))
	read := func(when string) {
		t.Helper()
		_, _, err := s.Read("default", "alice")
		want(t, when, err, nil)
	}
	read("after a write")
	_, err := s.Compact()
	must(t, err)
	read("after a compaction")
	breakFile(t, path)
	err = putInTurn(s, record("default", "alice", "x"), func() { must(t, os.Rename(path, path+".away")) })
	want(t, "the write that fails", err, store.ErrOutcomeUnknown)
	_, _, err = s.Read("default", "alice")
	want(t, "while it is down", err, auth.ErrStoreDown)
	must(t, os.Rename(path+".away", path))
	until(t, "the store is back", func() bool { return s.Ready() == nil })
	read("when it is back")
}
