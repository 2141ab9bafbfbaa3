package auth

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"sidekey/auth/session"
	"sidekey/limiter"
)

// Errors of a store.
var (
	// ErrNoUser says that there is no such user.
	ErrNoUser = errors.New("no such user")
	// ErrDamaged says that the user's record does not match its checksum. The user
	// is refused; others are not affected.
	ErrDamaged = errors.New("the record is damaged")
	// ErrStoreDown says that the store cannot be read or written at the moment.
	ErrStoreDown = errors.New("the store is not available")
)

// Source is the store that records come from.
type Source interface {
	// Load returns a user's record and quotas of one moment, or [ErrNoUser],
	// [ErrDamaged], [ErrStoreDown].
	Load(org, user string) (session.Record, []KeptQuota, error)
}

// Directory holds the accounts of active users and loads the others when they
// come. Finding an account takes no lock and allocates nothing; names that do not
// exist leave no trace. [Settings.MaxActive] bounds how many are held.
//
// The writer of the store tells the directory of every change before the change is
// acknowledged ([Directory.Publish]). Loading and publishing one user exclude each
// other, so a record that was read before a change can never replace it.
//
// The directory also holds the one pointer to the settings in force. An account remembers the
// compiler that made it, and is compiled again if a check comes with another one: so other
// settings are one store, however many users are active.
type Directory struct {
	source   Source
	seed     maphash.Seed
	settings atomic.Pointer[Settings]
	table    atomic.Pointer[table]
	loading  [64]sync.Mutex // by hash: held while a user is loaded or published

	bound   atomic.Pointer[bound]
	settled atomic.Bool // quotas have been ended for good

	mu   sync.Mutex // protects writes to table and its chains
	size int
	hand uint64 // of the sweep: the chain that it came to last
}

// table is a hash table whose chains are changed under Directory.mu and walked
// without it: an entry is complete before it is linked, and unlinking leaves the
// entry's own next pointer for readers that have come to it.
type table struct {
	chains []atomic.Pointer[entry] // a power of two
}

type entry struct {
	hash    uint64
	account atomic.Pointer[Account]
	next    atomic.Pointer[entry]
}

// NewDirectory returns an empty directory. Of the settings it has only the compiler; see
// [NewChecker] for the others.
func NewDirectory(source Source, compiler *Compiler) *Directory {
	d := &Directory{source: source, seed: maphash.MakeSeed()}
	d.settings.Store(&Settings{Compiler: compiler})
	d.table.Store(newTable(1024))
	return d
}

func newTable(chains int) *table {
	return &table{chains: make([]atomic.Pointer[entry], chains)}
}

func (t *table) chain(hash uint64) *atomic.Pointer[entry] {
	return &t.chains[hash&uint64(len(t.chains)-1)]
}

func (d *Directory) hash(org string, user []byte) uint64 {
	return maphash.String(d.seed, org)*31 ^ maphash.Bytes(d.seed, user)
}

// Find returns the account of a user, loading it if it is not active, or an error of [Source].
func (d *Directory) Find(org string, user []byte) (*Account, error) {
	for {
		a, err := d.findFor(d.settings.Load().Compiler, org, user)
		if err != errSuperseded {
			return a, err
		}
	}
}

// errSuperseded says that other settings, with another compiler, are in force by now: the caller
// must begin again with those.
var errSuperseded = errors.New("other settings are in force")

// findFor is Find for a caller whose settings have this compiler: it returns the account that
// the compiler makes, or [errSuperseded].
func (d *Directory) findFor(c *Compiler, org string, user []byte) (*Account, error) {
	hash := d.hash(org, user)
	if e := d.find(hash, org, user); e != nil {
		if a := e.account.Load(); a.current(c) {
			return a, nil
		}
	}
	d.sweep()
	return d.load(c, hash, org, user)
}

// Live returns the account of a user that is active, or nil. Nothing is loaded.
func (d *Directory) Live(org, user string) *Account {
	name := []byte(user)
	if e := d.find(d.hash(org, name), org, name); e != nil {
		return e.account.Load()
	}
	return nil
}

// Quotas returns the live state of a user's quotas by their scope, whether the user is
// active or not. r and kept are what the store holds.
func (d *Directory) Quotas(r session.Record, kept []KeptQuota, now limiter.Now) map[string]limiter.QuotaState {
	a := d.state(r, kept)
	states := make(map[string]limiter.QuotaState, len(a.buckets))
	for _, b := range a.buckets {
		states[b.scope] = b.quota.State(now)
	}
	return states
}

// state returns the account of a user as it is, or as it would be if the user were active. An
// account that a reload has outdated is compiled again as for a check: only it knows how much of
// its limits is used.
func (d *Directory) state(r session.Record, kept []KeptQuota) *Account {
	c := d.settings.Load().Compiler
	a := d.Live(r.Org, r.User)
	if a != nil && a.compiler != c {
		a, _ = d.Find(r.Org, []byte(r.User))
	}
	if a == nil || a.generation != r.Generation || !a.current(c) && a.stayed != c {
		compiler := *c
		compiler.Ledger = nil // nothing will be charged
		a = compiler.Compile(r, kept, nil)
	}
	return a
}

