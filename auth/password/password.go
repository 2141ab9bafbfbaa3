// Package password hashes and verifies passwords, bounds how many are hashed at once, and gives
// nothing away by timing.
package password

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// ErrBusy says that as many passwords are being hashed, and as many wait for it, as
// the configuration allows.
var ErrBusy = errors.New("too many passwords are being hashed")

// Hash is one way of storing passwords.
type Hash interface {
	// Kind is the session's hash_type: "bcrypt".
	Kind() string
	// MaxPassword is how many bytes of a password the hash reads.
	MaxPassword() int
	// Make hashes a password of 1 to MaxPassword bytes.
	Make(password []byte) (string, error)
	// Matches reports whether stored was made from password. What it cannot read
	// does not match.
	Matches(stored string, password []byte) bool
	// Current reports whether stored is of the kind and the cost that Make uses now.
	Current(stored string) bool
}

// Bcrypt is the hash of the same name, with its cost (4 to 31; each step doubles
// the time: 10 is about 70 ms).
type Bcrypt int

func (Bcrypt) Kind() string     { return "bcrypt" }
func (Bcrypt) MaxPassword() int { return 72 }

func (cost Bcrypt) Make(password []byte) (string, error) {
	hash, err := bcrypt.GenerateFromPassword(password, int(cost))
	return string(hash), err
}

// Matches refuses before it compares what bcrypt itself would take for equal: a
// password with more behind its 72nd byte, and one with a NUL behind its end.
func (Bcrypt) Matches(stored string, password []byte) bool {
	legal := len(password) > 0 && len(password) <= 72 && !HasControl(password)
	if !legal {
		// The time of a refusal must not tell why.
		password = []byte("x")
	}
	matches := bcrypt.CompareHashAndPassword([]byte(stored), password) == nil
	return matches && legal
}

// Current compares kind and cost: $2a$10$…
func (cost Bcrypt) Current(stored string) bool {
	c, err := bcrypt.Cost([]byte(stored))
	return err == nil && c == int(cost)
}

// hashOf returns what can read a stored hash: users keep the kind that they were
// written with until they log in.
func (p *Passwords) hashOf(stored string) matcher {
	switch {
	case strings.HasPrefix(stored, ArgonPrefix):
		return Argon2id{}
	case strings.HasPrefix(stored, "$2"):
		return Bcrypt(bcrypt.DefaultCost)
	case strings.HasPrefix(stored, "$"), strings.HasPrefix(stored, "{"):
		return htpasswdHash{}
	}
	return p.hash
}

// matcher is the part of a [Hash] that reads.
type matcher interface {
	Matches(stored string, password []byte) bool
}

// Outdated reports whether a hash should be made anew when its password is known.
func (p *Passwords) Outdated(stored string) bool { return !p.hash.Current(stored) }

// Passwords makes and checks password hashes. However many requests ask, only a few
// hashes are computed at once, and only a few requests wait for that.
type Passwords struct {
	hash  Hash
	decoy string // hash of a password that nobody knows

	decoys atomic.Pointer[decoys] // nil: decoy

	turns    *turns // to compute a hash
	pace     pace   // of the answer to a wrong password
	right    atomic.Uint64
	wrong    atomic.Uint64
	refused  atomic.Uint64
	patience time.Duration // longest that one waits for a turn

	flightKey [32]byte
	mu        sync.Mutex // protects visits and hashings
	visits    map[visit]*flight
	hashings  map[flightName]*hashing
}

// NewPasswords returns a checker that computes at most concurrent hashes at once.
// A request waits at most patience for its turn, and at most 16 wait per slot: of more,
// those from the prefixes that have had most are told [ErrBusy] at once, which costs
// nothing. Requests whose password was right before need no room.
func NewPasswords(hash Hash, concurrent int, patience time.Duration) (*Passwords, error) {
	p := &Passwords{
		hash:     hash,
		turns:    newTurns(concurrent, 16*concurrent),
		patience: patience,

		visits:   make(map[visit]*flight),
		hashings: make(map[flightName]*hashing),
	}
	if _, err := rand.Read(p.flightKey[:]); err != nil {
		return nil, err
	}
	began := time.Now()
	var err error
	p.decoy, err = hash.Make([]byte(rand.Text()))
	p.pace.learn(p.decoy, time.Since(began))
	return p, err
}

// Counts are the hashes of logins so far, and the logins that wait for one.
type Counts struct {
	Right, Wrong uint64
	Refused      uint64 // for want of room
	Waiting      int    // for their turn
	Open         int    // attempts that have not ended
}

// Counts returns what became of the logins so far.
func (p *Passwords) Counts() Counts {
	p.mu.Lock()
	open := len(p.visits) + len(p.hashings)
	p.mu.Unlock()
	return Counts{Open: open, Right: p.right.Load(), Wrong: p.wrong.Load(), Refused: p.refused.Load(), Waiting: p.turns.length()}
}

// Make hashes a new password. It waits for a slot as a login does, but without
// giving up: it is the operator who asks.
func (p *Passwords) Make(ctx context.Context, password string) (hash, kind string, err error) {
	turn := newPlace(operator, unknownOrigin)
	if !p.turns.enter(ctx, turn, math.MaxInt64) {
		return "", "", ErrBusy
	}
	defer p.turns.leave(turn, false)
	hash, err = p.hash.Make([]byte(password))
	return hash, p.hash.Kind(), err
}

// Kind is the hash_type of new passwords.
func (p *Passwords) Kind() string { return p.hash.Kind() }

// MaxPassword is how many bytes a new password may have.
func (p *Passwords) MaxPassword() int { return p.hash.MaxPassword() }

// Verify reports whether stored is the hash of a user's password, without a login: as
// a login does, it takes as long if stored is "", and may return [ErrBusy]. It goes before
// all logins, because it is the operator who asks.
func (p *Passwords) Verify(org, user, stored, password string) (bool, error) {
	return p.Check(nil, Attempt{
		operator: true, Org: org, Hash: stored, Arrived: time.Now(),
		User: []byte(user), Password: []byte(password),
	})
}

// MaxPassword is the longest password, in bytes, that any hash here reads.
const MaxPassword = 1024

// HasControl reports ASCII control characters, DEL among them.
func HasControl(text []byte) bool {
	for _, c := range text {
		if c < 0x20 || c == 0x7f {
			return true
		}
	}
	return false
}
