package crash

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sidekey/internal/testutil"
)

// createUser creates a user who may log in.
func createUser(t *testing.T, v *victim, name string, quotaMax int64) {
	t.Helper()
	c := v.admin()
	defer c.close()
	must(t, wantOK(c.do("POST", "/tyk/keys/"+name, fmt.Sprintf(
		`{"quota_max": %d, "quota_renewal_rate": 1000000, "basic_auth_data": {"password": %q}}`, quotaMax, password))))
}

// tally counts the answers to checks of one user that are sent without pause.
type tally struct {
	mu      sync.Mutex
	answers map[string]int // by status and, unless it is 200, message
	slowest time.Duration
	broken  error
}

func (n *tally) ask(c *connection, user string) {
	start := time.Now()
	status, text, err := c.ask(user, password)
	took := time.Since(start)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slowest = max(n.slowest, took)
	if err != nil {
		n.broken = err
	}
	if status != 200 {
		n.answers[fmt.Sprint(status, " ", strings.TrimSpace(text))]++
		return
	}
	n.answers["200"]++
}

// take returns the counts since the last call.
func (n *tally) take() (answers map[string]int, slowest time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	answers, slowest = n.answers, n.slowest
	n.answers, n.slowest = make(map[string]int), 0
	return answers, slowest
}

// askOn sends checks of a user over one connection until the returned function is called.
func askOn(v *victim, user string) (n *tally, stop func()) {
	n = &tally{answers: make(map[string]int)}
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		c := v.check()
		defer c.close()
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				n.ask(c, user)
			}
		}
	})
	return n, sync.OnceFunc(func() { close(done); group.Wait() })
}

// longestWait is limits.quota_wait and some time for a slow machine.
const longestWait = 100*time.Millisecond + 400*time.Millisecond

const notRecorded = `429 {"error": "Quota cannot be recorded at the moment"}`

// While the disk hangs, users with a reservation keep working, users who need one are refused and
// told why, and no request waits longer than limits.quota_wait. Users without a quota notice
// nothing.
func TestDiskHangs(t *testing.T) {
	v := newVictim(t, memoryDir(t), "")
	var hanging atomic.Pointer[chan struct{}]
	v.supervise = supervision{about: isDatabase(v.database()), decide: func(c call) answer {
		if gate := hanging.Load(); gate != nil {
			<-*gate
		}
		return 0
	}}
	if !v.start() {
		t.Fatal("sidekey does not start")
	}
	createUser(t, v, "free", -1)
	createUser(t, v, "large", 1_000_000)
	createUser(t, v, "small", 99) // nothing is reserved ahead
	createUser(t, v, "cold", -1)  // no check before
	free, stopFree := askOn(v, "free")
	defer stopFree()
	large, stopLarge := askOn(v, "large")
	defer stopLarge()
	time.Sleep(500 * time.Millisecond) // so that the size of large's block fits its traffic
	if answers, _ := large.take(); answers["200"] == 0 {
		t.Fatalf("before: %v", answers)
	}
	free.take()
	for range 3 {
		c := v.check()
		must(t, wantOK(c.ask("small", password)))
		c.close()
	}

	gate := make(chan struct{})
	release := sync.OnceFunc(func() {
		hanging.Store(nil)
		close(gate)
	})
	t.Cleanup(release)
	hanging.Store(&gate)
	small, stopSmall := askOn(v, "small")
	defer stopSmall()
	write := make(chan error, 1)
	go func() {
		c := v.admin()
		defer c.close()
		write <- wantOK(c.do("POST", "/tyk/keys/late", `{"alias": "v1"}`))
	}()
	time.Sleep(3 * time.Second)
	c := v.check()
	defer c.close()
	if err := wantOK(c.ask("cold", password)); err != nil {
		t.Errorf("a user without a check before: %v", err)
	}
	expect := func(name string, n *tally, allowed ...string) map[string]int {
		t.Helper()
		answers, slowest := n.take()
		for a := range answers {
			if !slices.Contains(allowed, a) {
				t.Errorf("%s, while the disk hangs: %v", name, answers)
			}
		}
		if slowest > longestWait {
			t.Errorf("%s waited %v", name, slowest)
		}
		return answers
	}
	a := expect("free", free, "200")
	if a["200"] < 100 {
		t.Errorf("a user without a quota got %v in 3 s", a)
	}
	b := expect("large", large, "200", notRecorded)
	if b["200"] == 0 {
		t.Errorf("a user with a reservation got %v", b)
	}
	// A reservation for small may be in progress when the disk begins to hang.
	e := expect("small", small, notRecorded)
	if e[notRecorded] == 0 {
		t.Errorf("who needs a reservation was answered %v", e)
	}
	select {
	case err := <-write:
		t.Errorf("a write was answered while the disk hangs: %v", err)
	default:
	}

	release()
	if err := <-write; err != nil {
		t.Errorf("the write that waited: %v", err)
	}
	await(t, "small is admitted again", func() bool { answers, _ := small.take(); return answers["200"] > 0 })
	await(t, "large is admitted again", func() bool { answers, _ := large.take(); return answers["200"] > 0 })
	t.Logf("3 s without a disk: free %v, large %v, small %v", a, b, e)
}

