package auth

import (
	"sync/atomic"

	"sidekey/limiter"
)

// bound is what a [Directory] needs to make room.
type bound struct {
	now   func() limiter.Now
	short func() bool
}

// The most chains of the table that a sweep looks at, with and without accounts: they bound
// the price of one load.
const (
	sweepChains = 64
	sweepEmpty  = 4096
)

// Bound makes the directory keep to [Settings.MaxActive]: before it loads a user, it makes room
// for one. The accounts that leave are those with no request let in since the sweep last
// came by, and of which nothing must be remembered except the password: their windows are empty,
// and the ledger keeps exactly what was used of their quotas. If no account is like that, more
// are held than the maximum: a limit is never forgotten. The directory also makes room below the
// maximum while short reports that memory is short. now must not run backwards against the
// times that requests are given.
func (d *Directory) Bound(now func() limiter.Now, short func() bool) {
	d.bound.Store(&bound{now, short})
}

// sweep makes room for one account. It goes round the table, from where it ended before.
func (d *Directory) sweep() {
	b, most := d.bound.Load(), d.settings.Load().MaxActive
	if b == nil || most == 0 {
		return
	}
	now := b.now()
	if b.short() {
		most = 1
	}
	for range sweepChains {
		chain := d.nextChain(most)
		if chain == nil {
			return
		}
		for e := chain.Load(); e != nil; e = e.next.Load() {
			if a := e.account.Load(); !a.used.Swap(false) {
				d.drop(e.hash, a, now)
			}
		}
	}
}

// nextChain returns the next chain that holds accounts, or nil if there is room or none was
// found.
func (d *Directory) nextChain(most int) *atomic.Pointer[entry] {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.size < most {
		return nil
	}
	t := d.table.Load()
	for range sweepEmpty {
		d.hand++
		if chain := t.chain(d.hand); chain.Load() != nil {
			return chain
		}
	}
	return nil
}

// drop removes an account, unless it has been replaced or its limits must stay.
func (d *Directory) drop(hash uint64, a *Account, now limiter.Now) {
	defer d.lock(hash)()
	e := d.find(hash, a.org, []byte(a.user))
	if e != nil && e.account.Load() == a && a.retire(now) {
		d.replace(hash, a, nil)
	}
}

// retire ends all limits of the account and returns true, unless one of them must be remembered.
func (a *Account) retire(now limiter.Now) bool {
	quotas := make([]*limiter.Quota, 0, len(a.buckets))
	for _, b := range a.buckets {
		quotas = append(quotas, b.quota)
	}
	return limiter.Retire(now, a.rates(), quotas)
}

// begin tells the windows of an account that has just been loaded what time it is.
func (a *Account) begin(now limiter.Now) {
	for _, w := range a.rates() {
		w.Begin(now)
	}
}

// rates returns all windows of the account; nil for each that has no limit.
func (a *Account) rates() []*limiter.Window {
	windows := make([]*limiter.Window, 0, len(a.buckets))
	for _, b := range a.buckets {
		windows = append(windows, b.rate)
	}
	for _, w := range a.endpointWindows {
		windows = append(windows, w)
	}
	return windows
}
