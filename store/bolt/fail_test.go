package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/internal/testutil"
	"sidekey/limiter"
	"sidekey/store"
)

// breakFile makes every write to an open database fail from now on, by replacing its file
// descriptor with one that can only be read.
func breakFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		testutil.CannotRun(t, "there is no /proc/self/fd")
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err != nil || target != path {
			continue
		}
		var fd int
		fmt.Sscan(e.Name(), &fd)
		readOnly, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(readOnly.Fd()), fd, syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		readOnly.Close()
		broken++
	}
	if broken != 1 {
		t.Fatalf("%d descriptors of %s", broken, path)
	}
}

// A failed commit is answered as such to every writer in it. It is published, because it may
// have happened. The store recovers without a restart (T-92, T-97).
func TestFailedCommit(t *testing.T) {
	path := newPath(t)
	log := &logBuffer{}
	s, err := Open(path, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { mustClose(t, s); checkPages(t, path) }()
	var mu sync.Mutex
	told := make(map[string]string) // what a user's news said
	s.Notify(store.Notify{User: func(org, user string) {
		r, _, err := s.Load(org, user)
		mu.Lock()
		defer mu.Unlock()
		told[user] = r.Session.Alias
		if err != nil {
			told[user] = err.Error()
		}
	}, Policy: func(id string) {
		mu.Lock()
		defer mu.Unlock()
		told["policy "+id] = "told"
	}})
	alice := put(t, s, record("default", "alice", "before"))
	key := limiter.QuotaKey{Org: "default", User: "alice"}
	want(t, "reserve", reserve(s, key, limiter.Reservation{Generation: alice.Generation, Reserved: 1}), nil)

	breakFile(t, path)
	changed := record("default", "alice", "changed")
	stored, err := s.Update("default", "alice", func(*session.Record) (*session.Record, error) { return &changed, nil })
	want(t, "the write that fails", err, store.ErrOutcomeUnknown)
	if stored.User != "" {
		t.Errorf("a failed write returned %+v", stored)
	}
	mu.Lock()
	if told["alice"] != "before" {
		t.Errorf("news of alice: %q", told["alice"])
	}
	mu.Unlock()
	if !strings.Contains(log.String(), "a commit failed") {
		t.Errorf("log: %s", log.String())
	}

	// The store recovers at once: what was there is there, and can be changed.
	want(t, "readiness", s.Ready(), nil)
	r, kept, err := s.Load("default", "alice")
	if err != nil || r.Session.Alias != "before" || len(kept) != 1 || kept[0].Reserved != 1 {
		t.Errorf("afterwards: %+v, %+v, %v", r, kept, err)
	}
	put(t, s, record("default", "alice", "after"))
	mu.Lock()
	if told["alice"] != "after" {
		t.Errorf("news of alice: %q", told["alice"])
	}
	mu.Unlock()

	// All kinds of writes are answered so.
	breakFile(t, path)
	err = reserve(s, key, limiter.Reservation{Generation: stored.Generation, Reserved: 2})
	want(t, "reservation", err, store.ErrOutcomeUnknown)
	breakFile(t, path)
	err = s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) {
		return &session.Policy{ID: "gold"}, nil
	})
	want(t, "policy", err, store.ErrOutcomeUnknown)
	mu.Lock()
	if told["policy gold"] != "told" {
		t.Errorf("no news of the policy")
	}
	mu.Unlock()
	breakFile(t, path)
	err = s.GiveBack(map[limiter.QuotaKey]limiter.Ask{key: asFound(limiter.Reservation{Generation: stored.Generation, Reserved: 2})})
	want(t, "give back", err, store.ErrOutcomeUnknown)
	// An edit that refuses returns its own error, or an unknown outcome, but no success.
	breakFile(t, path)
	mine := errors.New("mine")
	_, err = s.Update("default", "alice", func(*session.Record) (*session.Record, error) { return nil, mine })
	if err == nil {
		t.Error("a refused edit in a failed commit is a success")
	}
	want(t, "readiness", s.Ready(), nil)
}

// All writers that shared the failed commit get the same answer.
func TestFailedGroupCommit(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	release := holdWriter(t, s)
	wg, results := queueWriters(t, s, 20)
	breakFile(t, path)
	release()
	wg.Wait()
	// The first commit failed, and the file was opened again; the second went through.
	for i, err := range results {
		want(t, fmt.Sprintf("writer %d", i), err, nil)
	}
}

