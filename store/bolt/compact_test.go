package bolt

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/internal/testutil"
	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

// maxPause bounds how long writers wait for a compaction. A disk that other processes use may
// take longer for a single sync, so the best of several counts.
const maxPause = 0.1

// A database from which much was deleted gets small while 64 writers go on. Nothing is lost,
// and the writers wait only for a moment.
func TestCompact(t *testing.T) {
	s := mustOpen(t, newPath(t))
	fillAndEmpty(t, s, 3000)
	kept := limiter.QuotaKey{Org: "default", User: "user-00007"}
	r := put(t, s, record("default", kept.User, "with a quota"))
	want(t, "reserve", reserve(s, kept, limiter.Reservation{Generation: r.Generation, Start: 1, Reserved: 99}), nil)
	want(t, "policy", s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) {
		return &session.Policy{ID: "gold", OrgID: "default"}, nil
	}), nil)

	p := startPairs(t, s, 64)
	reading, read := make(chan struct{}), make(chan struct{})
	go func() { // readers are not affected
		defer close(read)
		for {
			select {
			case <-reading:
				return
			default:
			}
			if err := s.Ready(); err != nil {
				t.Errorf("while it is compacted: %v", err)
				return
			}
			if _, q, err := s.Load("default", kept.User); err != nil || len(q) != 1 || q[0].Reserved != 99 {
				t.Errorf("while it is compacted: %+v, %v", q, err)
				return
			}
		}
	}()
	best := 1e9
	for i := range 5 {
		before := counts(p.acked)
		done, err := s.Compact()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && done.After > done.Before/4 {
			t.Errorf("%d bytes, %d before", done.After, done.Before)
		}
		best = min(best, done.Pause)
		for w, acked := range before {
			user := fmt.Sprintf("b-%02d", w)
			if r, _, err := s.Load("default", user); acked > 0 && (err != nil || int64(number(r.Session.Alias)) < acked) {
				t.Errorf("%s: acknowledged %d, there is %q, %v", user, acked, r.Session.Alias, err)
			}
		}
	}
	close(reading)
	<-read
	p.end()
	comparePairs(t, s, counts(p.acked), counts(p.tried))
	if best > maxPause {
		t.Errorf("writers had to wait %v s each time", best)
	}
	t.Logf("the shortest pause was %.1f ms; %d writes, the longest took %v", best*1000, 2*sum64(counts(p.acked)), time.Duration(p.worst.Load()))
	// Generations continue from where they were: an older reservation never becomes valid again.
	if after := put(t, s, record("default", kept.User, "again")); after.Generation <= r.Generation+uint64(sum64(counts(p.acked))) {
		t.Errorf("generation %d after %d and %d writes", after.Generation, r.Generation, 2*sum64(counts(p.acked)))
	}
	mustClose(t, s)
	onlyDatabase(t, s.path)
}

