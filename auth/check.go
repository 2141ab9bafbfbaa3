// Package auth decides whether a request may pass.
//
// [Checker.Check] finds the API of a [Request], recognises the user, looks up what the user may do
// with the API, charges the request to all limits together, and returns a [Verdict]. The checks
// come in the order of [Reason]. Package auth knows neither HTTP nor the store: a [Source] loads
// records, and a [Directory] holds the accounts of active users, compiled for decisions.
//
// The package is large because a decision, the accounts that it reads and the table that holds them
// depend on each other's insides; what does not has packages of its own, such as auth/password.
//
// # Choices
//
// We keep no cache of logins. A user's remembered password is a keyed digest on the account
// itself, because an attacker can neither grow nor flush that, and an edit of the user, which
// makes a new account, forgets it without any invalidation. Instead of a table by name that would
// need both. It costs one cache line for each active user.
//
// We name a user who failed to log in in logs and events only if there is such a user. Operators
// need the name; but names that do not exist are often passwords typed into the wrong field.
// Instead of naming all or none. The client sees no difference. It costs the operator the names
// that were misspelt.
//
// We refuse a request whose quota cannot be recorded within limits.quota_wait as busy (429), with
// a message of its own. A client can cause this on a slow disk, so it must not be a 5xx, which some
// proxies let through. Instead of Tyk's reasons, which have none for it.
//
// We use a signature up when it is right, even if the rate then refuses the request, because a
// captured copy of the refused request must not run after the client has signed and sent another.
// Instead of using it up when the request passes. It costs clients one signature for each refusal.
//
// We answer a wrong signature after 2 ms, whichever user it names. A MAC takes a microsecond, and
// looking up a user who is active, one who is not and one who does not exist takes different times.
// Instead of answering at once. It costs clients with wrong signatures 2 ms.
//
// We remember which refusals an event has reported beside the limits themselves. It takes as many
// words as there are active users, and an edit that keeps the limits keeps it. Instead of a table by
// name. It costs a second event in a period if the account left memory in between.
//
// We pool decisions, because the ways to be recognised are called through an interface and Go
// would otherwise allocate each decision. Instead of a switch that lists the ways at each step. It
// costs about ten nanoseconds for each request.
package auth

import (
	"time"

	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/limiter"
)

// Settings are everything in the configuration that decides about requests. They never change:
// a reload replaces them as one value, so a request, which loads them once, sees one
// configuration whole. Two settings may share parts that are equal in both.
//
// With
//
//	Settings{VerifiedTTL: 5 * time.Minute, QuotaWait: time.Second, SignatureSkew: 5 * time.Minute, …}
//
// a password that was right at 12:00:00 is not hashed again before 12:05:00, a request whose quota
// has no reservation waits a second for one before it is refused as [Busy], and at 12:00:00 a
// signature must be dated between 11:55:00 and 12:05:00.
type Settings struct {
	APIs        *route.APIs
	Passwords   *password.Passwords
	Failures    *password.Failures // nil: guessing is not slowed down
	VerifiedTTL time.Duration      // how long a right password is remembered; 0 = never
	QuotaWait   time.Duration      // how long a request waits for a reservation at most

	AllowEmptyRights bool // a session without access_rights may use every API of its org

	SignatureSkew time.Duration  // how far a signed date may be from now, in whole seconds
	Signatures    *httpsig.Spent // the same one in all settings of a program

	// Upgrade is called with a right password whose hash does not have the configured kind and
	// cost; nil: it is not called. It must not block, and may keep the password, which is a copy.
	Upgrade func(org, user, outdated string, password []byte)

	// Compiler makes accounts: meta headers, tags of policies, the policies of the file. As long
	// as it is the same value, accounts stay. nil: the one in force stays.
	Compiler *Compiler

	MaxActive int // how many accounts [Directory.Bound] keeps at most; 0 = no bound
	Replies   Replies
}

// Replies says how package check turns verdicts into replies.
type Replies struct {
	QuotaStatus        int  // status for clients whose quota is used up: 403 or 429
	RateInHeaders      bool // X-RateLimit-* carry the rate instead of the quota
	StripAuthorization bool // ask proxies that support it to remove Authorization
	MaxWaiting         int  // how many requests over their rate are held at once; 0 = none
}

// Checker decides about requests. It is safe for concurrent use.
type Checker struct {
	directory *Directory // also holds the settings
	now       func() limiter.Now
}

// NewChecker returns a checker over the users of a directory and puts s in force. It calls now
// again after a decision had to wait; now must not run backwards against the times given to Check.
func NewChecker(d *Directory, s *Settings, now func() limiter.Now) *Checker {
	c := &Checker{directory: d, now: now}
	c.SetSettings(s)
	return c
}

// SetSettings replaces the configuration for all checks that start from now on. It takes no
// lock and looks at no account. s must not change any more.
func (c *Checker) SetSettings(s *Settings) {
	if s.Compiler == nil {
		s.Compiler = c.Settings().Compiler
	}
	c.directory.settings.Store(s)
}

// Settings returns the configuration in force.
func (c *Checker) Settings() *Settings { return c.directory.settings.Load() }

// Check decides about a request. The checks come in the order of [Reason]: the first that
// refuses is the answer, and a refused request uses up nothing. The two slow steps, hashing
// a password and waiting for a reservation of quota, are bounded.
func (c *Checker) Check(now limiter.Now, r *Request) (v Verdict) {
	d := c.start(now, r, nil)
	d.verdict = &d.own
	d.decide()
	v, d.own = d.own, Verdict{}
	d.release()
	return v
}

// CheckInto is Check for a verdict that already lies in the heap, which saves a copy. v must be
// zero.
func (c *Checker) CheckInto(v *Verdict, now limiter.Now, r *Request) {
	d := c.start(now, r, v)
	d.decide()
	d.release()
}
