//go:build !linux

package password

import "time"

// pauseExactly is [time.Sleep] until a moment: this system has no better timer.
func pauseExactly(until time.Time) { time.Sleep(time.Until(until)) }
