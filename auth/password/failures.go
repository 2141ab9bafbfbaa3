package password

import (
	"hash/maphash"
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

// WaitError says that an address has guessed too often.
type WaitError struct {
	Wait time.Duration // before another password is looked at
}

func (e *WaitError) Error() string { return "too many failed logins" }

// Failures counts failed logins by [origin] and user name, and by origin alone. An origin
// that fails too often has to wait before another password of its is looked at. Other
// origins with the same user name do not, nor does the user in a network that the password
// was right from before ([networks]): an attacker cannot lock a user out (T-51).
//
// Names that do not exist count like those that do. Memory is bounded by
// [FailureLimits.Tracked], whatever is sent; about 100 bytes each.
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
	pending int   // passwords that are being looked at, or wait for it
	last    int64 // failure, Now.Mono
	until   int64 // no password is looked at before
}

// NewFailures returns counts that start at zero.
func NewFailures(limits FailureLimits) *Failures {
	return &Failures{limits: limits, seed: maphash.MakeSeed(), counts: make(map[failureKey]*failureCount)}
}

// Pending is a password that is to be looked at.
type Pending struct {
	failures      *Failures
	at            int64 // Now.Mono
	address, user failureKey
}

// Begin returns an attempt to log in, or how long that address has to wait first. An
// attempt that is begun is ended, in one of three ways. A nil *Failures lets every attempt
// begin, and counts nothing.
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
	// Passwords that are being looked at count as failed, so that asking for many at
	// once gains nothing. For an address alone they do not: all users of an office may
	// log in at once.
	if c := f.look(now, a.user); c.pending > 0 && c.failed+c.pending >= f.limits.User {
		return Pending{}, f.limits.Delay
	}
	f.keep(now, a.address).pending++
	f.keep(now, a.user).pending++
	return a, 0
}

// Wait returns how long an attempt would have to wait, and counts nothing.
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

// look returns the count of a key as it stands.
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

// Succeeded ends an attempt whose password was right. The address alone is not forgiven:
// who guesses may have an account of their own, too.
func (a Pending) Succeeded() {
	a.end(func(_, byUser *failureCount, _ FailureLimits) { byUser.failed, byUser.until = 0, 0 })
}

// Undecided ends an attempt whose password was not looked at. It is not counted, because
// a client that finds no room is more often the victim of a flood than its cause.
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

// Tracked returns how many origins, and origins with user names, have failed lately.
func (f *Failures) Tracked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.counts)
}
