// Package memlimit keeps the process within the memory that it may use: it tells the garbage
// collector the limit, bounds the garbage, and reports when memory is short.
package memlimit

import (
	"errors"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Limit sets the limit of the garbage collector to nine tenths of what the control group of the
// process may use, unless GOMEMLIMIT is set.
func Limit(log *slog.Logger) {
	if _, err := memlimit.Set(); err != nil && !errors.Is(err, memlimit.ErrNoCgroup) {
		log.Warn("cannot read the memory limit of the control group", "error", err)
	}
}

// How much garbage the collector allows before it runs again. Its own rule, as much as is in use,
// would take twice the memory of each active user, although garbage comes slowly: a warm check
// makes none. So we allow minGarbage, or a seventh of what is in use. If collecting would take more
// than maxShare of the processors, such as in a flood of passwords that argon2id hashes, we allow up
// to as much as is in use.
const (
	minGarbage   = 8 << 20 // bytes
	minPercent   = 15      // of the memory in use
	usualPercent = 100     // the collector's own
	maxPercent   = 200     // the runtime's smallest heap is 4 MiB × maxPercent/100
	maxShare     = 0.3
)

// BoundGarbage makes the collector follow that rule from now on, unless GOGC is set.
var BoundGarbage = sync.OnceFunc(func() {
	if os.Getenv("GOGC") != "" {
		return
	}
	var g garbage
	afterEachCollection(func() { debug.SetGCPercent(g.percentNow(liveBytes(), processorTime())) })
})

// garbage is how much garbage is allowed; it changes with each collection.
type garbage struct {
	percent int // of the memory in use
	before  processorSeconds
}

// processorSeconds are the processor time that was available and the part that collecting took.
type processorSeconds struct {
	all, collecting float64
}

// percentNow returns the argument of [debug.SetGCPercent] after a collection that left live bytes.
func (g *garbage) percentNow(live uint64, now processorSeconds) int {
	share := (now.collecting - g.before.collecting) / (now.all - g.before.all)
	switch {
	case share > maxShare:
		g.percent = min(2*g.percent, usualPercent)
	case share < maxShare/2:
		g.percent /= 2
	}
	least := int(min(max(100*minGarbage/max(live, 1), minPercent), maxPercent))
	g.percent = max(g.percent, least)
	g.before = now
	return g.percent
}

func processorTime() processorSeconds {
	times := []metrics.Sample{{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(times)
	idle := times[2].Value.Float64() // which no other work could use
	return processorSeconds{all: times[0].Value.Float64(), collecting: times[1].Value.Float64() - idle}
}

// afterEachCollection calls f soon after each collection.
func afterEachCollection(f func()) {
	// The collector runs the cleanup of a value that nothing refers to. The value contains a
	// pointer, so that the allocator does not combine it with other small values, which may
	// live longer.
	runtime.AddCleanup(new(*byte), func(struct{}) {
		f()
		afterEachCollection(f)
	}, struct{}{})
}

// liveBytes returns the bytes that survived the last collection.
func liveBytes() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

// watchInterval is how long an answer of a Watch is reused.
const watchInterval = 100 * time.Millisecond

var started = time.Now()

// Watch tells when memory is too short for more active users. The zero value is ready to use.
type Watch struct {
	next  atomic.Int64 // time since started after which to look again
	short atomic.Bool
}

// IsShort reports whether more than three quarters of the memory limit survived the last
// collection. Beyond that the collector would run all the time.
func (m *Watch) IsShort() bool {
	at, next := int64(time.Since(started)), m.next.Load()
	if at >= next && m.next.CompareAndSwap(next, at+int64(watchInterval)) {
		m.short.Store(liveBytes() > uint64(debug.SetMemoryLimit(-1))/4*3)
	}
	return m.short.Load()
}
