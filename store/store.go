// Package store is the contract of a store of users, policies and quotas.
//
// The interfaces, values and errors here say what the rest of the program relies on. The
// packages below implement them: bolt in one file on this machine. The suite in storetest
// turns each promise into a test, and every implementation passes it, the one in memory that
// tests use (memstore) included. Consumers declare the few methods that they call (such as
// [sidekey/auth.Source]); what these methods promise is said once, here.
//
// # What a write promises
//
// A write is first durable, then published, then answered. Published means that the
// functions given to [Notify] have returned, so a check that starts after the answer acts on
// the change. If the commit fails, its outcome is unknown: the users and policies concerned
// are published as they are then read from the store, and the answer is [ErrOutcomeUnknown].
//
// # Generations
//
// Each record of a user has a generation, which rises with each write that starts the user's
// quotas afresh, and is never used twice, also for a user who is deleted and created again. A
// reservation carries the generation that it was made for, and is stale
// ([limiter.ErrStale]) if the user's is another one.
package store

import (
	"errors"
	"fmt"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// Errors of a store, besides those that a check has to tell apart: [auth.ErrNoUser],
// [auth.ErrDamaged] and [auth.ErrStoreDown].
var (
	// ErrOutcomeUnknown says that a commit failed: the write is in the store or not. Reading
	// the user again tells.
	ErrOutcomeUnknown = errors.New("the outcome of the write is unknown")
	// ErrMoved is the [auth.ErrStoreDown] of a store that can be read, but whose file is not
	// where it was opened: what is written to it would be gone with the process.
	ErrMoved = fmt.Errorf("%w: its file was removed or replaced while in use", auth.ErrStoreDown)
)

// Store is a store of users, policies and quotas. Its methods may be called from any
// goroutine. While it is not available they return [auth.ErrStoreDown].
type Store interface {
	Users
	Policies
	Quotas

	// Notify sets the functions that publish changes. It must be called before the first write.
	Notify(Notify)

	// RulesChanged says that what edits are checked against is another one now: the
	// configuration, or policies outside of the store. Edits that were made and are not
	// stored yet are made again. It must be called when the new rules are in force.
	RulesChanged()

	// Ready returns nil, or why the store cannot be used: [auth.ErrStoreDown], or
	// [ErrMoved], with which it can be read.
	Ready() error

	// Stats returns what the store has done since it was opened, and how large it is.
	Stats() Stats

	// Close writes what is queued and closes the store. Later calls are refused with
	// [auth.ErrStoreDown].
	Close() error
}

// Notify is the functions that publish changes. A store calls them after each commit, in
// the order of commits, and before the write is answered, for each user and policy that the
// commit has changed, or may have changed if it failed. It also calls them for changes that
// another process has made to the same data, as soon as it learns of them.
//
// The functions read the new state with [Users.Load] and [Policies.Policy]. If the store is
// down at that moment, they are called again when it is back. They must not write.
type Notify struct {
	User   func(org, user string)
	Policy func(id string)
}

// Users is the part of a store that holds users' records.
type Users interface {
	// Load returns a user's record and quotas as they stood at one moment, or
	// [auth.ErrNoUser], [auth.ErrDamaged], [auth.ErrStoreDown]. It may return a state that is
	// not published yet; checks, which may act on a change before it is answered, use it. What
	// it returns belongs to the caller.
	Load(org, user string) (session.Record, []auth.KeptQuota, error)

	// Read is Load for callers that show the state, such as the admin API: what it returns is
	// durable and acts on every check that starts after Read has returned.
	Read(org, user string) (session.Record, []auth.KeptQuota, error)

	// Names returns up to n names that come after one, in the order of org and user (as
	// bytes), of a state as Read returns it. Fewer than n: there are no more.
	Names(after session.Name, n int) ([]session.Name, error)

	// Scan calls f for up to n users that come after one, in the order of Names, of a state
	// as Load returns it. Users whose records are damaged are left out, and count. It returns
	// the last user that it came to, and whether there are more.
	Scan(after session.Name, n int, f func(session.Brief)) (last session.Name, more bool, err error)

	// Update changes one user in one step, and returns the record as it was stored. edit is
	// given the record as it stands: nil if there is none, one with Damaged set if it cannot
	// be read. It returns the record to store, or nil to delete the user, or an error to
	// change nothing, which Update returns as it is.
	//
	// A record returned with Generation 0 starts the user's quotas afresh. One with the
	// Generation that it had keeps them.
	//
	// edit must be quick, because other writes may wait for it. It may be called twice, on two
	// goroutines one after the other, if the user or the rules changed before its turn came.
	// Only the last call counts, and what the first one was given may never have been in force.
	Update(org, user string, edit func(old *session.Record) (*session.Record, error)) (session.Record, error)

	// UpdateMany is Update for several users in one step: all of them or, if edit returns an
	// error, none. No name may occur twice. edit is called once for each, with its index and
	// the state before all changes.
	UpdateMany(names []session.Name, edit func(i int, old *session.Record) (*session.Record, error)) error

	// Damaged returns the users whose records were found damaged and not written since, as
	// ORG/USER.
	Damaged() []string
}

// Policies is the part of a store that holds policies.
type Policies interface {
	// Policies returns all stored policies. Those that are damaged are missing from the list,
	// and each is an error of its own in damaged.
	Policies() (list []session.Policy, damaged, err error)

	// Policy returns one stored policy, nil if there is none, or [auth.ErrDamaged].
	Policy(id string) (*session.Policy, error)

	// UpdatePolicy changes one policy in one step. edit is given the policy as it stands (nil:
	// there is none, or it is damaged) and a function that visits the users that have it at
	// that moment. It returns the policy to store, or nil to delete it, or an error to change
	// nothing, which UpdatePolicy returns as it is. The change acts on every check, and on
	// every edit of a user, that starts after UpdatePolicy has returned. All other writes may
	// wait for edit.
	UpdatePolicy(id string, edit func(old *session.Policy, users session.PolicyUsers) (*session.Policy, error)) error
}

// Quotas is the part of a store that remembers what was granted of users' quotas.
type Quotas interface {
	limiter.Ledger

	// GiveBack carries out the asks of a process that stops, which give back what it has not
	// used ([limiter.Quota.GiveBack]), in one step. Asks about quotas that have ended are left
	// out.
	GiveBack(unused map[limiter.QuotaKey]limiter.Ask) error
}

// Stats are what a store has done since it was opened, and how large it is.
type Stats struct {
	Commits, Failures uint64
	Writes            uint64        // operations that shared the commits
	Reservations      uint64        // asks for quota, among the writes
	Committing        time.Duration // total time of the commits
	Bytes             int64
	Users             uint64 // 0 while it is not known
}
