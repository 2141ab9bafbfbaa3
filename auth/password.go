package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
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

	slots    chan struct{} // one for each hash that may be computed at once
	waiting  atomic.Int64
	queue    int64         // most that may wait for a slot
	patience time.Duration // longest that one waits

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
}

// NewPasswords returns a checker that computes at most concurrent hashes at once.
// A request waits at most patience for its turn, and at most 16 wait per slot:
// beyond that it is told [ErrBusy] at once, which costs nothing.
func NewPasswords(hash Hash, concurrent int, patience time.Duration) (*Passwords, error) {
	p := &Passwords{
		hash:     hash,
		slots:    make(chan struct{}, concurrent),
		queue:    int64(16 * concurrent),
		patience: patience,
		flights:  make(map[[32]byte]*flight),
	}
	if _, err := rand.Read(p.flightKey[:]); err != nil {
		return nil, err
	}
	var err error
	p.decoy, err = hash.Make([]byte(rand.Text()))
	return p, err
}

// Make hashes a new password. It waits for a slot as a login does, but without
// giving up: it is the operator who asks.
func (p *Passwords) Make(ctx context.Context, password string) (hash, kind string, err error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return "", "", ErrBusy
	}
	hash, err = p.hash.Make([]byte(password))
	return hash, p.hash.Kind(), err
}

// Kind is the hash_type of new passwords.
func (p *Passwords) Kind() string { return p.hash.Kind() }

// MaxPassword is how many bytes a new password may have.
func (p *Passwords) MaxPassword() int { return p.hash.MaxPassword() }

// Verify reports whether stored is the hash of a user's password, without a login: as
// a login does, it takes as long where stored is "", and may be told [ErrBusy].
func (p *Passwords) Verify(name Name, stored, password string) (bool, error) {
	return p.check(name.Org, Credentials{User: []byte(name.User), Password: []byte(password)}, stored)
}

// check reports whether stored is the hash of password. stored is "" for a user who
// does not exist or has no password: that takes as long, and never matches.
//
// Requests that come while the same user's same password is being compared share
// the answer. What they share is named by a keyed digest of user, password and
// hash together, so no other user, password or state of the user can meet it there
// (Traefik CVE-2026-71326 and CVE-2026-88010).
func (p *Passwords) check(org string, c Credentials, stored string) (bool, error) {
	key := p.flightName(org, c, stored)
	p.mu.Lock()
	if f := p.flights[key]; f != nil {
		p.mu.Unlock()
		<-f.done
		return f.matches, f.err
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
	f.matches, f.err = p.compare(stored, c.Password)
	return f.matches, f.err
}

func (p *Passwords) compare(stored string, password []byte) (bool, error) {
	if err := p.enter(); err != nil {
		return false, err
	}
	defer func() { <-p.slots }()
	exists := stored != ""
	if !exists {
		stored = p.decoy
	}
	matches := p.hashOf(stored).Matches(stored, password)
	return matches && exists, nil
}

// enter waits for a slot.
func (p *Passwords) enter() error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	if p.waiting.Add(1) > p.queue {
		p.waiting.Add(-1)
		return ErrBusy
	}
	defer p.waiting.Add(-1)
	timer := time.NewTimer(p.patience)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrBusy
	}
}

func (p *Passwords) flightName(org string, c Credentials, stored string) (name [32]byte) {
	h := sha256.New()
	h.Write(p.flightKey[:])
	for _, part := range [][]byte{[]byte(org), c.User, c.Password, []byte(stored)} {
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
	key  [32]byte
	last atomic.Pointer[verified]
}

type verified struct {
	digest [sha256.Size]byte
	until  int64 // limiter.Now.Mono
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
func (r *remembered) digest(password []byte) [sha256.Size]byte {
	var buf [len(r.key) + maxPassword]byte
	n := copy(buf[:], r.key[:])
	n += copy(buf[n:], password)
	return sha256.Sum256(buf[:n])
}
