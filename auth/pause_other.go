//go:build !linux

package auth

import "time"

// pauseExactly is [time.Sleep] where there is nothing better.
func pauseExactly(d time.Duration) { time.Sleep(d) }