// Effective returns a session with its policies in force applied.
func (d *Directory) Effective(s *session.Session) session.Effective {
	return d.settings.Load().Compiler.Effective(s)
}

func (d *Directory) find(hash uint64, org string, user []byte) *entry {
	for e := d.table.Load().chain(hash).Load(); e != nil; e = e.next.Load() {
		if e.hash != hash {
			continue
		}
		if a := e.account.Load(); a.user == string(user) && a.org == org {
			return e
		}
	}
	return nil
}

// load returns the account of a user who is not active, or whose account another compiler has
// made, or was made from policies that have changed since.
func (d *Directory) load(c *Compiler, hash uint64, org string, user []byte) (*Account, error) {
	defer d.lock(hash)()
	for {
		var before *Account
		if e := d.find(hash, org, user); e != nil {
			if before = e.account.Load(); before.current(c) {
				return before, nil
			}
		}
		// If other settings come in force from here on, the next check notices: it comes with
		// another compiler.
		if d.settings.Load().Compiler != c {
			return nil, errSuperseded
		}
		after, err := d.compileLocked(c, hash, org, user, before, true)
		if err != nil || after.stayed == c {
			return after, err
		}
	}
}

// lock takes the lock under which a user is loaded and published, and returns the function that
// releases it.
func (d *Directory) lock(hash uint64) (unlock func()) {
	lock := &d.loading[hash%uint64(len(d.loading))]
	lock.Lock()
	return lock.Unlock
}

// Publish makes what the store has committed of one user the state that every check
// sees which starts after Publish returns. A user that is not active is left for
// the next check to load.
func (d *Directory) Publish(org, name string) {
	user := []byte(name)
	hash := d.hash(org, user)
	defer d.lock(hash)()
	if e := d.find(hash, org, user); e != nil {
		// An account that cannot be loaded is dropped: the next check gets the error.
		_, _ = d.compileLocked(d.settings.Load().Compiler, hash, org, user, e.account.Load(), false)
	}
}

// compileLocked compiles a user's record and puts the account in place of before (nil: there
// was none). The lock of the user's hash is held. same says that the record has not changed, so
// that a remembered password stays; if the store is down, the account then stays too, unless
// its policies have changed.
func (d *Directory) compileLocked(c *Compiler, hash uint64, org string, user []byte, before *Account, same bool) (after *Account, err error) {
	record, kept, err := d.source.Load(org, string(user))
	switch {
	case err != nil && before != nil && same && errors.Is(err, ErrStoreDown) && before.hasPoliciesOf(c):
		if before.stayed == c {
			return before, nil
		}
		after = before.stay(c)
		d.replace(hash, before, after)
		return after, nil
	case err != nil:
		if before != nil {
			d.replace(hash, before, nil)
			before.close()
		}
		return nil, err
	}
	after = c.Compile(record, kept, before)
	if before == nil {
		if b := d.bound.Load(); b != nil {
			after.begin(b.now())
		}
		d.insert(hash, after)
		return after, nil
	}
	if same && before.generation == after.generation && before.hash == after.hash {
		after.remembered.TakeOver(&before.remembered)
	}
	d.replace(hash, before, after)
	return after, nil
}

// Active returns how many accounts are held.
func (d *Directory) Active() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.size
}

// Settle ends all quotas and returns the asks that give back the part of reservations that is not used.
func (d *Directory) Settle() map[limiter.QuotaKey]limiter.Ask {
	d.settled.Store(true)
	unused := make(map[limiter.QuotaKey]limiter.Ask)
	for _, account := range d.accounts() {
		for _, b := range account.buckets {
			if key, ask, needed := b.quota.GiveBack(); needed {
				unused[key] = ask
			}
		}
	}
	return unused
}

func (d *Directory) accounts() []*Account {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Account, 0, d.size)
	t := d.table.Load()
	for i := range t.chains {
		for e := t.chains[i].Load(); e != nil; e = e.next.Load() {
			all = append(all, e.account.Load())
		}
	}
	return all
}

func (d *Directory) insert(hash uint64, account *Account) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.table.Load()
	if d.size >= len(t.chains) {
		// A reader that walks the old table while it is copied started before any change
		// that comes after, so it may see the old accounts.
		grown := newTable(2 * len(t.chains))
		for i := range t.chains {
			for e := t.chains[i].Load(); e != nil; e = e.next.Load() {
				grown.link(e.hash, e.account.Load())
			}
		}
		d.table.Store(grown)
		t = grown
	}
	t.link(hash, account)
	d.size++
}

// replace puts after in place of before, or removes before if after is nil.
// It looks the entry up again, because the table may have grown since.
func (d *Directory) replace(hash uint64, before, after *Account) {
	d.mu.Lock()
	defer d.mu.Unlock()
	link := d.table.Load().chain(hash)
	for e := link.Load(); e != nil; link, e = &e.next, e.next.Load() {
		if e.account.Load() != before {
			continue
		}
		if after != nil {
			e.account.Store(after)
			return
		}
		link.Store(e.next.Load())
		d.size--
		return
	}
}

func (t *table) link(hash uint64, account *Account) {
	chain := t.chain(hash)
	e := &entry{hash: hash}
	e.account.Store(account)
	e.next.Store(chain.Load())
	chain.Store(e)
}
