// Package password hashes and verifies passwords, bounds how many are hashed at once, and gives
// nothing away by timing.
//
// [Passwords.Check] is the way of every password that must be hashed: [Failures] slows guessing down,
// turns bound and order the hashing, and pace times the answer. [Remembered] is the way around it, for
// a password that was right before.
//
// # Choices
//
// We compare the password of a user who does not exist with a decoy: a real user's kind of hash, drawn
// by a keyed hash of the name ([Census]). Because users may have hashes of several kinds and costs, and
// a name must always take the same time, each kind as often as users have it. Instead of one decoy of
// the configured kind, which stands in only until the first count is done. Costs a count of all users'
// hashes at the start and every hour.
//
// We answer every wrong password at one moment, counted from its request and without the wait for a
// turn (pace). Because a learned classifier told users from names that do not exist by decoys alone
// (AUC 0.73): users who have logged in have the configured kind, and users just written are not
// counted yet. Instead of a random delay, which averages out. Costs a client with a wrong password
// three times what the slowest kind of hash takes, half a second more at most.
//
// We remember a right password as a keyed digest on the account itself ([Remembered]). Because an
// attacker can neither grow nor flush it, and an edit of the user forgets it by construction. Instead
// of a cache of logins. Costs one cache line a user. The digest stays when its time is over: a password
// that equals it is hashed ahead of all guesses.
//
// We spare networks, not passwords, when we slow guessing down ([Networks]). Because guesses at a user
// who is logged in would otherwise run at full speed, and be answered as soon as one is right. Instead
// of letting a remembered password pass from everywhere. Costs 32 bytes a user; a user in a new network
// can be held up by guesses from the same address.
//
// We share hashing between prefixes of addresses, not addresses (turns). Because an attacker has as
// many addresses as they like but few large prefixes. Instead of a queue for each address. Only hashes
// that were in vain count, so a flood cannot put a debt on the users it displaces. Costs a map of
// prefixes, bounded to about a megabyte.
//
// We compute one hash for a user, a password and a stored hash, whichever addresses ask (flight).
// Because a user on many machines then needs one place in the queue. Instead of one for each address.
// Penalties, failures and the moment of the answer stay each address's own, so no client learns from
// its answer that others try the same password.
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

// ErrBusy reports that there is no room: as many passwords are being hashed, and as many wait for
// that, as the configuration allows.
var ErrBusy = errors.New("too many passwords are being hashed")

// Hash is one way of storing passwords.
type Hash interface {
	// Kind returns the session's hash_type, such as "bcrypt".
	Kind() string
	// MaxPassword returns the number of bytes of a password that the hash reads.
	MaxPassword() int
	// Make hashes a password of 1 to MaxPassword bytes.
	Make(password []byte) (string, error)
	// Matches reports whether stored was made from password. A stored hash that it cannot read
	// does not match.
	Matches(stored string, password []byte) bool
	// Current reports whether stored is of the kind and the cost that Make uses now.
	Current(stored string) bool
}

// Bcrypt is the hash of the same name, with its cost (4 to 31; each step doubles
// the time: 10 is about 70 ms).
type Bcrypt int

// Kind returns "bcrypt".
func (Bcrypt) Kind() string { return "bcrypt" }

// MaxPassword returns 72: bcrypt ignores what follows.
func (Bcrypt) MaxPassword() int { return 72 }

// Make returns a bcrypt hash with the cost.
func (cost Bcrypt) Make(password []byte) (string, error) {
	hash, err := bcrypt.GenerateFromPassword(password, int(cost))
	return string(hash), err
}

// Matches reports whether stored was made from password. Unlike bcrypt itself, it refuses a password
// with more than 72 bytes, and one with a NUL, which bcrypt takes for the end.
func (Bcrypt) Matches(stored string, password []byte) bool {
	legal := len(password) > 0 && len(password) <= 72 && !HasControl(password)
	if !legal {
		// The time of a refusal must not reveal why.
		password = []byte("x")
	}
	matches := bcrypt.CompareHashAndPassword([]byte(stored), password) == nil
	return matches && legal
}

