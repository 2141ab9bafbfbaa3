//go:build !race

package decisionlog

import (
	"log/slog"
	"testing"
)

// Recording a decision allocates nothing.
func TestAllocObserve(t *testing.T) {
	l := start(everything, &disk{room: 0}, slog.New(slog.DiscardHandler))
	defer stop(t, l)
	d := decision("alice")
	n := testing.AllocsPerRun(2000, func() {
		if l.Wants(d.Verdict) {
			l.Observe(d)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
