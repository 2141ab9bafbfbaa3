package memlimit

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"sidekey/internal/testutil"
)

func TestMemoryIsShort(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	f := func(limit int64, want bool) {
		t.Helper()
		debug.SetMemoryLimit(limit)
		runtime.GC()
		var m Watch
		if got := m.IsShort(); got != want {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
	held := make([]byte, 8<<20)
	f(math.MaxInt64, false)
	f(10<<30, false)
	f(9<<20, true)
	runtime.KeepAlive(held)

	// The answer is reused for a while.
	debug.SetMemoryLimit(math.MaxInt64)
	var m Watch
	m.IsShort()
	debug.SetMemoryLimit(1)
	if m.IsShort() {
		t.Error("measured again at once")
	}
}

func TestGarbagePercent(t *testing.T) {
	var g garbage
	var now processorSeconds
	f := func(live uint64, share float64, want int) {
		t.Helper()
		now.all += 2
		now.collecting += 2 * share
		if got := g.percentNow(live, now); got != want {
			t.Errorf("%d bytes in use, %v of the processors: %d, want %d", live, share, got, want)
		}
	}
	f(0, 0, maxPercent)
	f(4<<20, 0.01, 200)
	f(16<<20, 0.01, 100)
	f(16<<20, 0.01, 50)
	f(32<<20, 0.01, 25)
	f(80<<20, 0.01, minPercent)
	f(1<<40, 0.01, minPercent)

	// It would take too much.
	f(1<<30, 0.4, 30)
	f(1<<30, 0.35, 60)
	f(1<<30, 0.35, usualPercent)
	f(1<<30, 0.9, usualPercent)
	f(1<<30, 0.2, usualPercent)
	f(1<<30, 0.05, 50)
	f(1<<30, 0, 25)
	f(1<<30, 0, minPercent)
	f(4<<20, 0.4, maxPercent)
}

// If much memory is in use, the next collection comes before the garbage is half as much. By
// itself, the collector would wait until it is as much.
func TestBoundGarbage(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		testutil.CannotRun(t, "GOGC is set")
	}
	held := make([]byte, 64<<20)
	BoundGarbage()
	deadline := time.Now().Add(testutil.Patience)
	for runtime.GC(); heapGoal() > liveBytes()*3/2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d MiB are in use, but the next collection is at %d MiB", liveBytes()>>20, heapGoal()>>20)
		}
	}
	runtime.KeepAlive(held)
}

func heapGoal() uint64 {
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	return goal[0].Value.Uint64()
}
