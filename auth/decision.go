package auth

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"sidekey/auth/route"
	"sidekey/limiter"
)

// decision is one request on its way to a verdict. Each step fills in its result;
// [Checker.Explain] reads them afterwards. Decisions are pooled, so that the ways to be recognised
// can be called through an interface without an allocation for each request.
type decision struct {
	inputs
	findings

	basic  basicLogin
	signed signedLogin
	ways   [2]way  // the two above, in the order in which they are tried
	own    Verdict // for [Checker.Check]
}

// inputs are set when a decision starts.
type inputs struct {
	checker  *Checker
	settings *Settings
	request  *Request
	verdict  *Verdict    // zero at the start
	now      limiter.Now // moves on if the decision has to wait
	dry      bool        // use nothing up and remember nothing: for Explain
}

// findings are the results of the steps, in their order; those of steps that were not taken are zero.
type findings struct {
	api     *route.API
	version string
	way     way      // that the request uses to be recognised
	account *Account // that was recognised
	grant   *grant   // what the account may do with the API
}

var decisions = sync.Pool{New: func() any { return newDecision() }}

func newDecision() *decision {
	d := new(decision)
	d.ways = [...]way{&d.signed, &d.basic}
	return d
}

// start returns a decision about r that ends in v. [decision.release] gives it back.
func (c *Checker) start(now limiter.Now, r *Request, v *Verdict) *decision {
	d := decisions.Get().(*decision)
	d.checker, d.settings, d.request, d.verdict, d.now = c, c.Settings(), r, v, now
	return d
}

// release forgets the request, passwords above all, and returns the decision to the pool.
func (d *decision) release() {
	if d.way != nil {
		d.way.forget()
	}
	d.request, d.verdict, d.dry = nil, nil, false
	d.api, d.version, d.way, d.account, d.grant = nil, "", nil, nil, nil
	decisions.Put(d)
}

// accountTries bounds how often one request follows an account that is being edited. The
// answer after that is not a 5xx, which a proxy may let through.
const accountTries = 20

// retryAccount is not an answer: the account has been replaced.
const retryAccount = reasonCount

// superseded is not an answer: the decision must be made by newer settings. See [errSuperseded].
const superseded = reasonCount + 1

// decide decides by one configuration. A request that meets an account of newer settings begins
// again with those. Each turn needs one more reload, so it ends.
func (d *decision) decide() {
	d.byOneConfiguration(d.takeSteps)
}

// byOneConfiguration calls steps until they end in a verdict by the settings that the decision
// began with, and takes newer settings if they do not. A signature that was used up stays so.
func (d *decision) byOneConfiguration(steps func()) {
	for {
		steps()
		if d.verdict.Reason != superseded {
			d.verdict.Settings = d.settings
			return
		}
		*d.verdict, d.findings = Verdict{}, findings{}
		d.settings, d.now = d.checker.Settings(), d.checker.now()
	}
}

// takeSteps takes the steps in the order of [Reason]. The first that refuses ends the decision.
func (d *decision) takeSteps() {
	if d.request.opensTunnel() {
		d.refuse(AmbiguousRequest)
		return
	}
	if !d.findAPI() || !d.findVersion() || !d.recognise() {
		return
	}
	for range accountTries {
		if !d.verify() {
			return
		}
		d.admit()
		if d.verdict.Reason != retryAccount {
			return
		}
		d.account, d.grant = nil, nil
		if d.checker.directory.settled.Load() {
			d.refuse(Unavailable) // its quotas were ended for good: the program is stopping
			return
		}
		*d.verdict = Verdict{}
		// The user was edited during this request. The new account is there as soon as the
		// writer that ended the old one has published it.
		time.Sleep(time.Millisecond)
		d.now = d.checker.now()
	}
	d.refuse(Busy)
	d.verdict.Retry = time.Second
}

// refuse ends the decision with nothing known but the reason and the API.
func (d *decision) refuse(reason Reason) { d.verdict.refuse(reason, d.api) }

func (d *decision) findAPI() (found bool) {
	api, refusal := findAPI(d.settings.APIs, d.request)
	d.api = api
	if refusal != Pass {
		d.refuse(refusal)
	}
	return refusal == Pass
}