// A hanging disk does not keep the program from ending.
func TestStopWhileDiskHangs(t *testing.T) {
	v := newVictim(t, memoryDir(t), "")
	config := filepath.Join(v.dir, "sidecar.toml")
	text, err := os.ReadFile(config)
	must(t, err)
	must(t, os.WriteFile(config, bytes.Replace(text, []byte(`shutdown_timeout = "10s"`), []byte(`shutdown_timeout = "1s"`), 1), 0o600))
	var hanging atomic.Bool
	gate := make(chan struct{})
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	v.supervise = supervision{about: isDatabase(v.database()), decide: func(call) answer {
		if hanging.Load() {
			<-gate
		}
		return 0
	}}
	if !v.start() {
		t.Fatal("sidekey does not start")
	}
	createUser(t, v, "counted", 1_000_000)
	c := v.check()
	defer c.close()
	must(t, wantOK(c.ask("counted", password)))
	hanging.Store(true)
	must(t, v.cmd.Process.Signal(syscall.SIGTERM))
	await(t, "it says why it ends as it does", func() bool { return strings.Contains(v.output.Tail(1000), "the disk does not respond") })
	release() // for the supervisor alone: an ended process makes no calls
	<-v.exited
	if code := v.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d:\n%s", code, v.output.Tail(1000))
	}
}

func await(t *testing.T, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testutil.Patience); !there(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", testutil.Patience, what)
		}
	}
}

// throughTrouble sends checks and writes before, during and after a disk trouble of a started
// victim. Known users keep working, writes return what became of them, everything works as soon as
// the disk does, without a restart, and nothing acknowledged is lost.
func throughTrouble(t *testing.T, v *victim, begin, end func()) {
	t.Helper()
	createUser(t, v, "known", -1)
	createUser(t, v, "counted", 1_000_000)
	known, stopKnown := askOn(v, "known")
	defer stopKnown()
	counted, stopCounted := askOn(v, "counted")
	defer stopCounted()
	for _, n := range []*tally{known, counted} {
		await(t, "a check", func() bool { answers, _ := n.take(); return answers["200"] > 0 })
	}
	list := subjects()
	var j journal
	var group sync.WaitGroup
	group.Go(func() { load(t, v, list, &j) })
	writes := func(when string) {
		t.Helper()
		before := j.acks.Load()
		await(t, when+": writes are acknowledged", func() bool { return j.acks.Load() > before+20 })
	}
	writes("before")

	begin()
	time.Sleep(200 * time.Millisecond) // until what was in progress has ended
	known.take()
	counted.take()
	acked := j.acks.Load()
	time.Sleep(time.Duration(size(1000, 5000)) * time.Millisecond)
	if n := j.acks.Load() - acked; n > 0 {
		t.Errorf("%d writes were acknowledged while the disk failed", n)
	}
	answers, slowest := known.take()
	if answers["200"] < 20 || len(answers) > 1 || slowest > longestWait {
		t.Errorf("a known user was answered %v, after %v at most", answers, slowest)
	}
	answers, slowest = counted.take()
	if slowest > longestWait {
		t.Errorf("a known user with a quota waited %v", slowest)
	}
	if len(answers) > 2 || answers["200"]+answers[notRecorded] == 0 {
		t.Errorf("a known user with a quota was answered %v", answers)
	}

	end()
	writes("afterwards")
	await(t, "the quota is recorded again", func() bool { answers, _ := counted.take(); return answers["200"] > 0 })
	stopKnown()
	stopCounted()
	v.kill()
	group.Wait()
	verify(t, v.database(), list)
	t.Logf("%d writes acknowledged, 0 lost; without the disk the user with a quota was answered %v", j.acks.Load(), answers)
}

