package bolt

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

// This file has what the tests of the store share. Some tests need a process of their own,
// because they kill it or because a broken file may: they start the test's own binary again,
// which then runs one of children. Those that read a broken file start the binary that
// withoutRace returns.

// childVariable names the child that this process is to be.
const childVariable = "SIDEKEY_STORE_CHILD"

var children = map[string]func(args []string) int{
	"write":        writeUntilKilled,
	"read":         readEverything,
	"hold":         holdOpen,
	"rot":          openRotten,
	"compact":      compactUntilKilled,
	"compact once": compactOnce,
	"damage":       damageWhileRunning,
}

// childEnvironment is the environment of a child. With the race detector a process
// would sleep a second before it ends.
func childEnvironment(child string) []string {
	return append(os.Environ(), childVariable+"="+child, "GORACE=atexit_sleep_ms=0")
}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childVariable)]; child != nil {
		os.Exit(child(os.Args[1:]))
	}
	flag.Parse()
	// Each step of the model test is a commit, or several.
	if f := flag.Lookup("rapid.checks"); f != nil && f.Value.String() == f.DefValue {
		f.Value.Set("25")
	}
	code := m.Run()
	os.RemoveAll(binaries)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// withoutRace returns the test's binary built without the race detector. A length in a broken
// file may lead a read far beyond the file. The runtime reports that as a fault, which the
// store turns into an error. The race detector looks up the same range in memory of its own,
// so the fault is then in code that is not Go's, where nothing recovers.
func withoutRace(t testing.TB) string {
	t.Helper()
	path, err := raceless()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// binaries is the folder that raceless has made, or "".
var binaries string

var raceless = sync.OnceValues(func() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok || !slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return os.Args[0], nil
	}
	var err error
	if binaries, err = os.MkdirTemp("", "sidekey-store-"); err != nil {
		return "", err
	}
	path := filepath.Join(binaries, "store.test")
	if out, err := exec.Command("go", "test", "-c", "-o", path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c: %w: %s", err, out)
	}
	return path, nil
})

var seedFlag = flag.Uint64("seed", 0, "do again what a test did at random: the seed that it has logged")

// newRandom returns a source of random numbers, and logs the seed that repeats them.
func newRandom(t testing.TB) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// patience is how long anything may take that normally takes milliseconds.
const patience = 20 * time.Second

// now is any moment.
var now = time.Unix(1_700_000_000, 0)

// quiet discards what is logged.
var quiet = slog.New(slog.DiscardHandler)

// newPath returns a path at which a test can create a database.
func newPath(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "sidekey.db")
}

// mustOpen opens a database until the test ends, and then has it verified, by bbolt as well.
func mustOpen(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mustClose(t, s)
		checkPages(t, path)
	})
	return s
}

// mustClose closes a database that may have been closed before.
func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func checkPages(t testing.TB, path string) {
	t.Helper()
	if report, err := boltfile.Verify(path); err != nil || report.Usable() != nil {
		t.Errorf("Verify finds: %v, %q", err, report.Problems)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: patience})
	if err != nil {
		t.Error(err)
		return
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt finds: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// record is a user with text in several places, so that a record put together from
// two would show.
func record(org, user, text string) session.Record {
	return session.Record{Org: org, User: user, Session: session.Session{
		OrgID: org,
		Alias: text,
		Tags:  []string{text, "end"},
	}}
}

// put writes a record as it is, with fresh quotas where its generation is 0.
func put(t testing.TB, s *Store, r session.Record) session.Record {
	t.Helper()
	stored, err := s.Update(r.Org, r.User, func(*session.Record) (*session.Record, error) { return &r, nil })
	if err != nil {
		t.Fatalf("write %s/%s: %v", r.Org, r.User, err)
	}
	return stored
}

// putInTurn writes a record after f, which runs in the writer's turn: operations that are in its
// transaction by then go into the same commit, and later ones wait.
func putInTurn(s *Store, r session.Record, f func()) error {
	return s.change(operation{
		apply: func(tx *bbolt.Tx) error {
			f()
			_, err := s.putUser(tx, userKey(r.Org, r.User), &r)
			return err
		},
		committed: func() { s.notify.User(r.Org, r.User) },
	})
}

// holdWriter has the writer wait in a transaction until release is called, which waits for the
// end of the transaction.
func holdWriter(t testing.TB, s *Store) (release func()) {
	hold, held := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		putInTurn(s, record("default", "first", "x"), func() {
			close(held)
			<-hold
		})
	})
	<-held
	return func() {
		close(hold)
		group.Wait()
	}
}

// queueWriters starts n writers and returns when all of them wait for the writer that holdWriter
// holds. results are complete when writers are done.
func queueWriters(t testing.TB, s *Store, n int) (writers *sync.WaitGroup, results []error) {
	t.Helper()
	writers, results = new(sync.WaitGroup), make([]error, n)
	for i := range n {
		writers.Go(func() {
			r := record("default", fmt.Sprintf("user-%d", i), "x")
			_, results[i] = s.Update(r.Org, r.User, func(*session.Record) (*session.Record, error) { return &r, nil })
		})
	}
	until(t, "all writers wait", func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return len(s.queue.waiting) == n
	})
	return writers, results
}

func remove(t testing.TB, s *Store, org, user string) {
	t.Helper()
	if _, err := s.Update(org, user, func(*session.Record) (*session.Record, error) { return nil, nil }); err != nil {
		t.Fatalf("delete %s/%s: %v", org, user, err)
	}
}

// asFound is the ask of a process that was granted r: the store holds r after it.
func asFound(r limiter.Reservation) limiter.Ask { return limiter.Ask{Seen: r} }

// reserve has the store hold r, and waits for the answer.
func reserve(s *Store, key limiter.QuotaKey, r limiter.Reservation) error {
	_, err := sendAsk(s, key, asFound(r))
	return err
}

// sendAsk sends an ask and waits for the answer.
func sendAsk(s *Store, key limiter.QuotaKey, ask limiter.Ask) (g limiter.Grant, err error) {
	done := make(chan struct{})
	s.Reserve(key, ask, func(granted limiter.Grant, failure error) {
		g, err = granted, failure
		close(done)
	})
	s.Hurry()
	<-done
	return g, err
}

// want fails the test unless err is an error like target (nil: none).
func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

// raw changes the file behind the store's back, without waiting for the disk. It makes the sums
// fit, so records may be damaged then, but none is missing.
func raw(t testing.TB, s *Store, change func(tx *bbolt.Tx) error) {
	t.Helper()
	s.file.Load().db.NoSync = true
	defer func() { s.file.Load().db.NoSync = false }()
	err := s.file.Load().db.Update(func(tx *bbolt.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return countAll(tx)
	})
	must(t, err)
	must(t, s.pause(s.markPublished))
}

// countAll makes the sums fit what is there.
func countAll(tx *bbolt.Tx) error {
	var all sums
	for _, bucket := range boltfile.Summed {
		all.count(tx, bucket)
	}
	return all.save(tx)
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// texts counts up: the alias of a record, from a number.
func texts(n int) string { return "v" + strconv.Itoa(n) }

func number(text string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(text, "v"))
	if err != nil {
		panic(err)
	}
	return n
}

// until polls until there returns true.
func until(t testing.TB, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !there(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
