package bolt

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/internal/testutil"
	"sidekey/store/bolt/boltfile"
)

var backups = flag.Int("backups", 50, "backups that TestBackup makes")

// pairs are writers that count up, each in two users in turn, first a and then b. At any moment
// a is as far as b, or one ahead.
type pairs struct {
	store *Store
	// Of each writer: how far it has got with b, and what it is trying with a.
	acked, tried []atomic.Int64
	worst        atomic.Int64 // ns that a write took
	stop         chan struct{}
	group        sync.WaitGroup
}

func startPairs(t *testing.T, s *Store, writers int) *pairs {
	p := &pairs{store: s, acked: make([]atomic.Int64, writers), tried: make([]atomic.Int64, writers), stop: make(chan struct{})}
	for w := range writers {
		p.group.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case <-p.stop:
					return
				default:
				}
				p.tried[w].Store(n)
				for _, half := range []string{"a", "b"} {
					began := time.Now()
					r := record("default", fmt.Sprintf("%s-%02d", half, w), texts(int(n)))
					if _, err := s.Update(r.Org, r.User, func(*session.Record) (*session.Record, error) { return &r, nil }); err != nil {
						t.Error(err)
						return
					}
					p.worst.Store(max(p.worst.Load(), int64(time.Since(began))))
				}
				p.acked[w].Store(n)
			}
		})
	}
	return p
}

func (p *pairs) end() {
	close(p.stop)
	p.group.Wait()
}

// counts returns how far the writers are.
func counts(of []atomic.Int64) []int64 {
	n := make([]int64, len(of))
	for i := range of {
		n[i] = of[i].Load()
	}
	return n
}

// compare fails the test unless what s has of the pairs is of one moment, not before the
// writers came to atLeast and not after they were at atMost.
func comparePairs(t *testing.T, s *Store, atLeast, atMost []int64) {
	t.Helper()
	get := func(user string) int64 {
		r, _, err := s.Load("default", user)
		if errors.Is(err, auth.ErrNoUser) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return int64(number(r.Session.Alias))
	}
	for w := range atLeast {
		a, b := get(fmt.Sprintf("a-%02d", w)), get(fmt.Sprintf("b-%02d", w))
		if a != b && a != b+1 || b < atLeast[w] || a > atMost[w] {
			t.Errorf("writer %d: a is %d and b is %d; %d was acknowledged before, %d tried since", w, a, b, atLeast[w], atMost[w])
		}
	}
}

// Each of many backups while 64 writers work is clean and of one moment.
func TestBackup(t *testing.T) {
	s := mustOpen(t, newPath(t))
	fillAndEmpty(t, s, 500) // more than a pipe or a socket holds
	p := startPairs(t, s, 64)
	defer p.end()
	copied := newPath(t)
	for range *backups {
		before := counts(p.acked)
		file, err := s.Backup()
		if err != nil {
			t.Fatal(err)
		}
		after := counts(p.tried)
		content := make([]byte, 1)
		if _, err := file.Read(content); err != nil {
			t.Fatal(err)
		}
		// The writers' own are short.
		until(t, "no transaction is open while a backup is being read", func() bool { return s.file.Load().db.Stats().OpenTxN == 0 })
		rest, err := io.ReadAll(file)
		content = append(content, rest...)
		if err := errors.Join(err, file.Close(), os.WriteFile(copied, content, 0o600)); err != nil {
			t.Fatal(err)
		}
		if report, err := boltfile.Verify(copied); err != nil || !report.Clean() {
			t.Fatalf("%+v, %v", report, err)
		}
		backup, err := Open(copied, quiet)
		if err != nil {
			t.Fatal(err)
		}
		comparePairs(t, backup, before, after)
		mustClose(t, backup)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d backups, %d writes; the longest took %v", *backups, 2*sum64(counts(p.acked)), time.Duration(p.worst.Load()))
	onlyDatabase(t, s.path)
}

func sum64(all []int64) (sum int64) {
	for _, n := range all {
		sum += n
	}
	return sum
}

// onlyDatabase fails the test if the folder has other files than the database, and its pid
// while it is open.
func onlyDatabase(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != filepath.Base(path) && name != filepath.Base(boltfile.PidFile(path)) {
			t.Errorf("%s was left behind", name)
		}
	}
}