// The calls of the program fail as on a disk that refuses them.
func TestDiskTrouble(t *testing.T) {
	f := func(name string, fails func(c call) answer) {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, memoryDir(t), "")
			var on atomic.Bool
			v.supervise = supervision{about: isDatabase(v.database()), decide: func(c call) answer {
				if on.Load() {
					return fails(c)
				}
				return 0
			}}
			if !v.start() {
				t.Fatal("sidekey does not start")
			}
			throughTrouble(t, v, func() { on.Store(true) }, func() { on.Store(false) })
		})
	}
	f("no sync works", func(c call) answer {
		if strings.HasSuffix(c.name, "sync") {
			return syscall.EIO
		}
		return 0
	})
	f("nothing can be written", func(c call) answer { return syscall.EIO })
	f("read-only", func(c call) answer { return syscall.EROFS })
	f("full", func(c call) answer {
		if c.name == "pwrite64" || c.name == "ftruncate" {
			return syscall.ENOSPC
		}
		return 0
	})
}

// While the database file is not in its place, nothing is written and /readyz says so: a restart
// would not find it. Known users keep working, and so do writes when the file is back (T-96).
func TestDatabaseMoved(t *testing.T) {
	v := newVictim(t, memoryDir(t), "")
	if !v.start() {
		t.Fatal("sidekey does not start")
	}
	createUser(t, v, "known", -1)
	createUser(t, v, "counted", 99) // nothing is reserved ahead
	admin, check := v.admin(), v.check()
	defer admin.close()
	defer check.close()
	for _, user := range []string{"known", "counted"} {
		must(t, wantOK(check.ask(user, password)))
	}
	want := func(what string, status int, text string) func(int, string, error) {
		return func(gotStatus int, gotText string, err error) {
			t.Helper()
			if err != nil || gotStatus != status || !strings.Contains(gotText, text) {
				t.Errorf("%s is answered %d %s, %v; want %d with %q", what, gotStatus, gotText, err, status, text)
			}
		}
	}
	away := filepath.Join(v.dir, "away.db")
	f := func(moved string) {
		t.Helper()
		want(moved+": readiness", 503, "its file was removed or replaced while in use")(admin.do("GET", "/readyz", ""))
		want(moved+": a write", 503, "put it back, or restart; nothing was written")(admin.do("POST", "/tyk/keys/late", `{}`))
		want(moved+": a known user", 200, "")(check.ask("known", password))
		want(moved+": who needs a reservation", 429, "Quota cannot be recorded")(check.ask("counted", password))
	}
	must(t, os.Rename(v.database(), away))
	f("removed")
	must(t, os.WriteFile(v.database(), nil, 0o600))
	f("replaced")
	must(t, os.Rename(away, v.database()))
	want("readiness, when it is back", 200, `"store":"ok"`)(admin.do("GET", "/readyz", ""))
	want("a write, when it is back", 200, "")(admin.do("POST", "/tyk/keys/late", `{}`))
	want("who needs a reservation, when it is back", 200, "")(check.ask("counted", password))
	v.stop()
}

