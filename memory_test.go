package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
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
