package auth

import (
	"crypto/rand"
	"slices"
	"strings"

	"sidekey/limiter"
)

// Account is a user in the form that decisions are made from: compiled once from
// the record when the user becomes active, replaced as a whole when the record
// changes. Nothing in it changes but counters, so it is read without locks.
type Account struct {
	org, user  string
	generation uint64
	hash       string // of the password; "" = none can be right
	inactive   bool
	expires    int64            // Unix seconds; 0 = never
	rights     map[string]Right // by API id; nil = all of the org

	rate  *limiter.Window
	quota *limiter.Quota

	identity   []Header
	remembered remembered
}

// Header is a response header that is written as it stands. Its bytes are shared
// and must not be changed.
type Header struct {
	Name, Value []byte
}

// Org and User name the account.
func (a *Account) Org() string  { return a.org }
func (a *Account) User() string { return a.user }

// Identity returns the headers that tell the upstream who is calling: always all of
// them, with an empty value where there is none, so that a proxy that copies them
// overwrites whatever the client sent under these names.
func (a *Account) Identity() []Header { return a.identity }

// Compiler turns records into accounts.
type Compiler struct {
	Ledger      limiter.Ledger
	MetaHeaders map[string]string // meta_data name to header name
}

// Compile builds the account of a record. kept is what the ledger last kept of the
// user's quotas. From previous (nil: none) it takes over the limits whose state the
// record has not ended.
func (c *Compiler) Compile(r Record, kept []KeptQuota, previous *Account) *Account {
	s := &r.Session
	a := &Account{
		org:        r.Org,
		user:       r.User,
		generation: r.Generation,
		hash:       s.BasicAuth.Password,
		inactive:   s.IsInactive,
		expires:    max(0, s.Expires),
		identity:   c.identity(r),
	}
	if len(s.AccessRights) > 0 {
		a.rights = s.AccessRights
	}
	if _, err := rand.Read(a.remembered.key[:]); err != nil {
		panic("BUG: the system's random source failed: " + err.Error())
	}
	if previous != nil && previous.generation != r.Generation {
		previous.close()
		previous = nil
	}
	c.limits(a, s, kept, previous)
	return a
}

func (c *Compiler) limits(a *Account, s *Session, kept []KeptQuota, previous *Account) {
	if previous != nil && previous.rate.Same(s.Rate, s.Per) {
		a.rate = previous.rate
	} else {
		a.rate = limiter.NewWindow(s.Rate, s.Per)
	}
	key := limiter.QuotaKey{Org: a.org, User: a.user}
	if previous != nil && previous.quota != nil {
		if s.QuotaMax > 0 {
			previous.quota.SetLimit(s.QuotaMax, s.QuotaRenewalRate)
			a.quota = previous.quota
			return
		}
		if _, r, unused := previous.quota.Settle(); unused {
			c.Ledger.Reserve(key, r, func(error) {})
		}
	}
	a.quota = limiter.NewQuota(key, s.QuotaMax, s.QuotaRenewalRate, state(kept, a.generation, ""), c.Ledger)
}

// KeptQuota is one quota as the ledger kept it.
type KeptQuota struct {
	Scope string
	limiter.Reservation
}

// state returns what was kept for scope, or an untouched quota.
func state(kept []KeptQuota, generation uint64, scope string) limiter.Reservation {
	for _, k := range kept {
		if k.Scope == scope && k.Generation == generation {
			return k.Reservation
		}
	}
	return limiter.Reservation{Generation: generation}
}

// close ends the account's quotas: requests that still hold it look the user up
// again.
func (a *Account) close() { a.quota.Close() }

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

func (c *Compiler) identity(r Record) []Header {
	s := &r.Session
	headers := []Header{
		{[]byte(headerUser), []byte(r.User)},
		{[]byte(headerOrg), []byte(r.Org)},
		{[]byte(headerAlias), []byte(s.Alias)},
		{[]byte(headerTags), []byte(strings.Join(s.Tags, ","))},
		{[]byte(headerPolicies), []byte(strings.Join(s.ApplyPolicies, ","))},
	}
	names := make([]string, 0, len(c.MetaHeaders))
	for name := range c.MetaHeaders {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var value string
		if v, ok := s.MetaData[name]; ok {
			value = headerSafe(metaText(v))
		}
		headers = append(headers, Header{[]byte(c.MetaHeaders[name]), []byte(value)})
	}
	return headers
}

// headerSafe returns text, or nothing where it cannot be a header value: a name can
// be added to check.meta_headers after sessions with any value were written.
func headerSafe(text string) string {
	var ps Problems
	if checkText(&ps, "", text, maxText); len(ps) > 0 {
		return ""
	}
	return text
}
