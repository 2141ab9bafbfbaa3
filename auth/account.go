package auth

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"unique"

	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/problem"
	"sidekey/limiter"
)

// Account is a user in the form that decisions are made from: compiled from the record, its
// policies and the configuration when the user becomes active, replaced as a whole when one
// of them changes. Nothing in it changes but counters, so it is read without locks.
type Account struct {
	// The fields that every check reads come first: with many users they must come from memory.

	org, user  string
	compiler   *Compiler // that made it; nil: see stayed
	uses       []session.PolicyUse
	used       atomic.Bool // a request was let in since the sweep last came by
	inactive   bool
	detailed   bool
	expires    int64 // Unix seconds; 0 = never
	remembered password.Remembered
	grants     []grant                    // by API id
	every      *grant                     // for an API that grants does not name; nil: none
	identity   []byte                     // values of the identity headers, one behind the other
	lengths    [len(identityNames)]uint32 // of each
	tags       uint32                     // how many of labels are tags; the rest are policies' ids
	meta       []header                   // from meta_data

	generation uint64
	hash       string    // of the password; "" = none can be right
	signer     *signer   // of signed requests; nil = none can be right
	buckets    []*bucket // by scope
	labels     []string

	toldBlocked *atomic.Bool // Expired or Inactive is not news, until the user is edited
	stayed      *Compiler    // for which it could not be compiled, because the store is down: see stay
}

// header is a response header that is written as it stands.
type header struct {
	name, value []byte
}

// Org and User return the names of the account.
func (a *Account) Org() string  { return a.org }
func (a *Account) User() string { return a.user }

// Alias, Tags and Policies describe the account to people: the tags after its policies
// are applied, the policies by their ids. The slices must not be changed.
func (a *Account) Alias() []byte {
	start := a.lengths[0] + a.lengths[1]
	return a.identity[start : start+a.lengths[2]]
}
func (a *Account) Tags() []string     { return a.labels[:a.tags] }
func (a *Account) Policies() []string { return a.labels[a.tags:] }

// Detailed reports whether every decision about the account is to be recorded in full
// (Tyk's enable_detailed_recording).
func (a *Account) Detailed() bool { return a.detailed }

// Identity yields the headers that tell the upstream which user is calling: always all of
// them, with an empty value if the user has none, so that a proxy that copies them
// overwrites what the client sent under these names. Their bytes are shared and must
// not be changed.
func (a *Account) Identity(yield func(name, value []byte) bool) {
	values := a.identity
	for i, name := range identityNames {
		n := a.lengths[i]
		if !yield(name, values[:n:n]) {
			return
		}
		values = values[n:]
	}
	for _, h := range a.meta {
		if !yield(h.name, h.value) {
			return
		}
	}
}

// current reports whether c would make the account as it is: c has made it, and its policies
// are those that it was compiled from.
func (a *Account) current(c *Compiler) bool {
	if a.compiler != c {
		return false
	}
	for _, u := range a.uses {
		if u.Slot.Policy.Load() != u.Seen {
			return false
		}
	}
	return true
}

// hasPoliciesOf reports whether the account was compiled from the policies that c has now.
func (a *Account) hasPoliciesOf(c *Compiler) bool {
	_, uses := c.Policies.Use(a.Policies())
	return slices.Equal(uses, a.uses)
}

// stay returns the account for a configuration for which it cannot be compiled, because the
// store is down: everything stays, except that it has the headers that c.MetaHeaders names. One
// that is new is empty, so that a client cannot send it. The next check tries to compile again.
func (a *Account) stay(c *Compiler) *Account {
	made := a.compiler
	if made == nil {
		made = a.stayed
	}
	known := make(map[string][]byte)
	for i, name := range slices.Sorted(maps.Keys(made.MetaHeaders)) {
		known[name] = a.meta[i].value
	}
	b := &Account{
		org: a.org, user: a.user, uses: a.uses, inactive: a.inactive, detailed: a.detailed, expires: a.expires,
		grants: a.grants, every: a.every, identity: a.identity, lengths: a.lengths, tags: a.tags,
		generation: a.generation, hash: a.hash, signer: a.signer, buckets: a.buckets, labels: a.labels,
		toldBlocked: a.toldBlocked, stayed: c,
	}
	for _, name := range slices.Sorted(maps.Keys(c.MetaHeaders)) {
		b.meta = append(b.meta, header{[]byte(c.MetaHeaders[name]), known[name]})
	}
	b.used.Store(a.used.Load())
	b.remembered.Init()
	b.remembered.TakeOver(&a.remembered)
	return b
}

// close ends the account's quotas: requests that still hold it look the user up
// again.
func (a *Account) close() {
	for _, b := range a.buckets {
		b.quota.Close()
	}
}