// A file is restored whole or not at all, and the file that was there stays beside it.
func TestRestore(t *testing.T) {
	path, backup := newPath(t), newPath(t)
	fill := func(path, text string) {
		s, err := Open(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, record("default", "alice", text))
		mustClose(t, s)
	}
	alice := func(path string) string {
		t.Helper()
		s, err := Open(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		r, _, err := s.Load("default", "alice")
		want(t, "load", err, nil)
		return r.Session.Alias
	}
	fill(path, "now")
	fill(backup, "then")
	if err := os.Chmod(backup, 0o644); err != nil { // as cp may have made it
		t.Fatal(err)
	}
	bad := newPath(t)
	content, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	content[strings.Index(string(content), `"alias":"then"`)+10] ^= 1
	if err := os.WriteFile(bad, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(path, bad, now); err == nil || !strings.Contains(err.Error(), `it has 1 damaged records, the first is user "alice" of "default": checksum does not match`) {
		t.Errorf("a damaged backup: %v", err)
	}
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Restore(path, backup, now)
	want(t, "a running store", err, boltfile.ErrInUse)
	mustClose(t, s)
	if got := alice(path); got != "now" {
		t.Errorf("after restores that failed: %q", got)
	}
	onlyDatabase(t, path)

	done, err := Restore(path, backup, now)
	if err != nil || done.Users != 1 || done.Kept != path+".before-restore-20231114T221320.000Z" {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := alice(path); got != "then" {
		t.Errorf("restored: %q", got)
	}
	if got := alice(done.Kept); got != "now" {
		t.Errorf("kept: %q", got)
	}
	// A second restore within a millisecond does not overwrite the database that the first one kept.
	if _, err := Restore(path, backup, now); err == nil {
		t.Error("a kept database was overwritten")
	}
	if got := alice(done.Kept); got != "now" {
		t.Errorf("kept: %q", got)
	}
}

// The disk is damaged under a running program: the program reports it and goes on. It is a
// child process, in case it does not.
func TestDamageWhileRunning(t *testing.T) {
	for _, kind := range []string{"cut short", "to nothing", "noise", "zeros"} {
		path := newPath(t)
		if err := os.WriteFile(path, wholeDatabase(t, 60), 0o600); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(withoutRace(t), path, kind)
		child.Env = childEnvironment("damage")
		out, err := child.CombinedOutput()
		if err != nil || !strings.HasSuffix(string(out), "lives\n") {
			t.Errorf("%s: %v: %s", kind, err, firstLines(string(out)))
		}
	}
}

// damageWhileRunning is the child.
func damageWhileRunning(args []string) int {
	timer := time.AfterFunc(patience, func() { panic("hangs") })
	defer timer.Stop()
	path, kind := args[0], args[1]
	s, err := Open(path, quiet)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	info, _ := os.Stat(path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	rubbish := make([]byte, info.Size()-8192)
	switch kind {
	case "cut short":
		err = f.Truncate(8192)
	case "to nothing":
		err = f.Truncate(0)
	case "noise":
		for i := range rubbish {
			rubbish[i] = byte(i*7 + i/251)
		}
		_, err = f.WriteAt(rubbish, 8192)
	case "zeros":
		_, err = f.WriteAt(rubbish, 8192)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	failed := 0
	expect := func(what string, err error) {
		if err == nil {
			fmt.Println("no error:", what)
			failed = 1
		}
	}
	_, _, err = s.Load("default", "user-0001")
	expect("load", err)
	_, err = s.Names(session.Name{}, 10)
	expect("names", err)
	_, _, err = s.Policies()
	expect("policies", err)
	if file, err := s.Backup(); err == nil {
		info, _ := file.Stat()
		report, err := boltfile.VerifyFile(file, info.Size())
		if err == nil {
			err = report.Usable()
		}
		expect("a backup", err)
		file.Close()
	}
	_, err = s.Compact()
	expect("compact", err)
	_, err = s.Update("default", "user-0001", func(*session.Record) (*session.Record, error) {
		r := record("default", "user-0001", "x")
		return &r, nil
	})
	expect("update", err)
	_, _, err = s.Load("default", "user-0001")
	expect("load, again", err)
	_, err = s.Compact()
	expect("compact, again", err)
	s.Close()
	fmt.Println("lives")
	return failed
}

// A database that root restores belongs to the owner of the folder.
func TestRestoreOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "only root can give files away")
	}
	path, backup := newPath(t), newPath(t)
	s, err := Open(backup, quiet)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	const user, group = 65533, 65534
	if err := os.Chown(filepath.Dir(path), user, group); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(path, backup, now); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != user || stat.Gid != group || info.Mode().Perm() != 0o600 {
		t.Errorf("the database belongs to %d:%d, mode %#o", stat.Uid, stat.Gid, info.Mode().Perm())
	}
}
