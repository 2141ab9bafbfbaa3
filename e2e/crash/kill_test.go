package crash

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// killer kills a victim at the n-th call that changes the files of the database.
type killer struct {
	victim *victim
	at     atomic.Int64 // 0 = never

	calls  atomic.Int64
	killed atomic.Pointer[call] // the call that it was killed at
}

const never = math.MaxInt64

func (k *killer) decide(c call) answer {
	if k.calls.Add(1) != k.at.Load() {
		if k.killed.Load() != nil {
			return killed
		}
		return 0
	}
	k.killed.Store(&c)
	k.victim.cmd.Process.Kill()
	return killed
}

// arm makes the next process die at its n-th call.
func (k *killer) arm(v *victim, n int) {
	k.victim = v
	k.at.Store(int64(n))
	k.calls.Store(0)
	k.killed.Store(nil)
	v.supervise = supervision{decide: k.decide, about: isDatabase(v.database())}
}

// isDatabase reports whether a call changes the database, its name or its folder.
func isDatabase(path string) func(string) bool {
	dir := filepath.Dir(path)
	return func(p string) bool {
		return p == dir || p == filepath.Dir(dir) || strings.HasPrefix(p, path) && !strings.HasSuffix(p, ".pid")
	}
}

// After a kill at any call, everything acknowledged is there, and nothing is there in part.
func TestKillAtEveryCall(t *testing.T) {
	dir := memoryDir(t)
	v := newVictim(t, dir, "")
	list := subjects()
	var j journal
	var points int
	at := make(map[string]int)
	random := newRandom(t)
	started := time.Now()
	for want := size(150, 10_000); points < want; {
		var k killer
		// From the first call of a process to the middle of its load.
		k.arm(v, 1+random.IntN(90))
		if !v.start() {
			if c := k.killed.Load(); c == nil {
				t.Fatalf("sidekey does not start:\n%s", v.output.Tail(2000))
			}
		} else {
			load(t, v, list, &j)
		}
		v.kill()
		c := k.killed.Load()
		if c == nil {
			t.Fatalf("the load ended before call %d", k.at.Load())
		}
		points++
		at[c.name]++
		if !verify(t, v.database(), list) {
			t.Fatalf("after a kill at %v", c)
		}
	}
	t.Logf("%d kill points (%v), %d writes acknowledged, 0 lost, 0 half-applied, in %v", points, at, j.acks.Load(), time.Since(started).Round(time.Second))
	if j.acks.Load() < int64(points) {
		t.Errorf("only %d writes were acknowledged between the kills", j.acks.Load())
	}
}

// load writes all subjects, sends checks of users who log in, and compacts at times, until the
// process has ended.
func load(t testing.TB, v *victim, list []*subject, j *journal) {
	var group sync.WaitGroup
	group.Go(func() {
		c := v.admin()
		defer c.close()
		for {
			if _, _, err := c.do("POST", "/api/compact", ""); err != nil {
				return
			}
			time.Sleep(time.Millisecond) // leave most of the time to writes
		}
	})
	for _, s := range list {
		group.Go(func() {
			if err := s.writeOn(v.admin(), j); err != nil {
				t.Error(err)
				v.cmd.Process.Kill()
			}
		})
		if s.login {
			group.Go(func() { // so that quotas are written too
				c := v.check()
				defer c.close()
				for {
					if _, _, err := c.ask(s.name, password); err != nil {
						return
					}
				}
			})
		}
	}
	group.Wait()
}

// A process that is killed at any call of its first start leaves nothing that disturbs the next
// start.
func TestKillAtFirstStart(t *testing.T) {
	var names []string
	for n := 1; ; n++ {
		dir := memoryDir(t)
		v := newVictim(t, dir, "")
		var k killer
		k.arm(v, n)
		v.supervise.writes = true
		v.supervise.about = func(path string) bool { return strings.HasPrefix(path, dir) }
		v.start()
		if k.at.Store(0); k.killed.Load() == nil {
			v.stop()
			break
		}
		v.kill()
		at := k.killed.Load()
		names = append(names, at.name)
		v.supervise = supervision{}
		if !v.start() {
			t.Fatalf("killed at call %d, %v, of its first start, sidekey does not start again:\n%s", n, at, v.output.Tail(2000))
		}
		s := &subject{name: "alice"}
		if status, text, err := s.write(v.admin(), 1); err != nil || status != 200 {
			t.Errorf("killed at call %d of its first start: a write is answered %d %s, %v", n, status, text, err)
		}
		v.stop()
		if left, _ := filepath.Glob(v.database() + ".new-*"); len(left) > 1 {
			t.Errorf("left behind: %v", left)
		}
		os.RemoveAll(dir)
	}
	if !slices.Contains(names, "linkat") || !slices.Contains(names, "write") {
		t.Errorf("killed at %v only", names)
	}
	t.Logf("%d kill points: %s", len(names), strings.Join(names, " "))
}
