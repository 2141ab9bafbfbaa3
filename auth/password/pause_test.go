package password

import (
	"sync"
	"testing"
	"time"
)

// No pause ends early, with many at once and with timers that were used before.
func TestPauseExactly(t *testing.T) {
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			for d := range 5 {
				d := time.Duration(d*i) * 100 * time.Microsecond
				began := time.Now()
				pauseExactly(began.Add(d))
				if took := time.Since(began); took < d {
					t.Errorf("%v ended after %v", d, took)
				}
			}
		})
	}
	group.Wait()
	pauseExactly(time.Now().Add(-time.Hour))
}