// If the file cannot be opened again the store is down and says so, and it recovers by itself
// when the file is back.
func TestReopenLater(t *testing.T) {
	path := newPath(t)
	log := &logBuffer{}
	s, err := Open(path, slog.New(slog.NewTextHandler(log, nil)))
	must(t, err)
	defer func() { mustClose(t, s); checkPages(t, path) }()
	began := time.Now()
	put(t, s, record("default", "alice", "before"))
	breakFile(t, path)
	alice := record("default", "alice", "lost")
	write := func() error {
		_, err := s.Update("default", "alice", func(*session.Record) (*session.Record, error) { return &alice, nil })
		return err
	}
	failed := putInTurn(s, alice, func() {
		must(t, os.Rename(path, path+".away"))
		must(t, os.Mkdir(path, 0o700))
	})
	want(t, "the write that fails", failed, store.ErrOutcomeUnknown)
	want(t, "readiness", s.Ready(), auth.ErrStoreDown)
	_, _, err = s.Load("default", "alice")
	want(t, "load", err, auth.ErrStoreDown)
	for range 100 {
		want(t, "a write while it is down", write(), auth.ErrStoreDown)
	}
	tries, maxTries := strings.Count(log.String(), "cannot be opened again"), 1+int(time.Since(began)/reopenEvery)
	if tries < 1 || tries > maxTries {
		t.Errorf("tried %d times while 100 writes came; want 1 to %d", tries, maxTries)
	}
	want(t, "a reservation while it is down", reserve(s, limiter.QuotaKey{Org: "default", User: "alice"}, limiter.Reservation{}), auth.ErrStoreDown)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	until(t, "the store is back", func() bool { return s.Ready() == nil })
	r, _, err := s.Load("default", "alice")
	if err != nil || r.Session.Alias != "before" {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
	put(t, s, record("default", "alice", "after"))
}

// A database that has disappeared when it must be opened again is not silently replaced by an
// empty one (T-96).
func TestReopenWithoutFile(t *testing.T) {
	path := newPath(t)
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, record("default", "alice", "before"))
	breakFile(t, path)
	err = putInTurn(s, record("default", "alice", "lost"), func() { must(t, os.Remove(path)) })
	want(t, "the write that fails", err, store.ErrOutcomeUnknown)
	want(t, "readiness", s.Ready(), auth.ErrStoreDown)
	if _, err := os.Lstat(path); err == nil {
		t.Error("an empty file was created instead of the database: a restart will refuse it")
	}
}

// A file that is not where it was opened is not written to, because a restart would not find
// it. It can still be read and copied, and the store recovers when it is back (T-96).
func TestFileMoved(t *testing.T) {
	var log logBuffer
	path := newPath(t)
	s, err := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
	must(t, err)
	alice := put(t, s, record("default", "alice", "before"))
	write := func() error {
		_, err := s.Update("default", "bob", func(*session.Record) (*session.Record, error) {
			bob := record("default", "bob", "x")
			return &bob, nil
		})
		return err
	}
	other := newPath(t)
	another, err := Open(other, quiet)
	must(t, err)
	must(t, another.Close())
	times := 0
	f := func(what string, moved func() error, back func() error) {
		t.Helper()
		times++
		must(t, moved())
		want(t, what+": readiness", s.Ready(), store.ErrMoved)
		want(t, what+": a write", write(), store.ErrMoved)
		want(t, what+": a reservation", reserve(s, limiter.QuotaKey{Org: "default", User: "alice"},
			limiter.Reservation{Generation: alice.Generation, Start: 1, Reserved: 1}), auth.ErrStoreDown)
		_, err := s.Compact()
		want(t, what+": a compaction", err, store.ErrMoved)
		if r, _, err := s.Load("default", "alice"); err != nil || r.Session.Alias != "before" {
			t.Errorf("%s: alice: %+v, %v", what, r, err)
		}
		if report, err := s.Check(); err != nil || report.Users != 1 {
			t.Errorf("%s: a copy: %+v, %v", what, report, err)
		}
		must(t, back())
		want(t, what+": readiness, when it is back", s.Ready(), nil)
		want(t, what+": a write, when it is back", write(), nil)
		remove(t, s, "default", "bob")
		for _, line := range []string{`level=ERROR msg="the database file was removed or replaced`, `msg="the database file is back`} {
			if n := strings.Count(log.String(), line); n != times {
				t.Errorf("%s: logged %d times, want %d: %s", what, n, times, line)
			}
		}
	}
	away := path + ".away"
	f("removed", func() error { return os.Rename(path, away) }, func() error { return os.Rename(away, path) })
	f("replaced", func() error {
		return errors.Join(os.Rename(path, away), os.Rename(other, path))
	}, func() error {
		return errors.Join(os.Rename(path, other), os.Rename(away, path))
	})
	if _, err := s.Compact(); err != nil { // after which another file belongs there
		t.Error(err)
	}
	f("removed after a compaction", func() error { return os.Rename(path, away) }, func() error { return os.Rename(away, path) })

	// A commit fails: the other file is not opened in its place.
	breakFile(t, path)
	err = putInTurn(s, record("default", "bob", "x"), func() {
		must(t, errors.Join(os.Rename(path, away), os.Rename(other, path)))
	})
	want(t, "a write during which it is replaced", err, store.ErrOutcomeUnknown)
	_, _, err = s.Load("default", "alice")
	want(t, "who was in the file", err, auth.ErrStoreDown)
	must(t, os.Rename(away, path))
	until(t, "the store is back", func() bool { return s.Ready() == nil })
	want(t, "a write, when it is back", write(), nil)
	mustClose(t, s)
}

