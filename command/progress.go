package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress is a bar on a terminal that appears if an operation takes longer than a second.
type progress struct {
	out   io.Writer // nil: not a terminal, so no bar
	what  string
	total int

	mu    sync.Mutex // protects the rest
	count int
	next  time.Time // the next time to draw the bar
	drawn bool
}

const (
	patience = time.Second // before the bar appears
	redraw   = 100 * time.Millisecond
	barWidth = 30
)

func newProgress(out io.Writer, what string, total int) *progress {
	p := &progress{what: what, total: total, next: time.Now().Add(patience)}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out = out
	}
	return p
}

// add counts n more items and draws the bar if it is time.
func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count += n
	now := time.Now()
	if p.out == nil || now.Before(p.next) {
		return
	}
	p.next, p.drawn = now.Add(redraw), true
	done := barWidth * p.count / max(1, p.total)
	fmt.Fprintf(p.out, "\r%s [%s%s] %d of %d", p.what, strings.Repeat("#", done), strings.Repeat(".", barWidth-done), p.count, p.total)
}

// end removes the bar.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
