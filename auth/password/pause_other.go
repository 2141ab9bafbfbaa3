//go:build !linux

package password

import "time"

// pauseExactly is [time.Sleep] where there is nothing better.
func pauseExactly(until time.Time) { time.Sleep(time.Until(until)) }
