// Package decisionlog writes a line of JSON for each decision that is to be recorded.
//
// A decision never waits for the disk: lines are gathered in buffers, and one goroutine
// writes them. While it cannot keep up, the buffers fill, and then lines are dropped,
// whole, and counted. Lines of requests at the same time may stand in any order.
package decisionlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"sidekey/auth"
	"sidekey/check"
)

// Config says what is recorded, and where. See sidecar.toml.
type Config struct {
	File         string  // "" is stdout
	Decisions    string  // "none", "refused" or "all"
	Sample       float64 // share of these that are written, 0 to 1
	UnknownUsers bool    // name users that do not exist
}

// Counts are what became of the lines so far.
type Counts struct {
	Written int64 // handed to the file, whole
	Dropped int64
}

const (
	// flushEvery is the longest that a line waits before it is written.
	flushEvery = 200 * time.Millisecond
	// bufferSize holds any line: see maxField and maxHeaders, and the limits of a session.
	bufferSize = 256 << 10
	// maxBuffers bounds the memory of lines that are not written yet: 16 MiB.
	maxBuffers = 64
	// noticeEvery is how often the program's log may be told that lines are lost.
	noticeEvery = time.Minute
)

// Log is a [check.Observer] that records decisions.
type Log struct {
	config atomic.Pointer[Config]
	log    *slog.Logger // of the program

	parts []part
	full  chan []byte // buffers to be written; has room for all there are
	free  chan []byte // buffers to be filled; has room for all there are
	made  atomic.Int64

	written, dropped atomic.Int64

	mu   sync.Mutex     // protects next
	next io.WriteCloser // takes the place of what is written to; nil: nothing does

	stopping chan struct{}
	stopped  chan struct{}
}

// part is one of several buffers that are being filled, so that requests on different
// processors rarely meet at its lock.
type part struct {
	mu    sync.Mutex
	lines []byte   // nil: has no buffer
	_     [64]byte // to the next processor's cache line
}

// Open starts a log. It fails where the file cannot be written to.
func Open(c Config, log *slog.Logger) (*Log, error) {
	out, err := open(c.File)
	if err != nil {
		return nil, fmt.Errorf("log.file: %w", err)
	}
	return start(c, out, log), nil
}

func start(c Config, out io.WriteCloser, log *slog.Logger) *Log {
	l := &Log{
		log:      log,
		parts:    make([]part, 8),
		full:     make(chan []byte, maxBuffers),
		free:     make(chan []byte, maxBuffers),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	l.config.Store(&c)
	w := writer{Log: l, out: out}
	go w.run()
	return l
}

// Prepare opens the file of a configuration, even where it is the file in use: it may
// have been moved away to be rotated. The configuration is in force, and the file takes
// the place of the one before, when use is called, which it must be.
func (l *Log) Prepare(c Config) (use func(), err error) {
	out, err := open(c.File)
	if err != nil {
		return nil, fmt.Errorf("log.file: %w", err)
	}
	return func() {
		l.config.Store(&c)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.next != nil {
			l.next.Close() // was never written to
		}
		l.next = out
	}, nil
}

// Counts returns what became of the lines so far.
func (l *Log) Counts() Counts {
	return Counts{Written: l.written.Load(), Dropped: l.dropped.Load()}
}

// Wants is [check.Observer]. Users with detailed recording are recorded whatever the
// configuration says of the others.
func (l *Log) Wants(v auth.Verdict) bool {
	if v.Named != nil && v.Named.Detailed() {
		return true
	}
	c := l.config.Load()
	switch {
	case c.Decisions == "none", c.Decisions == "refused" && v.Reason == auth.Pass:
		return false
	}
	return c.Sample >= 1 || rand.Float64() < c.Sample
}

var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Observe is [check.Observer].
func (l *Log) Observe(r *check.Record) {
	line := scratch.Get().(*[]byte)
	*line = appendLine((*line)[:0], r, l.config.Load().UnknownUsers)
	if !l.add(*line) {
		l.dropped.Add(1)
	}
	if cap(*line) <= 8<<10 { // a rare long one is not kept
		scratch.Put(line)
	}
}

// add copies a line into a buffer, and reports whether there was room.
func (l *Log) add(line []byte) bool {
	p := l.lock()
	defer p.mu.Unlock()
	if len(p.lines)+len(line) > cap(p.lines) && !l.renew(p) || len(line) > cap(p.lines) {
		return false
	}
	p.lines = append(p.lines, line...)
	return true
}

// lock takes the first part that nobody else is at: lines of requests that follow each
// other stand in their order.
func (l *Log) lock() *part {
	for i := range l.parts {
		if p := &l.parts[i]; p.mu.TryLock() {
			return p
		}
	}
	p := &l.parts[rand.IntN(len(l.parts))]
	p.mu.Lock()
	return p
}

// renew hands the buffer of p, whose lock is held, to the writer and gives it an empty
// one. It reports false where there is none, and leaves p as it is.
func (l *Log) renew(p *part) bool {
	var empty []byte
	select {
	case empty = <-l.free:
	default:
		if l.made.Add(1) > maxBuffers {
			l.made.Add(-1)
			return false
		}
		empty = make([]byte, 0, bufferSize)
	}
	if p.lines != nil {
		l.full <- p.lines
	}
	p.lines = empty
	return true
}

// Stop writes what there is, closes the file, and returns when that is done or ctx ends.
// Nothing may be observed any more.
func (l *Log) Stop(ctx context.Context) error {
	close(l.stopping)
	select {
	case <-l.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("decision log: what was left could not be written: %w", ctx.Err())
	}
}
