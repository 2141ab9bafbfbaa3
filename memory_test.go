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
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, mostPercent},
		{1 << 20, mostPercent},
		{4 << 20, 400},
		{16 << 20, 100},
		{64 << 20, 25},
		{80 << 20, leastPercent},
		{1 << 40, leastPercent},
	} {
		if got := garbagePercent(c.live); got != c.want {
			t.Errorf("%d bytes in use: %d, want %d", c.live, got, c.want)
		}
	}
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
