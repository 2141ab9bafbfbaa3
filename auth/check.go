// Package auth decides whether a request may pass.
package auth

import (
	"slices"
	"sort"
	"strings"
	"time"

	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// Request is a question: may this request pass? The bytes are borrowed from the
// caller until [Checker.Check] returns; nothing of them is kept.
type Request struct {
	APIID  []byte // named by the proxy's configuration; nil: found by host and path
	Method []byte
	Host   []byte
	URI    []byte // path and query as the client sent them
	Client []byte // address

	Authorization      []byte
	AuthorizationCount int // how many Authorization headers there were

	// OtherUpgrade says that the client asks for an upgrade to anything but WebSocket, or
	// to something beside it.
	OtherUpgrade bool

	Headers Headers
}

// opensTunnel reports whether the application may answer with a tunnel, in which further
// requests would pass that are never asked about: CONNECT, and upgrades such as h2c.
// WebSocket is the exception, because its frames carry no requests.
func (r *Request) opensTunnel() bool {
	return r.OtherUpgrade || string(r.Method) == "CONNECT"
}

// Headers are those of the client's request that the proxy passed on.
type Headers interface {
	// Header returns the first header with that name, borrowed like [Request], and
	// how many there are.
	Header(name string) (value []byte, count int)
	// Values returns all headers with that name, until it is called again.
	Values(name []byte) [][]byte
}

// Verdict is the answer. A refusal is a verdict, not an error.
type Verdict struct {
	Reason  Reason
	Message string     // of the error body; "" for Pass
	Account *Account   // nil where nobody was recognised
	Named   *Account   // whom the credentials name, right or not, for logs alone; nil where there is no such user
	API     *route.API // nil where none was found
	Rate    limiter.RateState
	Quota   limiter.QuotaState
	Retry   time.Duration // when asking again makes sense; 0 = not said
	At      limiter.Now   // the moment that Rate and Quota are of

	Settings *Settings // by which the decision was made

	Shadow Reason // what would have refused the request, were it not in shadow; Pass: nothing
	// Remembered says that the password was not hashed, because it had been right before.
	Remembered bool

	Throttle *session.Throttle // how a request that is over its rate may be held, or nil: see [Checker.Hold]

	Reached []float64 // triggers of the quota that this request reached, in percent; not to be changed

	// Excess says that the path was refused without being compared with all patterns of the
	// right: that would have taken longer than a check may (see MaxCheckSteps).
	Excess bool

	version string   // of API
	notices *notices // of whose limits refused; see [Verdict.News]
}

// Settings are everything of the configuration that decides about requests. They never change:
// a reload replaces them as one value, so a request, which loads them once, sees one configuration
// whole. Two settings may share parts that are equal in both.
type Settings struct {
	APIs        *route.APIs
	Passwords   *password.Passwords
	Failures    *password.Failures // nil: nobody is slowed down
	VerifiedTTL time.Duration      // how long a right password is remembered; 0 = never
	QuotaWait   time.Duration      // longest that a request waits for a reservation

	AllowEmptyRights bool // a session without access_rights may use every API of its org

	SignatureSkew time.Duration  // how far a signed date may be from now, in whole seconds
	Signatures    *httpsig.Spent // one and the same in all settings of a program

	// Upgrade is told of a password that was right and whose hash is not of the
	// configured kind and cost; nil: nobody is. It must not block, and may keep the
	// password, which is a copy.
	Upgrade func(org, user, outdated string, password []byte)

	// Compiler makes accounts: meta headers, tags of policies, the policies of the file. As long
	// as it is the same value, accounts stay. nil: the one in force stays.
	Compiler *Compiler

	MaxActive int // accounts that [Directory.Bound] keeps to; 0 = no bound
	Replies   Replies
}

// Replies says how verdicts are put into replies, which package check does.
type Replies struct {
	QuotaStatus        int  // status for clients whose quota is used up: 403 or 429
	RateInHeaders      bool // X-RateLimit-* carry the rate instead of the quota
	StripAuthorization bool // ask proxies that support it to remove Authorization
	MaxWaiting         int  // how many requests over their rate are held at once; 0 = none
}

// Checker decides.
type Checker struct {
	directory *Directory // also holds the settings
	now       func() limiter.Now
}

// NewChecker returns a checker over the users of a directory, and puts s in force. now is asked again
// when a decision had to wait; it must not run backwards against the times given to
// Check.
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

// Check answers a request. The checks come in the order of [Reason]: the first that
// refuses is the answer, and a refused request uses up nothing. The two slow ways,
// hashing a password and waiting for a reservation of quota, are bounded.
func (c *Checker) Check(now limiter.Now, r *Request) (v Verdict) {
	c.decide(now, r, &v, nil)
	return v
}

// CheckInto is Check for a verdict that lies elsewhere than on the caller's stack: it saves a
// copy. v must be zero.
func (c *Checker) CheckInto(v *Verdict, now limiter.Now, r *Request) { c.decide(now, r, v, nil) }

// decide is Check; v is zero. With a trace it says what it looks at, and uses nothing up.
//
// A request that meets an account of newer settings begins again with those. Each turn needs
// one more reload, so it ends.
func (c *Checker) decide(now limiter.Now, r *Request, v *Verdict, t *trace) {
	spent := t != nil
	for {
		s := c.Settings()
		c.decideBy(s, now, r, v, &spent, t)
		if v.Reason != superseded {
			v.Settings = s
			return
		}
		*v = Verdict{}
		t.restart()
		now = c.now()
	}
}

// decideBy decides by these settings, or makes v's reason [superseded]. spent says that a
// signature need not be used up (again), and is set when it is.
func (c *Checker) decideBy(s *Settings, now limiter.Now, r *Request, v *Verdict, spent *bool, t *trace) {
	tunnel := r.opensTunnel()
	t.findTunnel(r, tunnel)
	if tunnel {
		v.refuse(AmbiguousRequest, nil)
		return
	}
	api, refusal := findAPI(s.APIs, r)
	t.findAPI(s.APIs, r, api, refusal)
	if refusal != Pass {
		v.refuse(refusal, api)
		return
	}
	version, known := versionOf(api, r)
	t.findVersion(api, r, version, known)
	if !known {
		v.refuse(UnknownVersion, api)
		return
	}
	signed := api.HMAC && r.AuthorizationCount == 1 && httpsig.Recognize(r.Authorization)
	var buf CredentialBuffer
	var given Credentials
	if !signed {
		var message Malformed
		given, refusal, message = credentials(r, &buf)
		t.readCredentials(r, given, refusal, message)
		if refusal != Pass {
			v.refuse(refusal, api)
			if message != "" {
				v.Message = string(message)
			}
			return
		}
	}
	for range accountTries {
		asked := now.Mono
		var account *Account
		var message string
		var retry time.Duration
		if signed {
			account, refusal, message, retry = c.authenticateSigned(now, s, api, r, spent, t)
		} else {
			account, refusal, retry = c.authenticate(&now, s, api.Org, r.Client, given, t)
		}
		if refusal == superseded {
			v.Reason = superseded
			return
		}
		if signed && refusal == BadCredentials || refusal == TooManyFailures || refusal == Busy {
			s.Passwords.PauseRefusal(time.Duration(c.now().Mono - asked))
		}
		t.authenticate(c, s, api, given, signed, account, refusal)
		if refusal != Pass {
			v.refuse(refusal, api)
			v.Named = account
			v.Retry = retry
			if message != "" {
				v.Message = message
			}
			return
		}
		remembered := !signed && now.Mono == asked // hashing takes time
		c.admit(&now, s, api, version, account, r, v, t)
		v.Remembered = remembered
		if v.Reason != retryAccount {
			return
		}
		if c.directory.settled.Load() {
			v.refuse(Unavailable, api) // its quotas were ended for good: we are stopping
			return
		}
		*v = Verdict{}
		// The user was edited while this request was under way. The new account is
		// there as soon as the writer that ended the old one has published it.
		time.Sleep(time.Millisecond)
		now = c.now()
	}
	v.refuse(Busy, api)
	v.Retry = time.Second
}

// accountTries bounds how often one request follows an account that is being edited. The
// answer then is no 5xx, which a proxy may let through.
const accountTries = 20

// retryAccount is not an answer: the account has been replaced.
const retryAccount = reasonCount

// superseded is not an answer: the decision must be made by newer settings. See [errSuperseded].
const superseded = reasonCount + 1

// refuse makes v a refusal of which nothing else is known.
func (v *Verdict) refuse(reason Reason, api *route.API) {
	*v = Verdict{Reason: reason, Message: reason.Message(), API: api}
}

// findAPI returns the API that r is for, or the reason to refuse it.
func findAPI(apis *route.APIs, r *Request) (*route.API, Reason) {
	api, outcome := apis.Find(route.Target{Named: r.APIID, Host: r.Host, URI: r.URI})
	return api, reasonOf(outcome, UnknownAPI)
}

// reasonOf returns the reason to refuse a request whose route came out so; unknown is the
// one for [Unknown].
func reasonOf(outcome route.Outcome, unknown Reason) Reason {
	switch outcome {
	case route.Found:
		return Pass
	case route.Unknown:
		return unknown
	}
	return AmbiguousPath
}

// versionOf returns the version of the API that r asks for, and whether there is one.
func versionOf(api *route.API, r *Request) (version string, known bool) {
	if len(api.Versions) == 0 {
		return api.DefaultVersion, true
	}
	return api.Version(r.Headers.Header(api.VersionHeader))
}

func credentials(r *Request, buf *CredentialBuffer) (Credentials, Reason, Malformed) {
	switch {
	case r.AuthorizationCount == 0, r.AuthorizationCount == 1 && len(r.Authorization) == 0:
		return Credentials{}, NoCredentials, ""
	case r.AuthorizationCount > 1:
		return Credentials{}, MalformedCredentials, notBasic
	}
	parsed, malformed := ParseBasic(r.Authorization, buf)
	if malformed != "" {
		return Credentials{}, MalformedCredentials, malformed
	}
	return parsed, Pass, ""
}

// admit checks what the account may do, charges the request to its limits and says so in
// v, which is zero.
func (c *Checker) admit(now *limiter.Now, s *Settings, api *route.API, version string, a *Account, r *Request, v *Verdict, t *trace) {
	if !a.used.Load() {
		a.used.Store(true)
	}
	v.Account, v.Named, v.API, v.version = a, a, api, version
	g := a.grantOf(api, s.AllowEmptyRights)
	switch {
	case a.inactive:
		v.Reason = Inactive
	case a.expires > 0 && now.Wall/int64(time.Second) >= a.expires:
		v.Reason = Expired
	case g == nil || !granted(g.versions, version):
		v.Reason = APINotGranted
	default:
		v.notices = g.limits.notices
		ch := charges{
			limits:   limiter.Limits{Rate: g.limits.rate, Quota: g.limits.quota, API: api.Limit, Edition: g.limits.edition},
			throttle: g.limits.throttle,
		}
		ch.shadow.rate, ch.shadow.quota = g.limits.shadow, g.limits.shadow
		if g.rules != nil {
			v.Reason = g.narrow(api, r, &ch)
			v.Excess = ch.excess
		}
		if v.Reason == Pass {
			ch.narrow(api)
			ch.trace = t
			c.charge(now, s, &ch, v)
		}
	}
	t.admit(c, s, now, a, g, r, v)
	if v.Reason != retryAccount && v.Message == "" {
		v.Message = v.Reason.Message()
	}
}

// grantOf returns what the account may do with an API, or nil for nothing.
func (a *Account) grantOf(api *route.API, allowEmpty bool) *grant {
	i, found := sort.Find(len(a.grants), func(i int) int { return strings.Compare(api.ID, a.grants[i].api) })
	if found {
		return &a.grants[i]
	}
	if a.every == nil || !allowEmpty {
		return nil
	}
	return a.every
}

// narrow checks a request against the rules of a right. If it is for one of the right's
// endpoints, that one's rate replaces the right's.
func (g *grant) narrow(api *route.API, r *Request, ch *charges) Reason {
	endpoint, outcome := g.rules.Match(api, r.Method, r.URI)
	ch.excess = outcome == route.TooCostly
	if outcome == route.Found && endpoint >= 0 {
		ch.limits.Rate = g.endpoints[endpoint].window
		ch.shadow.rate = ch.shadow.rate || g.shadow
	}
	return reasonOf(outcome, URLNotGranted)
}

// granted reports whether version may be used with the right's list of versions.
// No list means all.
func granted(versions []string, version string) bool {
	return len(versions) == 0 || slices.Contains(versions, version)
}
