package auth

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// FailureLimits say when guessing passwords is slowed down ([bruteforce] in the
// configuration).
type FailureLimits struct {
	User     int           // failures of one address with one user name that cost nothing
	Address  int           // failures of one address, whatever the names, that cost nothing
	Delay    time.Duration // that the first failure beyond costs; each further one doubles it
	MaxDelay time.Duration // longest delay
	Forget   time.Duration // failures are forgotten after so long without another
	Tracked  int           // most addresses, and addresses with names, that are kept
}

// waitError says that an address has guessed too often.
type waitError struct {
	wait time.Duration // before another password is looked at
}

func (e *waitError) Error() string { return "too many failed logins" }

// Failures counts failed logins by client address and user name, and by client address
// alone: IPv4 whole, IPv6 by /64, which is what one customer gets. Who fails too often
// has to wait before another password of theirs is looked at. Everybody else with the
// same user name does not: an attacker cannot lock a user out (T-51).
//
// Names that do not exist count like those that do. Memory is bounded by
// [FailureLimits.Tracked], whatever is sent; about 100 bytes each.
type Failures struct {
	limits FailureLimits
	seed   maphash.Seed

	mu     sync.Mutex // protects all below
	counts map[failureKey]*failureCount
}

// failureKey is an address with a user name, or alone.
type failureKey struct {
	network netip.Addr // the zero value: not known
	user    uint64     // keyed hash of org and name; 0 = the address alone
}

type failureCount struct {
	failed  int
	pending int   // passwords that are being looked at, or wait for it
	vain    int   // of an address: attempts that let nobody in, looked at or not
	last    int64 // of those, Now.Mono
	until   int64 // no password is looked at before
}

// NewFailures returns counts that start at zero.
func NewFailures(limits FailureLimits) *Failures {
	return &Failures{limits: limits, seed: maphash.MakeSeed(), counts: make(map[failureKey]*failureCount)}
}

// attempt is a password that is to be looked at.
type attempt struct {
	failures      *Failures
	at            int64 // Now.Mono
	address, user failureKey
	weight        int // how much the address has asked for: who asked for less goes first
}

// begin returns an attempt to log in, or how long that address has to wait first. An
// attempt that is begun is ended, in one of three ways. A nil *Failures lets everybody
// try, and knows nobody.
func (f *Failures) begin(c claim) (a attempt, wait time.Duration) {
	if f == nil {
		return attempt{}, 0
	}
	a = f.attempt(c)
	now := c.at
	f.mu.Lock()
	defer f.mu.Unlock()
	if wait := f.waitLocked(a); wait > 0 {
		return attempt{}, wait
	}
	// Passwords that are being looked at count as failed, so that asking for many at
	// once gains nothing. For an address alone they do not: all users of an office may
	// log in at once.
	if c := f.look(now, a.user); c.pending > 0 && c.failed+c.pending >= f.limits.User {
		return attempt{}, f.limits.Delay
	}
	byAddress := f.keep(now, a.address)
	a.weight = byAddress.vain + byAddress.pending
	byAddress.pending++
	f.keep(now, a.user).pending++
	return a, 0
}

// wait returns how long an attempt would have to wait, and counts nothing.
func (f *Failures) wait(c claim) time.Duration {
	if f == nil {
		return 0
	}
	a := f.attempt(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waitLocked(a)
}

func (f *Failures) waitLocked(a attempt) time.Duration {
	return time.Duration(max(0, max(f.look(a.at, a.address).until, f.look(a.at, a.user).until)-a.at))
}

func (f *Failures) attempt(c claim) attempt {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteString(c.org)
	h.WriteByte(0) // no org and no name holds one
	h.Write(c.User)
	network := networkOf(c.client)
	return attempt{
		failures: f,
		at:       c.at,
		address:  failureKey{network: network},
		user:     failureKey{network: network, user: max(1, h.Sum64())},
	}
}

// look returns the count of a key as it stands.
func (f *Failures) look(now int64, key failureKey) failureCount {
	c := f.counts[key]
	if c == nil {
		return failureCount{}
	}
	if now-c.last > int64(f.limits.Forget) {
		c.failed, c.vain, c.until = 0, 0, 0
	}
	return *c
}

// keep returns the count of a key, to be changed.
func (f *Failures) keep(now int64, key failureKey) *failureCount {
	f.look(now, key)
	c := f.counts[key]
	if c == nil {
		if len(f.counts) >= f.limits.Tracked {
			f.dropOne()
		}
		c = &failureCount{}
		f.counts[key] = c
	}
	return c
}

// dropOne forgets, of a few keys drawn at random, the one that has failed least: so
// those who guess most are the last to be forgotten, however many addresses they have.
func (f *Failures) dropOne() {
	const draw = 8
	var least failureKey
	seen, fewest := 0, 0
	for key, c := range f.counts { // in random order
		if score := c.failed + c.pending + c.vain; seen == 0 || score < fewest {
			least, fewest = key, score
		}
		if seen++; seen == draw {
			break
		}
	}
	delete(f.counts, least)
}

// failed ends an attempt whose password was wrong.
func (a attempt) failed() {
	a.end(func(byAddress, byUser *failureCount, limits FailureLimits) {
		byAddress.vain++
		byAddress.fail(a.at, limits.Address, limits)
		byUser.fail(a.at, limits.User, limits)
	})
}

// succeeded ends an attempt whose password was right. The address alone is not forgiven:
// who guesses may have an account of their own, too.
func (a attempt) succeeded() {
	a.end(func(_, byUser *failureCount, _ FailureLimits) { byUser.failed, byUser.until = 0, 0 })
}

// undecided ends an attempt whose password was not looked at.
func (a attempt) undecided() {
	a.end(func(byAddress, _ *failureCount, _ FailureLimits) {
		byAddress.vain++
		byAddress.last = a.at
	})
}

func (a attempt) end(change func(byAddress, byUser *failureCount, limits FailureLimits)) {
	f := a.failures
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	byAddress, byUser := f.pending(a.address), f.pending(a.user)
	change(byAddress, byUser, f.limits)
	for key, c := range map[failureKey]*failureCount{a.address: byAddress, a.user: byUser} {
		if c.failed == 0 && c.pending == 0 && c.vain == 0 {
			delete(f.counts, key)
		}
	}
}

// pending returns the count of a key with one less pending. One that was dropped
// meanwhile stays dropped.
func (f *Failures) pending(key failureKey) *failureCount {
	c := f.counts[key]
	if c == nil {
		return &failureCount{}
	}
	c.pending = max(0, c.pending-1)
	return c
}

func (c *failureCount) fail(now int64, free int, limits FailureLimits) {
	c.failed++
	c.last = now
	if beyond := c.failed - free; beyond > 0 {
		c.until = now + int64(limits.delay(beyond))
	}
}

// delay returns what the nth failure beyond those that cost nothing costs.
func (l FailureLimits) delay(n int) time.Duration {
	d := l.Delay
	for ; n > 1 && d < l.MaxDelay; n-- {
		d *= 2
	}
	return min(d, l.MaxDelay)
}

// networkOf returns what is counted for a client's address. Whatever is no address is
// counted together: it must not make counts of its own.
func networkOf(client []byte) netip.Addr {
	if len(client) > 64 {
		return netip.Addr{}
	}
	text := string(client)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}
		}
		addr = with.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	prefix, _ := addr.Prefix(64)
	return prefix.Addr()
}
