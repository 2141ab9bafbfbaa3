package password

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Attempt is one try of a request to log in.
//
// For a request of ann with the password pw, from 203.0.113.9, that was 5 ms under way before the
// password was looked at, it is
//
//	Attempt{Org: "default", User: "ann", Password: "pw", Client: "203.0.113.9",
//		Hash: "$2b$10$…", At: now.Mono, Arrived: time.Now().Add(-5 * time.Millisecond)}
//
// The bytes are lent until the call that takes the attempt returns.
type Attempt struct {
	Org      string
	User     []byte
	Password []byte
	Client   []byte    // address as the proxy reports it; guesses are counted by its origin
	Hash     string    // of the user's password; "" for a user who does not exist or has none
	At       int64     // time of the request, [limiter.Now].Mono
	Arrived  time.Time // time of the request; the answer to a wrong password is timed from it
	Familiar bool      // it is the last password that was right: it is hashed before all guesses

	// Known, if not nil, reports whether the password has become known to be right in the
	// meantime, so that no hash is needed.
	Known func() bool
	// Right, if not nil, is called when the password was right, before any attempt that shares
	// the comparison gets its answer.
	Right func()

	operator bool // it goes before all logins
}

func (a *Attempt) rank() rank {
	switch {
	case a.operator:
		return operator
	case a.Familiar:
		return familiar
	}
	return stranger
}

// flight is an attempt that several requests with the same user and password wait for.
type flight struct {
	done    chan struct{}
	matches bool
	err     error

	queued, turn time.Time // when it began to wait for its turn, and when its turn came
}

// hashing is a comparison with a hash, shared by the flights of all origins.
type hashing struct {
	flight
	place *place
}

// flightName is a keyed digest of everything that an answer depends on, except the origin. No other
// user, password or state of the user shares it (Traefik CVE-2026-71326 and CVE-2026-88010).
type flightName [32]byte

// visit identifies a flight: its name and its origin.
type visit struct {
	name flightName
	from origin
}

// Check reports whether the password of an attempt is right, or returns [ErrBusy] or a [*WaitError].
// Without a stored hash it is never right, which takes as long: a wrong password is answered when
// pace says so.
//
// Attempts of one origin that come while the same password of the same user is being compared are
// one attempt, and count once. Attempts of several origins share only the comparison: each counts as
// its own, may be refused on its own, and is answered at its own time.
func (p *Passwords) Check(failures *Failures, c Attempt) (bool, error) {
	f := p.attempt(failures, c)
	if f.err == nil && !f.matches {
		began := c.Arrived.Add(f.waited(c))
		after := time.Since(began)
		p.pace.pause(began.Add(after + p.pace.left(after)))
	}
	return f.matches, f.err
}

// waited returns how long an attempt has waited for its flight's turn.
func (f *flight) waited(c Attempt) time.Duration {
	since := f.queued
	if c.Arrived.After(since) { // a follower
		since = c.Arrived
	}
	return max(0, f.turn.Sub(since))
}

// attempt returns a flight of the attempt's origin that has ended.
func (p *Passwords) attempt(failures *Failures, c Attempt) *flight {
	key := visit{p.flightName(c), originOf(c.Client)}
	p.mu.Lock()
	if f := p.visits[key]; f != nil {
		p.mu.Unlock()
		<-f.done
		return f
	}
	f := &flight{done: make(chan struct{})}
	p.visits[key] = f
	p.mu.Unlock()

	defer func() {
		p.mu.Lock()
		delete(p.visits, key)
		p.mu.Unlock()
		close(f.done)
	}()
	a, wait := failures.Begin(c)
	if wait > 0 {
		f.err = &WaitError{wait}
		return f
	}
	outcome := Pending.Undecided
	defer func() { outcome(a) }()
	shared := p.compare(c, key.name)
	f.matches, f.err, f.queued, f.turn = shared.matches, shared.err, shared.queued, shared.turn
	switch {
	case f.err != nil:
		p.refused.Add(1)
	case f.matches:
		outcome = Pending.Succeeded
	default:
		outcome = Pending.Failed
	}
	return f
}

// compare returns a comparison that has ended. If an attempt shares a comparison that found no room,
// it tries by itself while its own patience lasts, because it may have the better origin.
func (p *Passwords) compare(c Attempt, name flightName) *hashing {
	giveUp, from := time.Now().Add(p.patience), originOf(c.Client)
	for {
		p.mu.Lock()
		shared := p.hashings[name]
		if shared == nil {
			break
		}
		p.mu.Unlock()
		p.turns.favour(shared.place, c.rank(), from)
		<-shared.done
		if shared.err == nil || !time.Now().Before(giveUp) {
			return shared
		}
	}
	own := &hashing{flight: flight{done: make(chan struct{})}, place: newPlace(c.rank(), from)}
	p.hashings[name] = own
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.hashings, name)
		p.mu.Unlock()
		close(own.done)
	}()
	own.matches, own.err = p.hashInTurn(own, c, time.Until(giveUp))
	if own.matches && c.Right != nil {
		c.Right()
	}
	return own
}

// hashInTurn compares the password of an attempt with its hash when its turn comes.
func (p *Passwords) hashInTurn(f *hashing, c Attempt, patience time.Duration) (matches bool, err error) {
	f.queued = time.Now()
	known := func() bool { return c.Known != nil && c.Known() }
	if known() {
		return true, nil
	}
	if !p.turns.enter(context.Background(), f.place, patience) {
		return false, ErrBusy
	}
	defer func() { p.turns.leave(f.place, !matches) }()
	f.turn = time.Now()
	if known() {
		return true, nil
	}
	stored, exists := c.Hash, usable(c.Hash)
	if !exists {
		stored = p.decoyFor(c.Org, c.User)
	}
	if !usable(stored) {
		stored = p.decoy
	}
	matches = p.hashOf(stored).Matches(stored, c.Password) && exists
	p.pace.learn(stored, time.Since(f.turn))
	if matches {
		p.right.Add(1)
	} else {
		p.wrong.Add(1)
	}
	return matches, nil
}

// MatchesForOperator reports whether stored is the hash of a password. It goes ahead of all logins,
// does not count as one, and is not timed. The error is [ErrBusy].
func (p *Passwords) MatchesForOperator(stored string, password []byte) (bool, error) {
	turn := newPlace(operator, unknownOrigin)
	if !p.turns.enter(context.Background(), turn, p.patience) {
		return false, ErrBusy
	}
	defer p.turns.leave(turn, false)
	return usable(stored) && p.hashOf(stored).Matches(stored, password), nil
}

func (p *Passwords) flightName(c Attempt) (name flightName) {
	h := sha256.New()
	h.Write(p.flightKey[:])
	for _, part := range [][]byte{[]byte(c.Org), c.User, c.Password, []byte(c.Hash)} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	h.Sum(name[:0])
	return name
}
