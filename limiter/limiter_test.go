package limiter

import (
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// No test may leave a goroutine that waits for a ledger.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seconds is a moment that many seconds after both clocks' start. The wall clock
// starts at 1, because 0 says that no period has begun.
func seconds(s float64) Now { return nanoseconds(int64(math.Round(s * 1e9))) }

func nanoseconds(ns int64) Now { return Now{Mono: ns, Wall: ns + 1} }

// A huge number of seconds must not wrap around to a short or negative period (in New API,
// CVE-2026-71479, one became a negative charge).
func TestT60Nanoseconds(t *testing.T) {
	f := func(seconds float64, want int64) {
		t.Helper()
		if got := Nanoseconds(seconds); got != want {
			t.Errorf("Nanoseconds(%v) = %d, want %d", seconds, got, want)
		}
	}
	// Zero and less.
	f(0, 0)
	f(math.Copysign(0, -1), 0)
	f(-1, 0)
	f(-1e300, 0)
	f(math.NaN(), 0)
	f(math.Inf(-1), 0)
	// More than zero is at least a nanosecond.
	f(1e-300, 1)
	f(math.SmallestNonzeroFloat64, 1)
	f(1e-9, 1)
	f(1.5e-9, 2)
	f(1, 1e9)
	f(0.25, 25e7)
	f(3600, 3600e9)
	// The last whole second that fits, and the first that does not.
	f(9223372036, 9223372036e9)
	f(9223372037, math.MaxInt64)
	f(1<<53+1, math.MaxInt64)
	f(math.MaxInt64, math.MaxInt64)
	f(1e300, math.MaxInt64)
	f(math.Inf(1), math.MaxInt64)
}

func TestAddSaturating(t *testing.T) {
	f := func(a, b, want int64) {
		t.Helper()
		if got := AddSaturating(a, b); got != want {
			t.Errorf("AddSaturating(%d, %d) = %d, want %d", a, b, got, want)
		}
	}
	f(1, 2, 3)
	f(-5, 2, -3)
	f(math.MinInt64, math.MaxInt64, -1)
	f(math.MaxInt64, 0, math.MaxInt64)
	f(math.MaxInt64, 1, math.MaxInt64)
	f(math.MaxInt64-1, 1, math.MaxInt64)
	f(math.MaxInt64, math.MaxInt64, math.MaxInt64)
}

func TestAt(t *testing.T) {
	moment := time.Now()
	later := moment.Add(3 * time.Second)
	a, b := At(moment), At(later)
	if b.Mono-a.Mono != 3e9 || b.Wall-a.Wall != 3e9 {
		t.Errorf("three seconds apart, got %v and %v", a, b)
	}
	if a.Wall != moment.UnixNano() {
		t.Errorf("the wall clock shows %d, want %d", a.Wall, moment.UnixNano())
	}
}
