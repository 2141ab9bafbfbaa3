package password

import (
	"hash/maphash"
	"sync"
	"time"
)

// FailureLimits say when guessing passwords is slowed down ([bruteforce] in the configuration).
//
// With {User: 3, Address: 10, Delay: time.Second, MaxDelay: 16 * time.Second, Forget: time.Hour} an
// address may guess the password of one user three times for free. After the fourth failure it waits
// 1 s, then 2, 4, 8 and from then on 16 s, until it has not failed for an hour.
type FailureLimits struct {
	User     int           // failures of one address with one user name that cost nothing
	Address  int           // failures of one address, with any names, that cost nothing
	Delay    time.Duration // cost of the first failure after these; each further one doubles it
	MaxDelay time.Duration // the delay does not grow beyond it
	Forget   time.Duration // failures are forgotten after this time without another
	Tracked  int           // how many addresses, and addresses with names, are kept at most
}

// WaitError reports that an address has guessed too often.
type WaitError struct {
	Wait time.Duration // until the next password of the address is looked at
}

// Error returns a text without the time, for logs.
func (e *WaitError) Error() string { return "too many failed logins" }

// Failures counts failed logins by origin and user name, and by origin alone. An origin is an IPv4
// address or a /64 of IPv6. An origin that fails too often must wait before its next password is
// looked at. Other origins with the same user name need not wait, and neither does the user in a
// network that the password was right from before ([Networks]), so an attacker cannot lock a user
// out (T-51).
//
// Names that do not exist count like those that do. [FailureLimits.Tracked] bounds the memory, about
// 100 bytes each. Failures is safe for concurrent use.
type Failures struct {
	limits FailureLimits
	seed   maphash.Seed

	mu     sync.Mutex // protects all below
	counts map[failureKey]*failureCount
}

// failureKey is an origin with a user name, or alone.
type failureKey struct {
	from origin
	user uint64 // keyed hash of org and name; 0 = the origin alone
}

type failureCount struct {
	failed  int
	pending int   // attempts that have begun and not ended
	last    int64 // time of the last failure, Now.Mono
	until   int64 // time until which no password is looked at
}

// NewFailures returns counts that start at zero.
func NewFailures(limits FailureLimits) *Failures {
	return &Failures{limits: limits, seed: maphash.MakeSeed(), counts: make(map[failureKey]*failureCount)}
}

// Pending is an attempt that has begun. It must be ended once, by Failed, Succeeded or Undecided.
type Pending struct {
	failures      *Failures
	at            int64 // Now.Mono
	address, user failureKey
}

// Begin begins an attempt to log in, or returns how long its address must wait first. A nil
// *Failures lets every attempt begin and counts nothing.
func (f *Failures) Begin(c Attempt) (a Pending, wait time.Duration) {
	if f == nil {
		return Pending{}, 0
	}
	a = f.attempt(c)
	now := c.At
	f.mu.Lock()
	defer f.mu.Unlock()
	if wait := f.waitLocked(a); wait > 0 {
		return Pending{}, wait
	}
	// Pending attempts count as failed, so that many at once gain nothing. For an address alone
	// they do not: all users of an office may log in at once.
	if c := f.look(now, a.user); c.pending > 0 && c.failed+c.pending >= f.limits.User {
		return Pending{}, f.limits.Delay
	}
	f.keep(now, a.address).pending++
	f.keep(now, a.user).pending++
	return a, 0
}

// Wait returns how long an attempt would have to wait. It counts nothing.
func (f *Failures) Wait(c Attempt) time.Duration {
	if f == nil {
		return 0
	}
	a := f.attempt(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waitLocked(a)
}

func (f *Failures) waitLocked(a Pending) time.Duration {
	return time.Duration(max(0, max(f.look(a.at, a.address).until, f.look(a.at, a.user).until)-a.at))
}

func (f *Failures) attempt(c Attempt) Pending {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteString(c.Org)
	h.WriteByte(0) // no org and no name holds one
	h.Write(c.User)
	from := originOf(c.Client)
	return Pending{
		failures: f,
		at:       c.At,
		address:  failureKey{from: from},
		user:     failureKey{from: from, user: max(1, h.Sum64())},
	}
}

// look returns the count of a key, zero if there is none.
func (f *Failures) look(now int64, key failureKey) failureCount {
	c := f.counts[key]
	if c == nil {
		return failureCount{}
	}
	if now-c.last > int64(f.limits.Forget) {
		c.failed, c.until = 0, 0
	}
	return *c
}

// keep returns the count of a key for changes. It makes one if there is none.
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

// dropOne draws a few keys at random and forgets the one that has failed least, so the addresses that
// guess most are forgotten last, however many there are.
func (f *Failures) dropOne() {
	const draw = 8
	var least failureKey
	seen, fewest := 0, 0
	for key, c := range f.counts { // in random order
		if score := c.failed + c.pending; seen == 0 || score < fewest {
			least, fewest = key, score
		}
		if seen++; seen == draw {
			break
		}
	}
	delete(f.counts, least)
}

// Failed ends an attempt whose password was wrong.
func (a Pending) Failed() {
	a.end(func(byAddress, byUser *failureCount, limits FailureLimits) {
		byAddress.fail(a.at, limits.Address, limits)
		byUser.fail(a.at, limits.User, limits)
	})
}

// Succeeded ends an attempt whose password was right. It forgets the failures of the address with
// this user, but not those of the address alone: an attacker may have an account, too.
func (a Pending) Succeeded() {
	a.end(func(_, byUser *failureCount, _ FailureLimits) { byUser.failed, byUser.until = 0, 0 })
}

// Undecided ends an attempt whose password was not looked at. It counts nothing, because a client
// that finds no room is more often the victim of a flood than its cause.
func (a Pending) Undecided() {
	a.end(func(_, _ *failureCount, _ FailureLimits) {})
}

func (a Pending) end(change func(byAddress, byUser *failureCount, limits FailureLimits)) {
	f := a.failures
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	byAddress, byUser := f.pending(a.address), f.pending(a.user)
	change(byAddress, byUser, f.limits)
	for key, c := range map[failureKey]*failureCount{a.address: byAddress, a.user: byUser} {
		if c.failed == 0 && c.pending == 0 {
			delete(f.counts, key)
		}
	}
}

// pending returns the count of a key with one pending attempt less. A count that has been dropped
// since stays dropped.
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

// delay returns the cost of the nth failure after those that cost nothing.
func (l FailureLimits) delay(n int) time.Duration {
	d := l.Delay
	for ; n > 1 && d < l.MaxDelay; n-- {
		d *= 2
	}
	return min(d, l.MaxDelay)
}

// Tracked returns how many origins, and origins with user names, are kept.
func (f *Failures) Tracked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.counts)
}
