// Package limiter is the arithmetic of rates and quotas: whether one more request may pass,
// and if not, when.
//
// It knows nothing of users, HTTP or files. Time is an argument ([Now]), and what must outlive
// the process goes through the [Ledger] that the caller provides.
//
// One request is charged to all its limits or to none: [Admit] takes the locks of everything
// it is about to charge, asks each limit, and charges only if all of them agree. A refused
// request therefore leaves no trace, not even for an instant.
package limiter

import (
	"math"
	"time"
)

// Now is one moment on two clocks, both in nanoseconds. Rates are measured on Mono, which
// never jumps; quota periods on Wall, which goes on over a restart.
type Now struct {
	Mono int64 // since an arbitrary start of this process
	Wall int64 // since the Unix epoch
}

var processStart = time.Now()

// At converts a time that carries a monotonic reading.
func At(t time.Time) Now {
	return Now{Mono: int64(t.Sub(processStart)), Wall: t.UnixNano()}
}

// Forever is the Retry of a refusal that does not end by waiting.
const Forever = time.Duration(math.MaxInt64)

// Nanoseconds converts seconds to nanoseconds. It saturates if the product leaves the range
// of an int64 (about 292 years): a huge period must never wrap around to a short or negative
// one.
func Nanoseconds(seconds float64) int64 {
	ns := seconds * float64(time.Second)
	switch {
	case math.IsNaN(ns) || ns <= 0:
		return 0
	case ns >= math.MaxInt64:
		return math.MaxInt64
	}
	return int64(math.Ceil(ns))
}

// AddSaturating returns a+b for b >= 0, or the largest int64 if that overflows.
func AddSaturating(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