// findAPI returns the API that r is for, or the reason to refuse it.
func findAPI(apis *route.APIs, r *Request) (*route.API, Reason) {
	api, outcome := apis.Find(r.target())
	return api, reasonOf(outcome, UnknownAPI)
}

func (r *Request) target() route.Target {
	return route.Target{Named: r.APIID, Host: r.Host, URI: r.URI}
}

// reasonOf returns the reason to refuse a request because of the outcome of its routing; unknown
// is the one for [route.Unknown].
func reasonOf(outcome route.Outcome, unknown Reason) Reason {
	switch outcome {
	case route.Found:
		return Pass
	case route.Unknown:
		return unknown
	}
	return AmbiguousPath
}

func (d *decision) findVersion() (known bool) {
	d.version, known = versionOf(d.api, d.request)
	if !known {
		d.refuse(UnknownVersion)
	}
	return known
}

// versionOf returns the version of the API that r asks for, and whether the API has it.
func versionOf(api *route.API, r *Request) (version string, known bool) {
	if len(api.Versions) == 0 {
		return api.DefaultVersion, true
	}
	return api.Version(r.Headers.Header(api.VersionHeader))
}

// recognise finds the way that the request uses and reads its credentials.
func (d *decision) recognise() (ok bool) {
	for _, w := range d.ways {
		mine, refusal, message := w.recognise(d.request, d.api)
		if !mine {
			continue
		}
		d.way = w
		if refusal != Pass {
			d.refuse(refusal)
			if message != "" {
				d.verdict.Message = message
			}
		}
		return refusal == Pass
	}
	d.refuse(NoCredentials)
	return false
}

// verify finds the account that the credentials belong to. A refusal for which no password was
// hashed waits until it may be answered: see [password.Passwords.PauseRefusal].
func (d *decision) verify() (ok bool) {
	began := d.now.Mono
	l := d.way.verify(d)
	if l.reason == Pass {
		d.account, d.verdict.Remembered = l.account, l.remembered
		return true
	}
	if l.reason == superseded {
		d.verdict.Reason = superseded
		return false
	}
	if l.reason == BadCredentials && !l.hashed || l.reason == TooManyFailures || l.reason == Busy {
		d.settings.Passwords.PauseRefusal(time.Duration(d.checker.now().Mono - began))
	}
	d.refuse(l.reason)
	d.verdict.Named, d.verdict.Retry = l.account, l.retry
	if l.message != "" {
		d.verdict.Message = l.message
	}
	return false
}

// admit checks what the account may do, charges the request to its limits and puts the result
// into the verdict.
func (d *decision) admit() {
	a, v := d.account, d.verdict
	if !a.used.Load() {
		a.used.Store(true)
	}
	v.Account, v.Named, v.API, v.version = a, a, d.api, d.version
	d.grant = a.grantOf(d.api, d.settings.AllowEmptyRights)
	switch {
	case a.inactive:
		v.Reason = Inactive
	case a.expires > 0 && d.now.Wall/int64(time.Second) >= a.expires:
		v.Reason = Expired
	case d.grant == nil || !granted(d.grant.versions, d.version):
		v.Reason = APINotGranted
	default:
		v.notices = d.grant.limits.notices
		c := chargesOf(d.grant, d.api)
		if d.grant.rules != nil {
			v.Reason = d.matchRules(&c)
		}
		if v.Reason == Pass {
			c.narrow(d.api)
			d.charge(&c)
		}
	}
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

// granted reports whether a right with this list of versions includes version. An empty list
// includes all.
func granted(versions []string, version string) bool {
	return len(versions) == 0 || slices.Contains(versions, version)
}

// matchRules checks the request against the rules of the right. If the request is for one of
// the right's endpoints, the rate of that endpoint replaces the right's.
func (d *decision) matchRules(c *charges) Reason {
	g, r := d.grant, d.request
	endpoint, outcome := g.rules.Match(d.api, r.Method, r.URI)
	d.verdict.Excess = outcome == route.TooCostly
	if outcome == route.Found && endpoint >= 0 {
		c.limits.Rate = g.endpoints[endpoint].window
		c.shadow.rate = c.shadow.rate || g.shadow
	}
	return reasonOf(outcome, URLNotGranted)
}