// Current reports whether stored is a bcrypt hash of the same cost.
func (cost Bcrypt) Current(stored string) bool {
	c, err := bcrypt.Cost([]byte(stored))
	return err == nil && c == int(cost)
}

// hashOf returns the hash that can read a stored one: users keep the kind that they were written
// with until they log in.
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

// Outdated reports whether a stored hash has another kind or cost than new ones, so that it should be
// replaced when its password is known.
func (p *Passwords) Outdated(stored string) bool { return !p.hash.Current(stored) }

// Passwords makes and checks password hashes. It computes only a few hashes at once, and lets only a
// few requests wait for that, however many ask. It is safe for concurrent use.
type Passwords struct {
	hash  Hash
	decoy string // hash of a random password

	decoys atomic.Pointer[decoys] // nil: decoy

	turns    *turns // to compute a hash
	pace     pace   // of the answer to a wrong password
	right    atomic.Uint64
	wrong    atomic.Uint64
	refused  atomic.Uint64
	patience time.Duration // how long a request waits for a turn at most

	flightKey [32]byte
	mu        sync.Mutex // protects visits and hashings
	visits    map[visit]*flight
	hashings  map[flightName]*hashing
}

// NewPasswords returns a Passwords that computes at most concurrent hashes at once. A request waits
// at most patience for its turn, and at most 16 requests wait for each slot. If there are more, those
// from the prefixes with the most turns get [ErrBusy] at once, which costs nothing. Requests whose
// password was right before need no room.
//
// With bcrypt of cost 10, concurrent 2 and a patience of 1 s, about 28 passwords are hashed each
// second, and of a flood 32 requests wait.
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

// Counts are the hashes of logins since the start, and the logins that wait for one now.
type Counts struct {
	Right, Wrong uint64 // hashes compared
	Refused      uint64 // logins that found no room
	Waiting      int    // logins that wait for their turn
	Open         int    // attempts that have not ended
}

// Counts returns the numbers of logins.
func (p *Passwords) Counts() Counts {
	p.mu.Lock()
	open := len(p.visits) + len(p.hashings)
	p.mu.Unlock()
	return Counts{Open: open, Right: p.right.Load(), Wrong: p.wrong.Load(), Refused: p.refused.Load(), Waiting: p.turns.length()}
}

// Make hashes a new password and returns the hash and its kind. It waits for a slot as a login does,
// but until ctx ends, because an operator asks. The error is [ErrBusy] or that of [Hash].
func (p *Passwords) Make(ctx context.Context, password string) (hash, kind string, err error) {
	turn := newPlace(operator, unknownOrigin)
	if !p.turns.enter(ctx, turn, math.MaxInt64) {
		return "", "", ErrBusy
	}
	defer p.turns.leave(turn, false)
	hash, err = p.hash.Make([]byte(password))
	return hash, p.hash.Kind(), err
}

// Kind returns the hash_type of new passwords.
func (p *Passwords) Kind() string { return p.hash.Kind() }

// MaxPassword returns how many bytes a new password may have.
func (p *Passwords) MaxPassword() int { return p.hash.MaxPassword() }

// Verify reports whether stored is the hash of a user's password, for an operator: it counts no
// failure and goes before all logins. Like a login it takes as long if stored is "", and may return
// [ErrBusy].
func (p *Passwords) Verify(org, user, stored, password string) (bool, error) {
	return p.Check(nil, Attempt{
		operator: true, Org: org, Hash: stored, Arrived: time.Now(),
		User: []byte(user), Password: []byte(password),
	})
}

// MaxPassword is the longest password, in bytes, that any hash here reads.
const MaxPassword = 1024

// HasControl reports whether text has ASCII control characters, including DEL.
func HasControl(text []byte) bool {
	for _, c := range text {
		if c < 0x20 || c == 0x7f {
			return true
		}
	}
	return false
}
