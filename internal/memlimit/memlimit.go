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

// limitMemory makes nine tenths of what the process's control group may use the limit that
// the garbage collector keeps to, unless GOMEMLIMIT says another.
func Limit(log *slog.Logger) {
	if _, err := memlimit.Set(); err != nil && !errors.Is(err, memlimit.ErrNoCgroup) {
		log.Warn("the memory limit of the control group is not known", "error", err)
	}
}

// The garbage that the collector lets gather before it runs again. Its own rule, as much as
// is in use, would keep twice the memory of each active user, though garbage comes slowly: a
// warm check makes none. So it is leastGarbage, or a seventh of what is in use; and where that
// would take more than mostShare of the processors, as with a flood of passwords that argon2id
// hashes, up to as much as is in use.
const (
	leastGarbage = 8 << 20 // bytes
	leastPercent = 15      // of the memory in use
	usualPercent = 100     // the collector's own
	mostPercent  = 200     // the runtime's least heap is 4 MiB × mostPercent/100
	mostShare    = 0.3
)

// boundGarbage has the collector keep to that from now on, unless GOGC says another.
var BoundGarbage = sync.OnceFunc(func() {
	if os.Getenv("GOGC") != "" {
		return
	}
	var g garbage
	afterEachCollection(func() { debug.SetGCPercent(g.percentNow(liveBytes(), processorTime())) })
})

// garbage is how much may gather, as it changes from collection to collection.
type garbage struct {
	percent int // of the memory in use
	before  processorSeconds
}

// processorSeconds are what was there to use of the processors, and what collecting took.
type processorSeconds struct {
	all, collecting float64
}

// percentNow is what [debug.SetGCPercent] has to be after a collection that has left so much.
func (g *garbage) percentNow(live uint64, now processorSeconds) int {
	share := (now.collecting - g.before.collecting) / (now.all - g.before.all)
	switch {
	case share > mostShare:
		g.percent = min(2*g.percent, usualPercent)
	case share < mostShare/2:
		g.percent /= 2
	}
	least := int(min(max(100*leastGarbage/max(live, 1), leastPercent), mostPercent))
	g.percent = max(g.percent, least)
	g.before = now
	return g.percent
}

func processorTime() processorSeconds {
	times := []metrics.Sample{{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(times)
	idle := times[2].Value.Float64() // what nobody else wanted to use
	return processorSeconds{all: times[0].Value.Float64(), collecting: times[1].Value.Float64() - idle}
}

// afterEachCollection calls f after each collection, soon.
func afterEachCollection(f func()) {
	// The collector frees what nothing refers to, and says so. With a pointer in it, it is
	// not put together with other small values, which may be in use for longer.
	runtime.AddCleanup(new(*byte), func(struct{}) {
		f()
		afterEachCollection(f)
	}, struct{}{})
}

// liveBytes is what outlived the last collection.
func liveBytes() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

// memoryEvery is how often the memory in use is looked at, at most.
const memoryEvery = 100 * time.Millisecond

var started = time.Now()

// memory tells when there is too little of it for more active users.
type Watch struct {
	next  atomic.Int64 // time since started from which to look again
	short atomic.Bool
}

// isShort reports whether what outlived the last collection is more than three quarters of
// the memory limit. Beyond that the collector would run all the time.
func (m *Watch) IsShort() bool {
	at, next := int64(time.Since(started)), m.next.Load()
	if at >= next && m.next.CompareAndSwap(next, at+int64(memoryEvery)) {
		m.short.Store(liveBytes() > uint64(debug.SetMemoryLimit(-1))/4*3)
	}
	return m.short.Load()
}
