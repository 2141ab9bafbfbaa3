package main

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory makes nine tenths of what the process's control group may use the limit that
// the garbage collector keeps to, unless GOMEMLIMIT says another.
func limitMemory(log *slog.Logger) {
	if _, err := memlimit.Set(); err != nil && !errors.Is(err, memlimit.ErrNoCgroup) {
		log.Warn("the memory limit of the control group is not known", "error", err)
	}
}

// memoryEvery is how often the memory in use is looked at, at most.
const memoryEvery = 100 * time.Millisecond

// memory tells when there is too little of it for more active users.
type memory struct {
	next  atomic.Int64 // Now.Mono from which to look again
	short atomic.Bool
}

// isShort reports whether what outlived the last collection is more than three quarters of
// the memory limit. Beyond that the collector would run all the time.
func (m *memory) isShort() bool {
	at, next := now().Mono, m.next.Load()
	if at >= next && m.next.CompareAndSwap(next, at+int64(memoryEvery)) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		m.short.Store(live[0].Value.Uint64() > uint64(debug.SetMemoryLimit(-1))/4*3)
	}
	return m.short.Load()
}