// Compiler turns records into accounts. It does not change once it is in force: a configuration
// that accounts are made differently from has another one.
type Compiler struct {
	Ledger      limiter.Ledger
	Policies    *session.Policies
	MergeTags   bool              // policies' tags are added to the session's instead of replacing them
	MetaHeaders map[string]string // meta_data name to header name

	// OpenSecret returns the secret that a record keeps sealed in hmac_string.
	OpenSecret func(n session.Name, sealed string) (secret string, err error)
}

// Effective returns a session with its policies applied.
func (c *Compiler) Effective(s *session.Session) session.Effective {
	policies, _ := c.Policies.Use(s.ApplyPolicies)
	return session.Apply(s, policies, c.MergeTags)
}

// Compile builds the account of a record. kept is what the ledger last kept of the
// user's quotas. From previous (nil: none) it takes over the state of all limits,
// unless the record has been created again since.
func (c *Compiler) Compile(r session.Record, kept []KeptQuota, previous *Account) *Account {
	policies, uses := c.Policies.Use(r.Session.ApplyPolicies)
	e := session.Apply(&r.Session, policies, c.MergeTags)
	a := &Account{
		org:        shared(r.Org),
		compiler:   c,
		user:       r.User,
		generation: r.Generation,
		hash:       r.Session.BasicAuth.Password,
		inactive:   e.Inactive,
		expires:    max(0, r.Session.Expires),
		uses:       uses,
		meta:       c.meta(&e),
		tags:       uint32(len(e.Tags)),
		labels:     slices.Concat(e.Tags, r.Session.ApplyPolicies),
		detailed:   r.Session.EnableDetailedRecording,

		toldBlocked: new(atomic.Bool),
	}
	a.identify(&r.Session)
	if e.HMAC {
		a.hash = "" // a user who must sign cannot log in by password
		a.signer = c.signer(r)
	}
	a.remembered.Init()
	if previous != nil && previous.generation != r.Generation {
		previous.close()
		previous = nil
	}
	if previous != nil && previous.expires == a.expires && previous.inactive == a.inactive {
		a.toldBlocked = previous.toldBlocked
	}
	c.grant(a, &e, kept, previous)
	for _, b := range a.buckets {
		b.quota.SetTriggers(r.Session.Monitor.TriggerLimits)
	}
	if previous != nil {
		c.letGo(a, previous)
	}
	return a
}

// shared returns s in the one place where all accounts have it.
func shared(s string) string { return unique.Make(s).Value() }

// signer returns the checker of a user's signatures, or nil if the record has no secret, or
// one that cannot be opened: then no signature is right.
func (c *Compiler) signer(r session.Record) *signer {
	if r.Session.HMACString == "" {
		return nil
	}
	secret, err := c.OpenSecret(r.Name(), r.Session.HMACString)
	if err != nil {
		return nil
	}
	return &signer{Signer: httpsig.NewSigner(r.Org, r.User, []byte(secret))}
}

func (c *Compiler) grant(a *Account, e *session.Effective, kept []KeptQuota, previous *Account) {
	own := c.bucket(a, "", e.Limits, kept, previous)
	if e.Every {
		a.every = &grant{limits: own}
	}
	var before map[string]*limiter.Window
	if previous != nil {
		before = maps.Collect(previous.endpointWindows)
	}
	a.grants = make([]grant, 0, len(e.Rights))
	for _, id := range slices.Sorted(maps.Keys(e.Rights)) {
		right := e.Rights[id]
		g := grant{api: shared(id), limits: own, shadow: right.Shadow}
		for _, version := range right.Versions {
			g.versions = append(g.versions, shared(version))
		}
		if right.Limit != nil {
			g.limits = c.bucket(a, right.Scope, *right.Limit, kept, previous)
		}
		if right.Excess || right.TooLarge() {
			g.rules = route.TooCostlyRules
		} else {
			urls, limits := rulesOf(id, right.Right)
			rules := make([]route.EndpointRule, len(limits))
			for i, l := range limits {
				rules[i] = l.EndpointRule
				w := window(before[l.scope], l.rate, l.per)
				delete(before, l.scope) // no two endpoints have one window
				g.endpoints = append(g.endpoints, endpoint{l.scope, w})
			}
			g.rules = route.NewRules(urls, rules)
		}
		a.grants = append(a.grants, g)
	}
}

// findBucket returns the index of the bucket of that scope, or where it belongs.
func (a *Account) findBucket(scope string) (i int, found bool) {
	return slices.BinarySearchFunc(a.buckets, scope, func(b *bucket, scope string) int { return strings.Compare(b.scope, scope) })
}