func fillAndEmpty(t *testing.T, s *Store, users int) {
	t.Helper()
	s.file.Load().db.NoSync = true
	err := s.update(func(tx *bbolt.Tx) error {
		for i := range users {
			r := record("default", fmt.Sprintf("user-%05d", i), strings.Repeat("text", 500))
			if _, err := s.putUser(tx, userKey(r.Org, r.User), &r); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = s.update(func(tx *bbolt.Tx) error {
			for i := 20; i < users; i++ {
				if err := s.deleteUser(tx, userKey("default", fmt.Sprintf("user-%05d", i))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.file.Load().db.NoSync = false
}

// A compaction that fails leaves the old file in use, and no other file.
func TestCompactFails(t *testing.T) {
	s := mustOpen(t, newPath(t))
	put(t, s, record("default", "alice", "x"))
	still := func(what string, target error) {
		t.Helper()
		before, err := os.Stat(s.path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Compact()
		if err == nil || target != nil && !errors.Is(err, target) {
			t.Errorf("%s: %v", what, err)
		}
		if after, err := os.Stat(s.path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s: another file is there: %v", what, err)
		}
		onlyDatabase(t, s.path)
		put(t, s, record("default", "bob", what))
		if r, _, err := s.Load("default", "alice"); err != nil || r.Session.Alias != "x" {
			t.Errorf("%s: alice: %+v, %v", what, r, err)
		}
	}
	// A record that is not where it should be: it would be missing from the new file.
	s.file.Load().db.NoSync = true
	if err := s.file.Load().db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(boltfile.Policies).Put([]byte("strange"), boltfile.Seal(boltfile.Policies, []byte("strange"), []byte("{}")))
	}); err != nil {
		t.Fatal(err)
	}
	still("a record too many", auth.ErrDamaged)
	raw(t, s, func(tx *bbolt.Tx) error { return tx.Bucket(boltfile.Policies).Delete([]byte("strange")) })

	s.compacting.Lock()
	still("another one", ErrCompacting)
	s.compacting.Unlock()

	// Damaged records are copied and stay known as damaged.
	raw(t, s, func(tx *bbolt.Tx) error {
		return tx.Bucket(boltfile.Users).Put(userKey("default", "carol"), []byte("\x01\x00\x00\x00\x00garbage"))
	})
	if _, err := s.Compact(); err != nil {
		t.Error(err)
	}
	_, _, err := s.Load("default", "carol")
	want(t, "a damaged record", err, auth.ErrDamaged)
	mustClose(t, s)
	_, err = s.Compact()
	want(t, "a closed store", err, auth.ErrStoreDown)
}

// compactUntilKilled is a child: it writes and tells, as writeUntilKilled does, and
// compacts all the time.
func compactUntilKilled(args []string) int {
	s, err := Open(args[0], quiet)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var mu sync.Mutex
	fmt.Println("ready")
	for i := range crashUsers {
		go func() {
			user, n := fmt.Sprintf("user-%d", i), 0
			if r, _, err := s.Load("default", user); err == nil {
				n = number(r.Session.Alias)
			}
			for {
				n++
				r := record("default", user, texts(n))
				_, err := s.Update("default", user, func(*session.Record) (*session.Record, error) { return &r, nil })
				mu.Lock()
				if err != nil {
					fmt.Println("failed", user, err)
				} else {
					fmt.Println("ack", user, n)
				}
				mu.Unlock()
			}
		}()
	}
	for {
		if _, err := s.Compact(); err != nil {
			fmt.Println("failed", err)
		}
		fmt.Println("compacted")
	}
}

// A process that is killed while it compacts loses nothing, and the next one removes its
// temporary files.
func TestCrashWhileCompacting(t *testing.T) {
	path := newPath(t)
	mustClose(t, mustOpen(t, path))
	random := newRandom(t)
	acked := make(map[string]int)
	writes, compactions := 0, 0
	for range 25 {
		child := exec.Command(os.Args[0], path)
		child.Env = childEnvironment("compact")
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan() // ready
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(120*time.Millisecond))), func() { child.Process.Kill() })
		for lines.Scan() {
			var word, user string
			var n int
			switch fmt.Sscan(lines.Text(), &word, &user, &n); word {
			case "ack":
				acked[user] = n
				writes++
			case "compacted":
				compactions++
			default:
				t.Error(lines.Text())
			}
		}
		timer.Stop()
		child.Wait()
		if report, err := boltfile.Verify(path); err != nil || !report.Clean() {
			t.Fatalf("%+v, %v", report, err)
		}
		s := mustOpen(t, path)
		for user, n := range acked {
			if r, _, err := s.Load("default", user); err != nil || number(r.Session.Alias) < n {
				t.Errorf("%s: acknowledged %d, there is %q, %v", user, n, r.Session.Alias, err)
			}
		}
		onlyDatabase(t, path)
		mustClose(t, s)
	}
	t.Logf("%d acknowledged writes, %d compactions", writes, compactions)
	if compactions == 0 || writes == 0 {
		t.Error("too little happened between the crashes")
	}
}

// The name of the new file is durable before anything is written to it. Otherwise a power cut
// could bring the old file back, without what was answered since.
func TestCompactSyncsFolder(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		testutil.CannotRun(t, "strace is not installed")
	}
	path := newPath(t)
	trace := filepath.Join(t.TempDir(), "trace")
	child := exec.Command(strace, "-f", "-y", "-o", trace, "-e", "trace=rename,renameat,renameat2,fsync,fdatasync,pwrite64", os.Args[0], path)
	child.Env = childEnvironment("compact once")
	if out, err := child.CombinedOutput(); err != nil {
		testutil.CannotRun(t, fmt.Sprintf("strace: %v: %s", err, out))
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	renamed := regexp.MustCompile(`rename[a-z0-9]*\(.*"` + regexp.QuoteMeta(path) + `"`)
	synced := regexp.MustCompile(`fsync\(\d+<` + regexp.QuoteMeta(filepath.Dir(path)) + `>`)
	state, unsynced := "", false
	for line := range strings.Lines(string(text)) {
		switch {
		case renamed.MatchString(line):
			if unsynced {
				t.Errorf("the new file gets its name before it is synced: %s", line)
			}
			state = "renamed"
		case synced.MatchString(line) && state == "renamed":
			state = "synced"
		case strings.Contains(line, "pwrite64(") && state == "renamed":
			t.Fatalf("written before the folder is synced: %s", line)
		case strings.Contains(line, "pwrite64(") && state == "synced":
			state = "written"
		case strings.Contains(line, "pwrite64("):
			unsynced = true
		case strings.Contains(line, "sync("):
			unsynced = false
		}
	}
	if state != "written" {
		t.Errorf("the trace ends with the file %q:\n%s", state, text)
	}
}

// A disk that fails between a compaction and the next commit may bring the replaced file back. It
// is opened again as long as nothing was committed since, and never afterwards.
func TestCompactRolledBack(t *testing.T) {
	for _, committed := range []bool{false, true} {
		t.Run(fmt.Sprintf("committed since: %v", committed), func(t *testing.T) {
			path := newPath(t)
			s := mustOpen(t, path)
			put(t, s, record("default", "alice", "before"))
			must(t, os.Link(path, path+".replaced"))
			_, err := s.Compact()
			must(t, err)
			if committed {
				put(t, s, record("default", "alice", "since"))
			}
			must(t, s.pause(func() {
				must(t, os.Rename(path+".replaced", path))
				s.reopen(false)
			}))
			if committed {
				want(t, "readiness", s.Ready(), auth.ErrStoreDown)
				return
			}
			want(t, "readiness", s.Ready(), nil)
			r, _, err := s.Load("default", "alice")
			if err != nil || r.Session.Alias != "before" {
				t.Errorf("the record: %+v, %v", r, err)
			}
			put(t, s, record("default", "alice", "after"))
		})
	}
}

func compactOnce(args []string) int {
	s, err := Open(args[0], quiet)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	write := func(text string) {
		r := record("default", "alice", text)
		if _, e := s.Update("default", "alice", func(*session.Record) (*session.Record, error) { return &r, nil }); e != nil {
			err = e
		}
	}
	write("before")
	_, compactErr := s.Compact()
	write("after")
	if err := errors.Join(err, compactErr, s.Close()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
