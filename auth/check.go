package auth

import (
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sidekey/auth/httpsig"
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
// WebSocket is the exception, because its frames carry no requests. The method is compared in
// any case, because some applications write methods in capitals before they read them.
func (r *Request) opensTunnel() bool {
	const connect = "CONNECT"
	return r.OtherUpgrade || len(r.Method) == len(connect) && strings.EqualFold(string(r.Method), connect)
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
	Message string   // of the error body; "" for Pass
	Account *Account // nil where nobody was recognised
	Named   *Account // whom the credentials name, right or not, for logs alone; nil where there is no such user
	API     *API     // nil where none was found
	Rate    limiter.RateState
	Quota   limiter.QuotaState
	Retry   time.Duration // when asking again makes sense; 0 = not said
	At      limiter.Now   // the moment that Rate and Quota are of

	Shadow Reason // what would have refused the request, were it not in shadow; Pass: nothing
	// Remembered says that the password was not hashed, because it had been right before.
	Remembered bool

	Throttle *Throttle // how a request that is over its rate may be held, or nil: see [Checker.Hold]

	Reached []float64 // triggers of the quota that this request reached, in percent; not to be changed

	// Excess says that the path was refused without being compared with all patterns of the
	// right: that would have taken longer than a check may (see maxCheckSteps).
	Excess bool

	version string   // of API
	notices *notices // of whose limits refused; see [Verdict.News]
}

// Settings are the parts of the configuration that decide. They are replaced as one
// value, so that no request sees a mix of two configurations.
type Settings struct {
	APIs        *APIs
	Passwords   *Passwords
	Failures    *Failures     // nil: nobody is slowed down
	VerifiedTTL time.Duration // how long a right password is remembered; 0 = never
	QuotaWait   time.Duration // longest that a request waits for a reservation

	AllowEmptyRights bool // a session without access_rights may use every API of its org

	SignatureSkew time.Duration  // how far a signed date may be from now, in whole seconds
	Signatures    *httpsig.Spent // one and the same in all settings of a program

	// Upgrade is told of a password that was right and whose hash is not of the
	// configured kind and cost; nil: nobody is. It must not block, and may keep the
	// password, which is a copy.
	Upgrade func(org, user, outdated string, password []byte)
}

// Checker decides.
type Checker struct {
	directory *Directory
	settings  atomic.Pointer[Settings]
	now       func() limiter.Now
}

// NewChecker returns a checker over the users of a directory. now is asked again
// when a decision had to wait; it must not run backwards against the times given to
// Check.
func NewChecker(d *Directory, s *Settings, now func() limiter.Now) *Checker {
	c := &Checker{directory: d, now: now}
	c.settings.Store(s)
	return c
}

// SetSettings replaces the configuration for all checks that start from now on.
func (c *Checker) SetSettings(s *Settings) { c.settings.Store(s) }

// Settings returns the configuration in force.
func (c *Checker) Settings() *Settings { return c.settings.Load() }

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
func (c *Checker) decide(now limiter.Now, r *Request, v *Verdict, t *trace) {
	s := c.settings.Load()
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
	version, known := api.version(r)
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
	spent := t != nil
	for range accountTries {
		asked := now.Mono
		var account *Account
		var message string
		var retry time.Duration
		if signed {
			account, refusal, message, retry = c.authenticateSigned(now, s, api, r, &spent, t)
		} else {
			account, refusal, retry = c.authenticate(&now, s, api.Org, r.Client, given, t)
		}
		if signed && refusal == BadCredentials || refusal == TooManyFailures || refusal == Busy {
			s.Passwords.pace.pause(time.Now().Add(shortestRefusal - time.Duration(c.now().Mono-asked)))
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

// refuse makes v a refusal of which nothing else is known.
func (v *Verdict) refuse(reason Reason, api *API) {
	*v = Verdict{Reason: reason, Message: reason.Message(), API: api}
}

// findAPI returns the API that r is for. An inactive one is as good as none.
//
// An API that the proxy names is not looked for, so neither host nor path can make the
// request ambiguous: the proxy has chosen where the request goes, and its choice does not
// change with what sidekey reads in them.
func findAPI(apis *APIs, r *Request) (*API, Reason) {
	if r.APIID != nil {
		api := apis.byID[string(r.APIID)]
		if api == nil || !api.Active {
			return nil, UnknownAPI
		}
		return api, Pass
	}
	var hostBuf [maxName]byte
	host, ok := apis.host(hostBuf[:0], r.Host)
	if !ok {
		return nil, AmbiguousPath
	}
	var buf [256]byte
	path, clear := normalPath(buf[:0], r.URI)
	if !clear {
		path = nil
	}
	api, depends := apis.find(host, path)
	raw := withoutQuery(r.URI)
	same := clear && sameReading(raw, path)
	if !same && (depends || apis.hosts && mayNameHost(raw)) {
		list, listed := readings(raw, path, clear)
		if api, same = apis.agree(host, list); !listed || !same {
			return nil, AmbiguousPath
		}
	}
	if api == nil || !api.Active {
		return nil, UnknownAPI
	}
	return api, Pass
}

// agree returns the API that all readings of a path lead to on a host, and on the hosts
// that some readers find in the path. ok is false if they lead to different ones.
func (a *APIs) agree(host []byte, list []reading) (api *API, ok bool) {
	for i, r := range list {
		found, _ := a.find(host, r.path)
		if i == 0 {
			api = found
		}
		if found != api {
			return nil, false
		}
		if !a.hosts || r.authority == nil {
			continue
		}
		named, ok := normalHost(nil, r.authority)
		if !ok {
			return nil, false
		}
		if found, _ = a.find(named, r.path); found != api {
			return nil, false
		}
	}
	return api, true
}

// version returns the API version that r asks for, and whether there is such a one.
func (a *API) version(r *Request) (version string, known bool) {
	if len(a.Versions) == 0 {
		return a.DefaultVersion, true
	}
	asked, count := r.Headers.Header(a.VersionHeader)
	switch {
	case count > 1:
		return "", false
	case count == 0:
		asked = []byte(a.DefaultVersion)
	}
	for _, v := range a.Versions {
		if v == string(asked) {
			return v, true
		}
	}
	return "", false
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
func (c *Checker) admit(now *limiter.Now, s *Settings, api *API, version string, a *Account, r *Request, v *Verdict, t *trace) {
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
			limits:   limiter.Limits{Rate: g.limits.rate, Quota: g.limits.quota, API: api.limit, Edition: g.limits.edition},
			throttle: g.limits.throttle,
		}
		ch.shadow.rate, ch.shadow.quota = g.limits.shadow, g.limits.shadow
		if g.paths != nil {
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
func (a *Account) grantOf(api *API, allowEmpty bool) *grant {
	i, found := sort.Find(len(a.grants), func(i int) int { return strings.Compare(api.ID, a.grants[i].api) })
	if found {
		return &a.grants[i]
	}
	if a.every == nil || !allowEmpty {
		return nil
	}
	return a.every
}

var matchings = sync.Pool{New: func() any { return new(matching) }}

// narrow checks a request against the URLs of a right, and puts the rate of the endpoint
// that it is for in the place of the right's. All readers of its path must see it at an
// allowed URL and at the same endpoint.
func (g *grant) narrow(api *API, r *Request, ch *charges) Reason {
	m := matchings.Get().(*matching)
	defer matchings.Put(m)
	m.left = maxCheckSteps
	return g.narrowWithin(m, api, r, ch)
}

func (g *grant) narrowWithin(m *matching, api *API, r *Request, ch *charges) Reason {
	path, clear := normalPath(m.path[:0], r.URI)
	raw := withoutQuery(r.URI)
	var list []reading
	if !clear || !sameReading(raw, path) {
		var listed bool
		if list, listed = readings(raw, path, clear); !listed {
			return AmbiguousPath
		}
		path = list[0].path
	}
	if !under(path, api.ListenPath) {
		return AmbiguousPath
	}
	if g.paths.excess {
		ch.excess = true
		return AmbiguousPath
	}
	allowed := g.paths.allows(m, path, r.Method, api)
	switch {
	case m.exhausted():
		ch.excess = true
		return AmbiguousPath
	case !allowed:
		return URLNotGranted
	}
	e := g.paths.endpoint(m, path, r.Method, api)
	same := g.sameForAll(m, api, r, list, e)
	switch {
	case m.exhausted():
		ch.excess = true
		return AmbiguousPath
	case !same:
		return AmbiguousPath
	}
	if e != nil {
		ch.limits.Rate = e.window
		ch.shadow.rate = ch.shadow.rate || g.shadow
	}
	return Pass
}

// sameForAll reports whether all readings of a path are at an allowed URL and at the endpoint
// want, which is nil for none.
func (g *grant) sameForAll(m *matching, api *API, r *Request, list []reading, want *endpoint) bool {
	for _, other := range list {
		if !under(other.path, api.ListenPath) || !g.paths.allows(m, other.path, r.Method, api) || g.paths.endpoint(m, other.path, r.Method, api) != want {
			return false
		}
	}
	return true
}
