package decisionlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sidekey/auth"
	"sidekey/auth/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk is a file that fails and stalls on demand.
type disk struct {
	mu     sync.Mutex
	text   bytes.Buffer
	room   int           // bytes until it is full; < 0: never
	stall  chan struct{} // a write waits until it is closed; nil: none does
	closed bool
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	stall := d.stall
	d.mu.Unlock()
	if stall != nil {
		<-stall
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room >= 0 && len(p) > d.room {
		n, _ := d.text.Write(p[:d.room])
		d.room = 0
		return n, errors.New("no space left on device")
	}
	if d.room >= 0 {
		d.room -= len(p)
	}
	return d.text.Write(p)
}

func (d *disk) Close() error { d.closed = true; return nil }

func (d *disk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

func (d *disk) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// wholeLines checks that text is lines of JSON and returns their number.
func wholeLines(t *testing.T, text string) (n int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("no whole line: %.300q", line)
		}
		n++
	}
	return n
}

var everything = Config{Decisions: "all", Sample: 1}

func stop(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// Lines are written soon, and all of them before the log has stopped.
func TestLogFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: -1}
		l := start(everything, d, slog.New(slog.DiscardHandler))
		l.Observe(decision("alice"))
		if d.String() != "" {
			t.Error("a decision waits for the disk")
		}
		time.Sleep(flushEvery)
		synctest.Wait()
		if n := wholeLines(t, d.String()); n != 1 {
			t.Errorf("%d lines after %v", n, flushEvery)
		}
		l.Observe(decision("bob"))
		stop(t, l)
		if n := wholeLines(t, d.String()); n != 2 || !d.closed {
			t.Errorf("%d lines at the end, closed: %t", n, d.closed)
		}
	})
}

// While the disk stalls, nothing waits for it, memory is bounded, and lines without room are
// dropped whole and counted.
func TestLogStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		d := &disk{room: -1, stall: make(chan struct{})}
		l := start(everything, d, slog.New(slog.NewTextHandler(&said, nil)))
		size := len(appendLine(nil, decision("alice"), false))
		n := 2 * maxBuffers * bufferSize / size
		began := time.Now()
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				d := decision("alice")
				for range n / 4 {
					l.Observe(d)
				}
			})
		}
		group.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("decisions waited %v", took)
		}
		if made := l.made.Load(); made > maxBuffers {
			t.Errorf("%d buffers", made)
		}
		if dropped := l.Counts().Dropped; dropped < int64(n/4) || dropped > int64(n*3/4) {
			t.Errorf("%d of %d dropped, want about half", dropped, n)
		}
		close(d.stall)
		d.change(func() { d.stall = nil })
		stop(t, l)
		written := wholeLines(t, d.String())
		if c := l.Counts(); c.Written != int64(written) || c.Written+c.Dropped != int64(n/4*4) {
			t.Errorf("%+v and %d lines, of %d", c, written, n)
		}
		if strings.Count(said.String(), "lines were dropped") != 1 {
			t.Errorf("the log says: %s", &said)
		}
	})
}

// A full disk is logged once; when there is room again, the line that was cut continues, and
// nothing is lost.
func TestLogFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		d := &disk{room: 1000}
		l := start(everything, d, slog.New(slog.NewTextHandler(&said, nil)))
		const n = 100
		for range n {
			l.Observe(decision("alice"))
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		if text := d.String(); len(text) != 1000 || strings.HasSuffix(text, "\n") {
			t.Errorf("the disk took %d bytes", len(text))
		}
		if got := strings.Count(said.String(), "cannot write the decision log"); got != 1 {
			t.Errorf("noted %d times: %s", got, &said)
		}
		d.change(func() { d.room = -1 })
		stop(t, l)
		if got := wholeLines(t, d.String()); got != n || l.Counts() != (Counts{Written: n}) {
			t.Errorf("%d lines of %d, %+v", got, n, l.Counts())
		}
	})
}

