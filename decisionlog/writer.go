package decisionlog

import (
	"bytes"
	"io"
	"time"
)

// writer is the one goroutine that writes.
type writer struct {
	*Log
	out io.WriteCloser

	rest   []byte // a buffer that could not be written; nil: none
	at     int    // how much of rest has been written
	broken bool   // the last write failed, and the program's log was told

	noticed  time.Time // when the program's log was last told of dropped lines
	reported int64     // how many it was told of
}

func (w *writer) run() {
	defer close(w.stopped)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	w.begin()
	for {
		full := w.full
		if w.rest != nil {
			full = nil // first what could not be written
		}
		select {
		case b := <-full:
			w.write(b, 0)
		case now := <-tick.C:
			w.turn()
			w.flush()
			if now.Sub(w.noticed) >= noticeEvery {
				w.report(now)
			}
		case <-w.stopping:
			w.turn()
			w.flush()
			w.abandon()
			w.report(time.Now())
			w.out.Close()
			return
		}
	}
}

// begin makes sure that a file's next line is a line of its own. Where that cannot be
// found out, at worst one line is glued to one that was cut.
func (w *writer) begin() {
	if err := endLine(w.out); err != nil {
		w.log.Warn("the end of the decision log cannot be read", "error", err)
	}
}

// turn goes on with a new file where there is one.
func (w *writer) turn() {
	w.mu.Lock()
	next := w.next
	w.next = nil
	w.mu.Unlock()
	if next == nil {
		return
	}
	w.out.Close()
	w.out = next
	w.begin()
	if w.at > 0 && w.rest[w.at-1] != '\n' {
		// The other file has the beginning of this line.
		w.dropped.Add(1)
		w.at += bytes.IndexByte(w.rest[w.at:], '\n') + 1
	}
}

// flush writes everything that is there.
func (w *writer) flush() {
	if w.rest != nil && !w.write(w.rest, w.at) {
		return
	}
	for more := true; more; {
		select {
		case b := <-w.full:
			more = w.write(b, 0)
		default:
			more = false
		}
	}
	for i := range w.parts {
		if w.rest != nil {
			return
		}
		if b := w.parts[i].take(); b != nil {
			w.write(b, 0)
		}
	}
}

// take takes the buffer of a part, or nil where there is nothing in it.
func (p *part) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == 0 {
		return nil
	}
	b := p.lines
	p.lines = nil
	return b
}

// write writes a buffer from a place on and frees it, or keeps it to be written later.
func (w *writer) write(b []byte, at int) bool {
	n, err := w.out.Write(b[at:])
	w.written.Add(int64(bytes.Count(b[at:at+n], []byte{'\n'})))
	if err != nil {
		if !w.broken {
			w.broken = true
			w.log.Error("the decision log cannot be written; decisions go on", "error", err)
		}
		w.rest, w.at = b, at+n
		return false
	}
	if w.broken {
		w.broken = false
		w.log.Info("the decision log is written again")
	}
	w.rest, w.at = nil, 0
	w.free <- b[:0]
	return true
}

// abandon counts what is left when nothing more will be written.
func (w *writer) abandon() {
	lost := bytes.Count(w.rest[w.at:], []byte{'\n'})
	for len(w.full) > 0 {
		lost += bytes.Count(<-w.full, []byte{'\n'})
	}
	for i := range w.parts {
		lost += bytes.Count(w.parts[i].take(), []byte{'\n'})
	}
	w.dropped.Add(int64(lost))
}

// report tells the program's log of lines that were dropped since the last time.
func (w *writer) report(now time.Time) {
	dropped := w.dropped.Load()
	if dropped == w.reported {
		return
	}
	w.log.Warn("the decision log could not keep up; lines were dropped", "dropped", dropped-w.reported, "dropped_in_all", dropped)
	w.noticed, w.reported = now, dropped
}