// bucket returns the account's bucket of a scope, with the state that it had in the
// account before.
func (c *Compiler) bucket(a *Account, scope string, limit session.LimitSpec, kept []KeptQuota, previous *Account) *bucket {
	place, found := a.findBucket(scope)
	if found {
		return a.buckets[place]
	}
	var before bucket
	if previous != nil {
		if i, found := previous.findBucket(scope); found {
			before = *previous.buckets[i]
		}
	}
	b := &bucket{
		scope:    scope,
		rate:     window(before.rate, limit.Rate, limit.Per),
		throttle: limit.Throttle(),
		shadow:   limit.Shadow,
		notices:  before.notices,
	}
	if b.rate != nil {
		b.rate.SetSmoothing(limit.Smoothing.Compile())
	}
	if b.notices == nil {
		b.notices = new(notices)
	}
	switch {
	case before.quota != nil && limit.QuotaMax > 0:
		b.edition = before.quota.SetLimit(limit.QuotaMax, limit.Renewal)
		b.quota = before.quota
	default:
		key := limiter.QuotaKey{Org: a.org, User: a.user, Scope: scope}
		b.quota = limiter.NewQuota(key, limit.QuotaMax, limit.Renewal, state(kept, a.generation, scope), c.Ledger)
	}
	a.buckets = slices.Insert(a.buckets, place, b)
	return b
}

// window returns before with a new limit, or a new window if there was none.
func window(before *limiter.Window, rate, per float64) *limiter.Window {
	after := limiter.NewWindow(rate, per)
	if after == nil || before == nil {
		return after
	}
	before.SetLimit(rate, per)
	return before
}

// endpointWindows yields the windows of all endpoints by their scopes, each window once;
// nil if the endpoint's rate is not limited.
func (a *Account) endpointWindows(yield func(scope string, w *limiter.Window) bool) {
	for i := range a.grants {
		for _, e := range a.grants[i].endpoints {
			if !yield(e.scope, e.window) {
				return
			}
		}
	}
}

// letGo ends the quotas of previous that a has not taken over, and gives back the part of
// their reservations that is not used.
func (c *Compiler) letGo(a, previous *Account) {
	for _, b := range previous.buckets {
		if i, found := a.findBucket(b.scope); found && a.buckets[i].quota == b.quota {
			continue
		}
		if key, ask, needed := b.quota.GiveBack(); needed {
			c.Ledger.Reserve(key, ask, func(limiter.Grant, error) {})
		}
	}
}

// KeptQuota is one quota as the ledger kept it.
type KeptQuota struct {
	Scope string
	limiter.Reservation
}

// state returns the kept state of a scope, or an untouched quota.
func state(kept []KeptQuota, generation uint64, scope string) limiter.Reservation {
	for _, k := range kept {
		if k.Scope == scope && k.Generation == generation {
			return k.Reservation
		}
	}
	return limiter.Reservation{Generation: generation}
}

// Names of the identity headers.
const (
	headerUser     = "X-Auth-User"
	headerOrg      = "X-Auth-Org"
	headerAlias    = "X-Auth-Alias"
	headerTags     = "X-Auth-Tags"
	headerPolicies = "X-Auth-Policies"
)

// IdentityHeaders are the names that no entry of check.meta_headers may take.
var IdentityHeaders = []string{headerUser, headerOrg, headerAlias, headerTags, headerPolicies}

// identityNames are those names as all accounts share them.
var identityNames = [...][]byte{[]byte(headerUser), []byte(headerOrg), []byte(headerAlias), []byte(headerTags), []byte(headerPolicies)}

// identify sets the values of the identity headers. They lie in one piece, because all
// of them are read with every request.
func (a *Account) identify(s *session.Session) {
	values := [len(identityNames)]string{a.user, a.org, s.Alias, strings.Join(a.Tags(), ","), strings.Join(a.Policies(), ",")}
	for i, value := range values {
		a.lengths[i] = uint32(len(value))
	}
	a.identity = []byte(strings.Join(values[:], ""))
}

func (c *Compiler) meta(e *session.Effective) (headers []header) {
	for _, name := range slices.Sorted(maps.Keys(c.MetaHeaders)) {
		headers = append(headers, header{[]byte(c.MetaHeaders[name]), metaHeader(e.MetaData[name])})
	}
	return headers
}

// metaHeader returns a value of meta_data as a header, or nothing if it cannot be one: a name
// can be added to check.meta_headers after sessions with any value were written.
func metaHeader(value jsontext.Value) []byte {
	if value == nil {
		return nil
	}
	text := session.MetaText(value)
	var ps problem.List
	if ps.CheckText("", text, problem.MaxText); len(ps) > 0 {
		return nil
	}
	return []byte(text)
}