// A real full disk: writes that find no room are refused with 507, and everything works again when
// there is room.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		testutil.CannotRun(t, fmt.Sprintf("mount: %v", err))
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	v := newVictim(t, dir, "")
	if !v.start() {
		t.Fatal("sidekey does not start")
	}
	createUser(t, v, "known", -1)
	known, stop := askOn(v, "known")
	defer stop()
	c := v.admin()
	defer c.close()
	alias := strings.Repeat("x", 200)
	var acked []string
	refused, full := 0, false
	create := func(name string) (status int, text string) {
		status, text, err := c.do("POST", "/tyk/keys/"+name, fmt.Sprintf(`{"alias": %q, "meta_data": {"size": %q}}`, alias, strings.Repeat("y", 3000)))
		must(t, err)
		return status, text
	}
	for i := 0; refused < 20; i++ {
		name := fmt.Sprintf("user-%d", i)
		status, text := create(name)
		switch {
		case status == 200:
			acked = append(acked, name)
		case (status == 507 || status == 503) && (strings.Contains(text, "may or may not") || strings.Contains(text, "nothing was written")):
			refused++
			full = full || status == 507
		default:
			t.Fatalf("on a full disk a write is answered %d %s", status, text)
		}
		if i > 5000 {
			t.Fatal("the disk does not get full")
		}
	}
	if answers, _ := known.take(); len(answers) != 1 || answers["200"] == 0 {
		t.Errorf("a known user was answered %v", answers)
	}
	there := func(when string) {
		t.Helper()
		for _, name := range acked {
			if err := wantOK(c.do("GET", "/tyk/keys/"+name, "")); err != nil {
				t.Errorf("%s: LOST: %s: %v", when, name, err)
			}
		}
	}
	if !full {
		t.Error("no write was answered 507")
	}
	there("while the disk is full")
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m,mode=0700"))
	await(t, "writes go on", func() bool { status, _ := create("late"); return status == 200 })
	there("afterwards")
	v.stop()
	t.Logf("%d writes acknowledged, then %d refused", len(acked), refused)
}

// Without a file descriptor for another connection, existing connections are served. The program
// goes on, and accepts connections as soon as there are descriptors.
func TestNoDescriptors(t *testing.T) {
	v := newVictim(t, memoryDir(t), "")
	if !v.start() {
		t.Fatal("sidekey does not start")
	}
	createUser(t, v, "known", -1)
	admin := v.admin()
	defer admin.close()
	must(t, wantOK(admin.do("POST", "/tyk/keys/other", `{}`)))
	known, stop := askOn(v, "known")
	defer stop()
	await(t, "a check", func() bool { answers, _ := known.take(); return answers["200"] > 0 })

	pid := v.cmd.Process.Pid
	open, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(pid), "fd"))
	must(t, err)
	var before unix.Rlimit
	must(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before))
	must(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)), Max: before.Max}, nil))
	var waiting []net.Conn
	for _, socket := range []string{"check", "admin"} {
		for range 5 {
			conn, err := net.Dial("unix", v.socket(socket))
			must(t, err)
			waiting = append(waiting, conn)
		}
	}
	known.take()
	time.Sleep(time.Second)
	select {
	case <-v.exited:
		t.Fatalf("sidekey has ended:\n%s", v.output.Tail(2000))
	default:
	}
	if answers, _ := known.take(); len(answers) != 1 || answers["200"] < 20 {
		t.Errorf("a known user was answered %v", answers)
	}
	for i := range 20 {
		must(t, wantOK(admin.do("POST", "/tyk/keys/other", fmt.Sprintf(`{"alias": "v%d"}`, i))))
	}
	for _, conn := range waiting {
		conn.Close()
	}
	must(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil))
	c := v.check()
	defer c.close()
	if err := wantOK(c.ask("known", password)); err != nil {
		t.Errorf("a new connection afterwards: %v", err)
	}
	v.stop()
}
