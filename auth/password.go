package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
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
	legal := len(password) > 0 && len(password) <= 72 && !hasControl(password)
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
	case strings.HasPrefix(stored, argonPrefix):
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

// outdated reports whether a hash should be made anew when its password is known.
func (p *Passwords) outdated(stored string) bool { return !p.hash.Current(stored) }

// Passwords makes and checks password hashes. However many requests ask, only so
// many hashes are computed at once, and only so many wait.
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
	mu        sync.Mutex // protects flights
	flights   map[[32]byte]*flight
}

// flight is one comparison that several requests with the same user and password
// wait for.
type flight struct {
	done    chan struct{}
	matches bool
	err     error

	queued, turn time.Time // when it asked for its turn to be hashed, and when it came
}

// NewPasswords returns a checker that computes at most concurrent hashes at once.
// A request waits at most patience for its turn, and at most 16 wait per slot: beyond
// that those whose address has asked for most are told [ErrBusy] at once, which costs
// nothing.
func NewPasswords(hash Hash, concurrent int, patience time.Duration) (*Passwords, error) {
	p := &Passwords{
		hash:     hash,
		turns:    newTurns(concurrent, 16*concurrent),
		patience: patience,
		flights:  make(map[[32]byte]*flight),
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

// PasswordCounts are the hashes of logins so far, and the logins that wait for one.
type PasswordCounts struct {
	Right, Wrong uint64
	Refused      uint64 // for want of room
	Waiting      int
}

// Counts returns what became of the logins so far.
func (p *Passwords) Counts() PasswordCounts {
	return PasswordCounts{Right: p.right.Load(), Wrong: p.wrong.Load(), Refused: p.refused.Load(), Waiting: p.turns.length()}
}

// Make hashes a new password. It waits for a slot as a login does, but without
// giving up: it is the operator who asks.
func (p *Passwords) Make(ctx context.Context, password string) (hash, kind string, err error) {
	if !p.turns.enter(ctx, operator, math.MaxInt64) {
		return "", "", ErrBusy
	}
	defer p.turns.leave()
	hash, err = p.hash.Make([]byte(password))
	return hash, p.hash.Kind(), err
}

// operator is the weight of who is always let in first.
const operator = -1

// Kind is the hash_type of new passwords.
func (p *Passwords) Kind() string { return p.hash.Kind() }

// MaxPassword is how many bytes a new password may have.
func (p *Passwords) MaxPassword() int { return p.hash.MaxPassword() }

// Verify reports whether stored is the hash of a user's password, without a login: as
// a login does, it takes as long where stored is "", and may be told [ErrBusy].
func (p *Passwords) Verify(name Name, stored, password string) (bool, error) {
	return p.check(nil, claim{org: name.Org, Credentials: Credentials{User: []byte(name.User), Password: []byte(password)}, stored: stored, came: time.Now()})
}

// claim is what somebody presents to be let in, and what it is compared with.
type claim struct {
	at     int64  // Now.Mono
	client []byte // address
	org    string
	Credentials
	stored string    // hash of the user's password; "" for a user who does not exist or has none
	came   time.Time // when its request was there
}

// check reports whether a claim's password is right, or returns [ErrBusy] or a
// [*waitError]. Where nothing is stored it is never right, and that takes as long: what
// was compared and is wrong is answered when [pace] says so.
//
// Claims that come while the same password of the same user is being compared for the
// same address share the answer, and count once. What they share is named by a keyed
// digest of all that the answer depends on, so no other user, password or state of the
// user can meet it there (Traefik CVE-2026-71326 and CVE-2026-88010).
func (p *Passwords) check(failures *Failures, c claim) (bool, error) {
	f := p.answer(failures, c)
	if f.err == nil && !f.matches {
		began := c.came.Add(f.waited(c))
		after := time.Since(began)
		p.pace.pause(began.Add(after + p.pace.left(after)))
	}
	return f.matches, f.err
}

// answer returns a flight that has come to its end.
func (p *Passwords) answer(failures *Failures, c claim) *flight {
	key := p.flightName(c)
	p.mu.Lock()
	if f := p.flights[key]; f != nil {
		p.mu.Unlock()
		<-f.done
		return f
	}
	f := &flight{done: make(chan struct{})}
	p.flights[key] = f
	p.mu.Unlock()

	defer func() {
		p.mu.Lock()
		delete(p.flights, key)
		p.mu.Unlock()
		close(f.done)
	}()
	f.matches, f.err = p.attempt(failures, c, f)
	return f
}

// waited returns how long a claim has waited for its flight's turn.
func (f *flight) waited(c claim) time.Duration {
	since := f.queued
	if c.came.After(since) { // a follower
		since = c.came
	}
	return max(0, f.turn.Sub(since))
}

func (p *Passwords) attempt(failures *Failures, c claim, f *flight) (matches bool, err error) {
	a, wait := failures.begin(c)
	if wait > 0 {
		return false, &waitError{wait}
	}
	outcome := attempt.undecided
	defer func() { outcome(a) }()
	stored, exists := c.stored, usable(c.stored)
	if !exists {
		stored = p.decoyFor(c.org, c.User)
	}
	matches, err = p.compare(f, a.weight, stored, c.Password)
	matches = matches && exists
	switch {
	case err != nil:
		p.refused.Add(1)
	case matches:
		p.right.Add(1)
		outcome = attempt.succeeded
	default:
		p.wrong.Add(1)
		outcome = attempt.failed
	}
	return matches, err
}

func (p *Passwords) compare(f *flight, weight int, stored string, password []byte) (bool, error) {
	f.queued = time.Now()
	if !p.turns.enter(context.Background(), weight, p.patience) {
		return false, ErrBusy
	}
	defer p.turns.leave()
	exists := usable(stored)
	if !exists {
		stored = p.decoy
	}
	f.turn = time.Now()
	matches := p.hashOf(stored).Matches(stored, password)
	p.pace.learn(stored, time.Since(f.turn))
	return matches && exists, nil
}

func (p *Passwords) flightName(c claim) (name [32]byte) {
	h := sha256.New()
	h.Write(p.flightKey[:])
	for _, part := range [][]byte{[]byte(networkOf(c.client).String()), []byte(c.org), c.User, c.Password, []byte(c.stored)} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	h.Sum(name[:0])
	return name
}

// remembered is the memory of the last password that was right. It belongs to one
// compiled account and dies with it, so an edit forgets it by construction; its
// key is drawn for that account alone, so nothing that another account or process
// remembers can match. The password itself is not kept.
type remembered struct {
	key  [16]byte
	last atomic.Pointer[verified]
}

type verified struct {
	digest [24]byte // the first of SHA-256's: it is for one process and one password
	until  int64    // limiter.Now.Mono
}

// knows reports whether password is the one that was right and not too long ago.
func (r *remembered) knows(password []byte, mono int64) bool {
	v := r.last.Load()
	if v == nil || mono >= v.until || len(password) > maxPassword {
		return false
	}
	digest := r.digest(password)
	return subtle.ConstantTimeCompare(digest[:], v.digest[:]) == 1
}

// learn remembers a right password until mono. Callers never learn a wrong one.
func (r *remembered) learn(password []byte, until int64) {
	r.last.Store(&verified{digest: r.digest(password), until: until})
}

// digest is SHA-256 over the account's key and the password. The key comes first
// and has one length, and digests are never shown, so plain SHA-256 serves.
func (r *remembered) digest(password []byte) [24]byte {
	keyed := make([]byte, 0, len(r.key)+96) // on the stack; a longer password, which bcrypt does not read, is not
	keyed = append(keyed, r.key[:]...)
	sum := sha256.Sum256(append(keyed, password...))
	return [24]byte(sum[:])
}
