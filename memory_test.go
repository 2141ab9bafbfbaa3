package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestMemoryIsShort(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	f := func(limit int64, want bool) {
		t.Helper()
		debug.SetMemoryLimit(limit)
		runtime.GC()
		var m memory
		if got := m.isShort(); got != want {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
	held := make([]byte, 8<<20)
	f(math.MaxInt64, false)
	f(10<<30, false)
	f(9<<20, true)
	runtime.KeepAlive(held)

	// It is not looked at again for each request.
	debug.SetMemoryLimit(math.MaxInt64)
	var m memory
	m.isShort()
	debug.SetMemoryLimit(1)
	if m.isShort() {
		t.Error("looked twice at once")
	}
}

func TestGarbagePercent(t *testing.T) {
	now := time.Now()
	var g garbage
	f := func(live uint64, after time.Duration, want int) {
		t.Helper()
		now = now.Add(after)
		if got := g.percentNow(live, now); got != want {
			t.Errorf("%d bytes in use, after %v: %d, want %d", live, after, got, want)
		}
	}
	f(0, 0, mostPercent)
	f(4<<20, time.Second, 400)
	f(16<<20, time.Second, 200)
	f(16<<20, time.Second, 100)
	f(64<<20, time.Minute, 50)
	f(64<<20, time.Minute, 25)
	f(80<<20, time.Minute, leastPercent)
	f(1<<40, time.Minute, leastPercent)

	// Collections come often.
	const often = 100 * time.Millisecond
	f(1<<30, often, 40)
	f(1<<30, often, 80)
	f(1<<30, often, usualPercent)
	f(1<<30, often, usualPercent)
	f(1<<30, 300*time.Millisecond, usualPercent)
	f(1<<30, time.Second, 50)
	f(1<<30, time.Second, 25)
	f(1<<30, time.Second, leastPercent)
	f(4<<20, often, mostPercent)
}

// With more than a little memory in use the next collection comes before there is half as
// much garbage, where the collector by itself would wait for as much.
func TestBoundGarbage(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	held := make([]byte, 64<<20)
	boundGarbage()
	deadline := time.Now().Add(patience)
	for runtime.GC(); heapGoal() > liveBytes()*3/2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d MiB are in use, and the next collection is at %d MiB", liveBytes()>>20, heapGoal()>>20)
		}
	}
	runtime.KeepAlive(held)
}

func heapGoal() uint64 {
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	return goal[0].Value.Uint64()
}
