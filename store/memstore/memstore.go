// Package memstore is a store in memory, for tests.
//
// It passes the suite of package storetest, so a test that uses it relies on nothing that
// the store on disk does not promise. Its further methods bring about what a test of the
// caller needs to meet: failures, damaged records, another process with the same data.
package memstore

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store"
)

// Store is a store in memory. Several may have the same data, as processes with one
// database have; see [Store.Another].
type Store struct {
	*data
	notify store.Notify
	closed bool // protected by data.mu
}

// data is what a disk would hold.
type data struct {
	writing sync.Mutex // held from the start of a write until it is published

	mu         sync.Mutex // protects everything below
	users      map[session.Name]user
	quotas     map[limiter.QuotaKey]limiter.Reservation
	policies   map[string]policy
	generation uint64 // the last that was given
	stats      store.Stats
	stores     []*Store // those that are open
	shared     bool     // there was more than one

	failure    error
	nextFails  bool // the next commit, with an unknown outcome
	applied    bool // and it is in the data
	beforeEdit func()

	asks      []func() // that wait for their turn
	answering bool     // a goroutine answers them
}

type user struct {
	text       []byte // JSON, so that no part of a record is shared with callers
	generation uint64
	damaged    bool
}

type policy struct {
	text    []byte
	damaged bool
}

// errCommit stands for what a disk says when it fails.
var errCommit = errors.New("the commit failed: the test asked for it")

// New returns an empty store.
func New() *Store {
	return (&data{
		users:    make(map[session.Name]user),
		quotas:   make(map[limiter.QuotaKey]limiter.Reservation),
		policies: make(map[string]policy),
	}).open()
}

func (d *data) open() *Store {
	s := &Store{data: d, notify: store.Notify{User: func(string, string) {}, Policy: func(string) {}}}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stores = append(d.stores, s)
	d.shared = d.shared || len(d.stores) > 1
	return s
}

// Another returns a second store with the same data, which stands for another process. Each store
// is notified of the writes of the others.
func (s *Store) Another() *Store { return s.data.open() }

// Fail has every later call fail with err; nil ends that. Failing calls have no effect.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// FailCommit has the next commit fail with an unknown outcome. applied says what the
// outcome is.
func (s *Store) FailCommit(applied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextFails, s.applied = true, applied
}

// BeforeEdit has the next edit of a user find that f has run since it was asked for.
func (s *Store) BeforeEdit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beforeEdit = f
}

// Damage makes a user's record unreadable until it is written again; false: readable.
func (s *Store) Damage(n session.Name, damaged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[n]
	u.damaged = damaged
	s.users[n] = u
}

// DamagePolicy makes a policy unreadable until it is written again.
func (s *Store) DamagePolicy(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.policies[id]
	p.damaged = true
	s.policies[id] = p
}

// SetQuota makes r the record of a quota.
func (s *Store) SetQuota(key limiter.QuotaKey, r limiter.Reservation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quotas[key] = r
}

// Clear removes all users without publishing it.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.users)
	clear(s.quotas)
}

// Count returns how many users there are.
func (s *Store) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.users)
}

// Dump returns all users and policies, and how often they were written, as text that a test
// can compare.
func (s *Store) Dump() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "%d writes, %d users\n", s.stats.Writes-s.stats.Reservations, len(s.users))
	for _, id := range slices.Sorted(maps.Keys(s.policies)) {
		fmt.Fprintf(&text, "policy %s %s\n", id, s.policies[id].text)
	}
	for _, n := range slices.SortedFunc(maps.Keys(s.users), compare) {
		fmt.Fprintf(&text, "%v %d %s\n", n, s.users[n].generation, s.users[n].text)
	}
	return text.String()
}

func compare(a, b session.Name) int {
	return cmp.Or(strings.Compare(a.Org, b.Org), strings.Compare(a.User, b.User))
}

// Notify implements [store.Store].
func (s *Store) Notify(n store.Notify) { s.notify = n }

// RulesChanged implements [store.Store]. No edit is made before its turn, so there is none
// to be made again.
func (s *Store) RulesChanged() {}

// Ready implements [store.Store].
func (s *Store) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.downLocked()
}

func (s *Store) downLocked() error {
	if s.closed {
		return auth.ErrStoreDown
	}
	return s.failure
}

// Stats implements [store.Store].
func (s *Store) Stats() store.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Users = uint64(len(s.users))
	return stats
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.writing.Lock() // the write under way ends first
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.stores = slices.DeleteFunc(s.stores, func(other *Store) bool { return other == s })
	return nil
}

// commit runs a write, publishes it in all stores with the data, and returns its outcome.
// apply changes the data, or returns an error and changes nothing.
func (s *Store) commit(n int, apply func() error, publish func(store.Notify)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	unknown, err := s.apply(n, apply)
	if err != nil {
		return err
	}
	s.mu.Lock()
	stores := slices.Clone(s.stores)
	s.mu.Unlock()
	for _, other := range stores {
		publish(other.notify)
	}
	return unknown
}

func (s *Store) apply(n int, apply func() error) (unknown, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.downLocked(); err != nil {
		return nil, err
	}
	s.stats.Commits++
	if s.nextFails {
		s.nextFails = false
		s.stats.Failures++
		unknown = fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, errCommit)
		if !s.applied {
			return unknown, nil
		}
	}
	if err := apply(); err != nil {
		return nil, err
	}
	s.stats.Writes += uint64(n)
	return unknown, nil
}
