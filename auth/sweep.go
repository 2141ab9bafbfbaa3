package auth

import (
	"sync/atomic"

	"sidekey/limiter"
)

// bound is how many accounts a [Directory] holds.
type bound struct {
	most  int
	now   func() limiter.Now
	short func() bool
}

// A sweep looks at so many chains of the table that hold accounts, and passes over so many
// that hold none, at most: the price of one load.
const (
	sweepChains = 64
	sweepEmpty  = 4096
)

// SetBound bounds the accounts that are held: before a user is loaded, room is made for one.
// Those leave who have not been let in since the sweep last came by, and of whom nothing
// has to be remembered but their password: their windows are empty, and of their quotas
// the ledger keeps exactly what was used. While there is nobody like that, more than most
// are held: a limit is never forgotten. Room is made below most, too, while short says that
// memory is. now must not run backwards against the times that requests are given.
func (d *Directory) SetBound(most int, now func() limiter.Now, short func() bool) {
	d.bound.Store(&bound{most, now, short})
}

// sweep makes room for one account. It goes round the table, from where it ended before.
func (d *Directory) sweep() {
	b := d.bound.Load()
	if b == nil {
		return
	}
	now, most := b.now(), b.most
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

// nextChain returns the next chain that holds accounts, or nil where there is room or none
// was found.
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

// drop lets go of an account, unless it has been replaced or its limits have to stay.
func (d *Directory) drop(hash uint64, a *Account, now limiter.Now) {
	defer d.lock(hash)()
	e := d.find(hash, a.org, []byte(a.user))
	if e != nil && e.account.Load() == a && a.retire(now) {
		d.replace(hash, a, nil)
	}
}

// retire ends all limits of the account, where none of them has to be remembered.
func (a *Account) retire(now limiter.Now) bool {
	quotas := make([]*limiter.Quota, 0, len(a.buckets))
	for _, b := range a.buckets {
		quotas = append(quotas, b.quota)
	}
	return limiter.Retire(now, a.rates(), quotas)
}

// begin tells the windows of an account that was loaded the time.
func (a *Account) begin(now limiter.Now) {
	for _, w := range a.rates() {
		w.Begin(now)
	}
}

// rates returns all windows of the account; nil for those without a limit.
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