// A new file begins with a whole line, even if the previous one ended within a line.
func TestLogTurnsWithinALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, next := &disk{room: 1000}, &disk{room: -1}
		l := start(everything, full, slog.New(slog.DiscardHandler))
		for range 100 {
			l.Observe(decision("alice"))
		}
		time.Sleep(flushEvery)
		synctest.Wait()
		l.mu.Lock()
		l.next = next
		l.mu.Unlock()
		time.Sleep(flushEvery)
		synctest.Wait()
		before := strings.Count(full.String(), "\n")
		if got := wholeLines(t, next.String()); got != 100-before-1 || !full.closed {
			t.Errorf("%d lines in the one, %d in the other", before, got)
		}
		stop(t, l)
		if got := l.Counts(); got != (Counts{Written: 99, Dropped: 1}) {
			t.Errorf("%+v", got)
		}
	})
}

// Stop does not wait longer than its context.
func TestLogStopsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: -1, stall: make(chan struct{})}
		l := start(everything, d, slog.New(slog.DiscardHandler))
		l.Observe(decision("alice"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		if err := l.Stop(ctx); err == nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(d.stall)
		<-l.stopped
	})
}

// Lines that are left because the disk fails to the end are counted as dropped.
func TestLogCountsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(everything, &disk{room: 0}, slog.New(slog.DiscardHandler))
		for range 5000 {
			l.Observe(decision("alice"))
		}
		stop(t, l)
		if got := l.Counts(); got != (Counts{Dropped: 5000}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestLogWants(t *testing.T) {
	l := start(Config{}, &disk{room: -1}, slog.New(slog.DiscardHandler))
	defer stop(t, l)
	passed := auth.Verdict{Named: account(session.Session{}, "alice")}
	refused := auth.Verdict{Reason: auth.RateExceeded, Named: passed.Named}
	detailed := auth.Verdict{Named: account(session.Session{EnableDetailedRecording: true}, "bob")}
	f := func(decisions string, sample float64, wantPassed, wantRefused int) {
		t.Helper()
		l.config.Store(&Config{Decisions: decisions, Sample: sample})
		const n = 10_000
		var p, r int
		for range n {
			if l.Wants(passed) {
				p++
			}
			if l.Wants(refused) {
				r++
			}
			if !l.Wants(detailed) {
				t.Fatal("detailed recording is not always wanted")
			}
		}
		about := func(got, want int) bool { return got >= want-5 && got <= want+5 }
		if !about(p*100/n, wantPassed) || !about(r*100/n, wantRefused) {
			t.Errorf("%s, sample %v: %d of the passed and %d of the refused of %d", decisions, sample, p, r, n)
		}
	}
	f("none", 1, 0, 0)
	f("refused", 1, 0, 100)
	f("all", 1, 100, 100)
	f("all", 0.25, 25, 25)
	f("refused", 0.5, 0, 50)
	f("all", 0, 0, 0)
}

// If a file ends within a line, the next line starts a new one.
func TestOpenEndsALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	if err := os.WriteFile(path, []byte("{}\n{\"cut\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := Open(Config{File: path, Decisions: "all", Sample: 1}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		l.Observe(decision("alice"))
		stop(t, l)
	}
	text, _ := os.ReadFile(path)
	after, found := strings.CutPrefix(string(text), "{}\n{\"cut\":\n")
	if !found || wholeLines(t, after) != 2 {
		t.Errorf("got %q", text)
	}
}

// Reloads while lines are written neither lose nor cut any.
func TestPrepareLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "decisions.log")
	c := Config{File: path, Decisions: "all", Sample: 1}
	l, err := Open(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const n = 20_000
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			d := decision("alice")
			for range n / 4 {
				l.Observe(d)
			}
		})
	}
	for i := range 5 {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Error(err)
		}
		use, err := l.Prepare(c)
		if err != nil {
			t.Fatal(err)
		}
		use()
	}
	group.Wait()
	stop(t, l)
	files, _ := filepath.Glob(path + "*")
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		total += wholeLines(t, string(text))
	}
	if total != n || l.Counts() != (Counts{Written: n}) {
		t.Errorf("%d lines of %d, %+v", total, n, l.Counts())
	}
	if _, err := l.Prepare(Config{File: filepath.Join(dir, "no", "folder")}); err == nil {
		t.Error("a file that cannot be opened was taken")
	}
}