// If bbolt panics while it rolls a failed commit back, it never releases its own locks. No
// write, no read and no Close waits for them forever.
func TestPanicInFailedCommit(t *testing.T) {
	path := newPath(t)
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, record("default", "alice", "before"))
	spoilFreelist(t, path)
	breakFile(t, path)
	alice := record("default", "alice", "lost")
	soon := func(what string, f func()) {
		t.Helper()
		done := make(chan struct{})
		go func() { defer close(done); f() }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Fatalf("%s hangs", what)
		}
	}
	soon("the write", func() {
		if _, err := s.Update("default", "alice", func(*session.Record) (*session.Record, error) { return &alice, nil }); err == nil {
			t.Error("the write that fails is a success")
		}
	})
	soon("reading", func() { s.Load("default", "alice") })
	soon("readiness", func() { s.Ready() })
	soon("another write", func() {
		s.Update("default", "bob", func(*session.Record) (*session.Record, error) { return &alice, nil })
	})
	soon("closing", func() { s.Close() })
}

// spoilFreelist overwrites the kind of the page that holds bbolt's list of free pages.
func spoilFreelist(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var metas [2 * 4096]byte
	if _, err := f.ReadAt(metas[:], 0); err != nil {
		t.Fatal(err)
	}
	// Behind the header of a page: magic, version, page size, flags, root, freelist, …
	const freelist, transaction = 16 + 16 + 16, 16 + 16 + 16 + 16
	newest := metas[:4096]
	if other := metas[4096:]; binary.NativeEndian.Uint64(other[transaction:]) > binary.NativeEndian.Uint64(newest[transaction:]) {
		newest = other
	}
	page := int64(binary.NativeEndian.Uint64(newest[freelist:]))
	if _, err := f.WriteAt([]byte{0xff, 0xff}, page*4096+8); err != nil {
		t.Fatal(err)
	}
}

// The disk is full (T-93): what was answered is there, deleting works, and the store recovers
// when there is room.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=18m,mode=0700"); err != nil {
		testutil.CannotRun(t, fmt.Sprintf("mount: %v", err))
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(dir, "sidekey.db")
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, record("default", "small", "x"))
	// Something else fills the disk.
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for block := make([]byte, 4096); ; {
		if _, err := ballast.Write(block); err != nil {
			break
		}
	}
	acknowledged := make(map[string]bool)
	failed := false
	for i := range 2000 {
		r := record("default", fmt.Sprintf("user-%d", i), strings.Repeat("x", 900))
		_, err := s.Update(r.Org, r.User, func(*session.Record) (*session.Record, error) { return &r, nil })
		if err == nil {
			acknowledged[r.User] = true
			continue
		}
		failed = true
		if !errors.Is(err, store.ErrOutcomeUnknown) && !errors.Is(err, auth.ErrStoreDown) {
			t.Fatalf("on a full disk: %v", err)
		}
		break
	}
	check := func(when string) {
		t.Helper()
		for user := range acknowledged {
			if _, _, err := s.Load("default", user); err != nil {
				t.Errorf("%s: %s: %v", when, user, err)
			}
		}
	}
	check("on the full disk")
	if err := ballast.Truncate(0); err != nil {
		t.Fatal(err)
	}
	until(t, "writes go on", func() bool {
		r := record("default", "late", "x")
		_, err := s.Update(r.Org, r.User, func(*session.Record) (*session.Record, error) { return &r, nil })
		return err == nil
	})
	check("when there is room again")
	mustClose(t, s)
	checkPages(t, path)
	t.Logf("%d writes acknowledged, then refused: %t", len(acknowledged), failed)
}

// If a record cannot be read when it is published, it is published again later: checks do not use
// the state before a write of unknown outcome forever.
func TestNewsAreToldAgain(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	var mu sync.Mutex
	var told []error
	s.Notify(store.Notify{User: func(string, string) {}, Policy: func(id string) {
		_, err := s.Policy(id)
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err)
	}})
	breakFile(t, path)
	write := func(during func()) error {
		return s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) {
			during()
			return &session.Policy{ID: "gold"}, nil
		})
	}
	want(t, "the write that fails", write(func() {
		must(t, os.Rename(path, path+".away"))
		must(t, os.Mkdir(path, 0o700))
	}), store.ErrOutcomeUnknown)
	want(t, "a write while it is down", write(func() {}), auth.ErrStoreDown) // of which there are no news
	must(t, os.Remove(path))
	must(t, os.Rename(path+".away", path))
	until(t, "the store is back", func() bool { return s.Ready() == nil })
	until(t, "it is told again", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) == 2
	})
	want(t, "told while it was down", told[0], auth.ErrStoreDown)
	want(t, "told afterwards", told[1], nil)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
