package limiter

import (
	"sync/atomic"
	"testing"
)

func BenchmarkAdmit(b *testing.B) {
	f := func(name string, l Limits) {
		b.Run(name, func(b *testing.B) {
			var now Now
			b.ReportAllocs()
			for b.Loop() {
				now.Mono += 1000
				now.Wall += 1000
				Admit(now, l)
			}
		})
	}
	quota := NewQuota(ann, 1<<60, 0, Reservation{}, &ledger{})
	quota.start, quota.reserved = 1, 1<<60
	f("nothing", Limits{})
	f("rate of 1", Limits{Rate: NewWindow(1, 1e-6)})
	f("rate of 4096", Limits{Rate: NewWindow(4096, 1e-6)})
	f("rate of 1000000", Limits{Rate: NewWindow(1e6, 1e-6)})
	f("refused by the rate", Limits{Rate: usedWindow(100, 100)})
	f("quota", Limits{Quota: quota})
	f("all", Limits{Rate: NewWindow(4096, 1e-6), Quota: quota, API: NewWindow(1e6, 1e-6)})
}

// One user on all processors: the price of the lock.
func BenchmarkAdmitOneUser(b *testing.B) {
	l := Limits{Rate: NewWindow(4096, 1e-6)}
	var clock atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			Admit(Now{Mono: clock.Add(1000)}, l)
		}
	})
}
