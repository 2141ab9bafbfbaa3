package crash

import (
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sidekey/store/bolt"
)

// event is one entry of a recording: a call that happened or failed, or an action of a writer.
type event struct {
	call    call
	failed  bool
	subject *subject // of a writer
	acked   bool     // its version is acknowledged; else it is about to be sent
	version int
}

// recording is the sequence of what a program did to its disk and told its clients.
type recording struct {
	mu     sync.Mutex
	events []event
}

func (r *recording) add(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// record runs the program under load and compactions, and kills it again and again: at any call; in
// some rounds after a failed sync; in others when a compaction has replaced the old file and has
// not synced the folder.
func record(t *testing.T, rounds int) (*recording, string, []*subject) {
	random := newRandom(t)
	v := newVictim(t, memoryDir(t), "")
	r := &recording{}
	list := subjects()
	j := journal{
		tried: func(s *subject, n int) { r.add(event{subject: s, version: n}) },
		acked: func(s *subject, n int) {
			// not before the call that may have caused it is recorded
			v.supervisor.one.Lock()
			defer v.supervisor.one.Unlock()
			r.add(event{subject: s, version: n, acked: true})
		},
	}
	fails := 0
	for round := range rounds {
		var k killer
		k.arm(v, 30+random.IntN(200))
		failAt := int64(-1)
		switch round % 3 {
		case 1:
			failAt = 5 + random.Int64N(40)
		case 2:
			k.at.Store(never)
		}
		kill := v.supervise.decide
		var syncs atomic.Int64
		v.supervise.decide = func(c call) answer {
			if a := kill(c); a != 0 {
				return a
			}
			if strings.HasSuffix(c.name, "sync") && syncs.Add(1) == failAt {
				fails++
				r.add(event{call: c, failed: true})
				return syscall.EIO
			}
			return 0
		}
		v.supervise.allowed = func(c call) {
			r.add(event{call: c})
			if c.name == "renameat" && k.at.Load() == never {
				k.at.Store(k.calls.Load() + 1)
			}
		}
		v.supervise.withData = true
		if v.start() {
			// A reader gets the data that is there now.
			for _, s := range list {
				if round > 0 {
					n, ok, err := s.get(v.admin())
					if err != nil {
						break
					}
					if ok && s.matches(n, s.acked) {
						j.ack(s, s.acked)
					}
				}
			}
			load(t, v, list, &j)
		} else if k.killed.Load() == nil {
			t.Fatalf("sidekey does not start:\n%s", v.output.Tail(2000))
		}
		v.kill()
		if !verify(t, v.database(), list) {
			t.Fatalf("after a kill at %v", k.killed.Load())
		}
	}
	t.Logf("recorded %d events over %d kills and %d failed syncs, %d writes acknowledged", len(r.events), rounds, fails, j.acks.Load())
	return r, v.database(), list
}

// cut is one moment at which the power may fail: what may be on the disk, and what the clients
// know.
type cut struct {
	files  []fileCut // that the name of the database may lead to
	absent bool      // the name may be missing
	list   []subject // as they were
	acks   int64     // writes acknowledged so far
	at     int
}

type fileCut struct {
	file
	choices []choice
}

// After a power cut, at any moment and whatever the disk made of unsynced writes, everything
// acknowledged is there, and nothing is there in part.
func TestPowerCut(t *testing.T) {
	var images, acks, syncs, compactions, renames int64
	started := time.Now()
	for images < int64(size(5_000, 120_000)) && !t.Failed() {
		r, path, list := record(t, 9)
		cuts := make(chan cut, 64)
		var checked atomic.Int64
		var group sync.WaitGroup
		for range runtime.NumCPU() {
			dir := memoryDir(t)
			group.Go(func() {
				for c := range cuts {
					checked.Add(c.check(t, dir))
				}
			})
		}
		acks += r.replay(t, path, list, func(c cut) {
			syncs++
			if len(c.files) > 1 {
				renames++
			}
			cuts <- c
		})
		compactions += r.compactions(path)
		close(cuts)
		group.Wait()
		images += checked.Load()
	}
	t.Logf("%d different images at %d syncs, %d of them while the name may be the old or the new file's, after %d compactions; %d writes acknowledged, 0 lost, 0 served wrong, in %v",
		images, syncs, renames, compactions, acks, time.Since(started).Round(time.Second))
	if renames == 0 {
		t.Error("no compaction was cut")
	}
}

// compactions returns how often a new file replaced the database.
func (r *recording) compactions(path string) (n int64) {
	for _, e := range r.events {
		if e.call.name == "renameat" && e.call.target == path {
			n++
		}
	}
	return n
}

// replay goes through a recording and stops before each sync, when most may be lost. It returns the
// number of acknowledged writes.
func (r *recording) replay(t *testing.T, path string, list []*subject, stop func(cut)) (acks int64) {
	random := newRandom(t)
	d := newDisk(path)
	position := make(map[*subject]*subject, len(list))
	for _, s := range list {
		position[s] = &subject{name: s.name, policy: s.policy, login: s.login}
	}
	for i, e := range r.events {
		switch {
		case e.subject != nil && e.acked:
			p := position[e.subject]
			p.acked, p.tried = e.version, max(p.tried, e.version)
			acks++
		case e.subject != nil:
			p := position[e.subject]
			p.tried = max(p.tried, e.version)
		case strings.HasSuffix(e.call.name, "sync"):
			files, absent := d.possible()
			c := cut{absent: absent, acks: acks, at: i}
			for _, f := range files {
				c.files = append(c.files, fileCut{f, f.choices(random, size(60, 400))})
			}
			for _, s := range list {
				c.list = append(c.list, *position[s])
			}
			stop(c)
			if e.failed {
				d.failSync(e.call.path)
			} else {
				d.happen(e.call)
			}
		default:
			d.happen(e.call)
		}
	}
	return acks
}

// check builds the images of a cut in a folder and opens each of them.
func (c *cut) check(t *testing.T, dir string) (images int64) {
	seen := make(map[uint64]bool)
	seed := maphash.MakeSeed()
	data := filepath.Join(dir, "data")
	path := filepath.Join(data, "sidekey.db")
	if c.absent {
		images++
		if c.acks > 0 {
			t.Errorf("a power cut at event %d: LOST: the database's name is not on the disk", c.at)
		}
	}
	for i, f := range c.files {
		for _, chosen := range f.choices {
			content := f.image(chosen)
			hash := maphash.Bytes(seed, content.data) ^ uint64(content.size)
			if seen[hash] {
				continue
			}
			seen[hash] = true
			images++
			if err := errors.Join(os.RemoveAll(data), os.Mkdir(data, 0o700), os.WriteFile(path, content.data, 0o600), os.Truncate(path, content.size)); err != nil {
				t.Error(err)
				return images
			}
			if err := c.verify(path); err != nil {
				t.Errorf("a power cut at event %d, the name is that of file %d of %d, of %d chunks not synced and %d in limbo are on the disk %x: %v",
					c.at, i+1, len(c.files), len(f.pending), len(f.limbo), chosen, err)
				return images
			}
		}
	}
	return images
}

func (c *cut) verify(path string) error {
	db, err := bolt.Open(path, quiet)
	if err != nil {
		return fmt.Errorf("LOST: the database cannot be opened: %w", err)
	}
	defer db.Close()
	for i := range c.list {
		if _, err := c.list[i].problem(db, c.list[i].acked, c.list[i].tried); err != nil {
			return err
		}
	}
	return nil
}
