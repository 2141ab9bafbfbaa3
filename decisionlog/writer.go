package decisionlog

import (
	"bytes"
	"io"
	"time"
)

// writer is the only goroutine that writes to the file.
type writer struct {
	*Log
	out io.WriteCloser

	rest   []byte // a buffer that could not be written; nil: none
	at     int    // number of bytes of rest that were written
	broken bool   // the last write failed, and the program's log says so

	noticed  time.Time // when dropped lines were last logged
	reported int64     // how many dropped lines were logged
}

func (w *writer) run() {
	defer close(w.stopped)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	w.begin()
	for {
		full := w.full
		if w.rest != nil {
			full = nil // rest comes first
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

// begin makes sure that the next line starts a line of the file. If it cannot read the end of the
// file, at worst one line is joined to one that was cut.
func (w *writer) begin() {
	if err := endLine(w.out); err != nil {
		w.log.Warn("cannot read the end of the decision log", "error", err)
	}
}

// turn switches to the next file if there is one.
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
		// The previous file has the beginning of this line.
		w.dropped.Add(1)
		w.at += bytes.IndexByte(w.rest[w.at:], '\n') + 1
	}
}

// flush writes all lines.
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

// take takes the buffer of a part, or nil if it is empty.
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

// write writes a buffer from an offset on and frees it. If that fails, it keeps the buffer for
// later and reports false.
func (w *writer) write(b []byte, at int) bool {
	n, err := w.out.Write(b[at:])
	w.written.Add(int64(bytes.Count(b[at:at+n], []byte{'\n'})))
	if err != nil {
		if !w.broken {
			w.broken = true
			w.log.Error("cannot write the decision log; decisions continue without it", "error", err)
		}
		w.rest, w.at = b, at+n
		return false
	}
	if w.broken {
		w.broken = false
		w.log.Info("writing the decision log works again")
	}
	w.rest, w.at = nil, 0
	w.free <- b[:0]
	return true
}

// abandon counts the lines that will not be written as dropped.
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

// report logs how many lines were dropped since the last report.
func (w *writer) report(now time.Time) {
	dropped := w.dropped.Load()
	if dropped == w.reported {
		return
	}
	w.log.Warn("the decision log cannot keep up: lines were dropped", "dropped", dropped-w.reported, "dropped_total", dropped)
	w.noticed, w.reported = now, dropped
}
