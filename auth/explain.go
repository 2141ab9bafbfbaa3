package auth

import (
	"fmt"
	"strings"
	"time"

	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/problem"
	"sidekey/limiter"
)

// Step is one check of a decision, as [Checker.Explain] tells it. For a user whose rights do not
// include the API it is
//
//	Step{Check: "api_not_granted", Passed: false, Value: `no right to API "orders"`,
//		Hint: `the user's rights are to reports, and this request is for "orders" …`}
type Step struct {
	Check  string `json:"check"` // name of the [Reason] that it refuses with
	Passed bool   `json:"passed"`
	Value  string `json:"value"` // what decided; never a password or a hash
	Hint   string `json:"hint"`  // what to do or to know about it; may be empty
}

// Explanation is the decision about a request, check by check: the answer of POST /api/explain.
type Explanation struct {
	Passed  bool   `json:"passed"`
	Reason  string `json:"reason"` // name of the [Reason]; "pass"
	Status  int    `json:"status"` // that the client would see
	Message string `json:"message"`
	API     string `json:"api"`  // id; "" if none was found
	User    string `json:"user"` // that the credentials name; "" if there is none
	Steps   []Step `json:"steps"`
}

// Explain decides as [Checker.Check] does, tells each check up to the first that refuses, and
// uses nothing up: no rate, no quota, no failed login, no signature. It remembers no password
// either.
func (c *Checker) Explain(now limiter.Now, r *Request) (Verdict, []Step) {
	v := new(Verdict)
	d := c.start(now, r, v)
	defer d.release()
	d.dry = true
	d.decide()
	e := explainer{decision: d, reading: d.settings.APIs.Read(r.target())}
	e.explain()
	if n := len(e.steps); v.Reason != Pass && (n == 0 || e.steps[n-1].Passed) {
		e.add(v.Reason, false, v.Message, "")
	}
	return *v, e.steps
}

// explainer tells a decision that has ended, from its findings. Its methods that return
// goOn report whether the decision passed their checks.
type explainer struct {
	*decision
	reading route.Reading // of the request's host and path
	steps   []Step
}

func (e *explainer) add(check Reason, passed bool, value, hint string) {
	e.steps = append(e.steps, Step{check.String(), passed, value, hint})
}

func (e *explainer) explain() {
	if e.request.opensTunnel() {
		e.tunnel()
		return
	}
	if e.hostAndPath() && e.foundAPI() && e.foundVersion() && e.way.explain(e) {
		e.admitted()
	}
}

// tunnel tells of a request that asks for a tunnel. A request that does not has no such step.
func (e *explainer) tunnel() {
	value := "method CONNECT"
	if e.request.OtherUpgrade {
		var offers []string
		for _, offer := range e.request.Headers.Values([]byte("Upgrade")) {
			offers = append(offers, fmt.Sprintf("%q", offer))
		}
		value = problem.Clip("Upgrade: " + strings.Join(offers, " and "))
	}
	e.add(AmbiguousRequest, false, value, "only an upgrade to websocket passes, because sidekey is not asked about requests in a tunnel: remove other values of Upgrade, and HTTP2-Settings, in the proxy")
}

// hostAndPath tells how host and path were read.
func (e *explainer) hostAndPath() (goOn bool) {
	refused := e.api == nil && e.verdict.Reason == AmbiguousPath
	sent := fmt.Sprintf("path %q", e.reading.Sent)
	switch {
	case e.reading.HostRefused:
		e.add(AmbiguousPath, false, fmt.Sprintf("host %q", e.request.Host), "APIs have hosts, so the Host header must be a registered name, an IPv4 or an [IPv6] address, with at most one :port")
		return false
	case refused && e.reading.MayNameHost:
		e.add(AmbiguousPath, false, sent, "another reader of this path would see it at another API, or find another host in it: send it without // at its beginning, escapes of slashes, dot segments and ; parameters")
	case refused:
		e.add(AmbiguousPath, false, sent, "another reader of this path would see it at another API: send it without // at its beginning, escapes of slashes, dot segments and ; parameters")
	case e.reading.Path == "":
		e.add(AmbiguousPath, true, sent+" can be read in two ways", "it leads to the same API either way")
	default:
		e.add(AmbiguousPath, true, fmt.Sprintf("path %q", e.reading.Path), "")
	}
	return !refused
}

func (e *explainer) foundAPI() (goOn bool) {
	r, apis := e.request, e.settings.APIs
	if e.api == nil {
		hint := fmt.Sprintf("no listen_path of an API on host %q is a prefix of the path, by whole segments; the APIs are %s", r.Host, apis.Describe())
		if r.APIID != nil {
			hint = "the proxy names this API after the @; the APIs are " + apis.Describe()
		}
		e.add(UnknownAPI, false, fmt.Sprintf("named %q, host %q, path %q", r.APIID, r.Host, e.reading.Path), hint)
		return false
	}
	how := fmt.Sprintf("found by host %q and listen_path %q", r.Host, e.api.ListenPath)
	if r.APIID != nil {
		how = "named by the proxy"
	}
	e.add(UnknownAPI, true, fmt.Sprintf("API %q of org_id %q, %s", e.api.ID, e.api.Org, how), "")
	return true
}

func (e *explainer) foundVersion() (goOn bool) {
	if len(e.api.Versions) == 0 {
		return true
	}
	asked, count := e.request.Headers.Header(e.api.VersionHeader)
	value := fmt.Sprintf("%s: %q", e.api.VersionHeader, asked)
	if count == 0 {
		value = fmt.Sprintf("default_version %q, because there is no header %s", e.api.DefaultVersion, e.api.VersionHeader)
	}
	known := e.verdict.Reason != UnknownVersion
	hint := ""
	if !known {
		hint = "the API has the versions " + strings.Join(e.api.Versions, ", ")
	}
	e.add(UnknownVersion, known, value, hint)
	return known
}

// recognised tells whether credentials were right. right describes right ones, and wrong explains the
// likely fault of wrong ones.
func (e *explainer) recognised(right string, wrong func() (value, hint string)) (goOn bool) {
	if e.account != nil {
		e.add(BadCredentials, true, right, "")
		return true
	}
	switch reason := e.verdict.Reason; reason {
	case TooManyFailures:
		e.add(reason, false, "this address has failed too often, and the user is not known from its network", "wait, come from another address or one that the user has logged in from, or change [bruteforce]")
	case BadCredentials:
		value, hint := wrong()
		e.add(reason, false, value, hint)
	default:
		e.add(reason, false, reason.Message(), "")
	}
	return false
}

// admitted tells the checks of a recognised account, in the order of the reasons.
func (e *explainer) admitted() {
	a, g, v := e.account, e.grant, e.verdict
	record, _, err := e.checker.directory.source.Load(a.org, a.user)
	if err != nil {
		record = session.Record{}
	}
	effective := e.settings.Compiler.Effective(&record.Session)
	note := func(check Reason, value, hint string) (goOn bool) {
		passed := v.Reason != check
		if passed {
			hint = ""
		}
		e.add(check, passed, value, hint)
		return passed
	}

	why := "is_inactive is set; a PUT with false makes the user active"
	if effective.Why != "" {
		why = effective.Why
	}
	if !note(Inactive, fmt.Sprintf("inactive: %v", a.inactive), why) {
		return
	}
	if !note(Expired, expiry(a.expires, e.now.Wall), "set expires to a later time, or to 0 for never") {
		return
	}
	if !note(APINotGranted, e.rightsText(), e.rightsHint()) {
		return
	}
	if g.rules != nil {
		if v.Reason == AmbiguousPath {
			hint := "the right has allowed_urls or endpoints, and other readers of this path would see it elsewhere"
			if v.Excess {
				hint = "the right's allowed_urls and endpoints are too many or too complex for a path of this length: write fewer or simpler patterns"
			}
			e.add(AmbiguousPath, false, fmt.Sprintf("path %q", e.reading.Sent), hint)
			return
		}
		if !note(URLNotGranted, fmt.Sprintf("%s %q against %d allowed_urls", e.request.Method, e.reading.Sent, g.rules.URLs()), "a url matches the whole path, with or without the API's listen_path, and one of its methods: "+urlsText(&effective, v.API.ID)) {
			return
		}
	}
	e.limits(&effective, &record)
}

func (e *explainer) limits(effective *session.Effective, record *session.Record) {
	v := e.verdict
	spec := effective.Limits
	if right, ok := effective.Rights[v.API.ID]; ok && right.Limit != nil {
		spec = *right.Limit
	}
	origin := ""
	if own := record.Session.Limits(); len(record.Session.ApplyPolicies) > 0 && (own.Rate != spec.Rate || own.Per != spec.Per || own.QuotaMax != spec.QuotaMax) {
		origin = fmt.Sprintf(" from the policies %s; the session's own (rate %v per %v s, quota_max %d) has no effect", strings.Join(record.Session.ApplyPolicies, ", "), own.Rate, own.Per, own.QuotaMax)
	}
	step := func(check Reason, limited bool, value, hint string) bool {
		passed := v.Reason != check && v.Shadow != check
		if !limited && passed {
			value = "no limit" + origin
		}
		if passed {
			hint = ""
		}
		if v.Shadow == check {
			hint = "in shadow: reported, and let pass"
		}
		e.add(check, passed || v.Shadow == check, value, hint)
		return passed || v.Shadow == check
	}
	rate := fmt.Sprintf("%d of %d per %v left%s", v.Rate.Remaining, v.Rate.Limit, v.Rate.Per, origin)
	hint := fmt.Sprintf("one more may pass in %v", v.Rate.Retry.Round(time.Millisecond))
	if v.Throttle != nil {
		hint += fmt.Sprintf("; the request would be held and tried %d times, every %v", v.Throttle.Retries, v.Throttle.Interval)
	}
	if !step(RateExceeded, v.Rate.Limit > 0, rate, hint) {
		return
	}
	hint = "it never renews: raise quota_max, or reset it"
	if v.Quota.Renews > 0 {
		hint = "it renews at " + time.Unix(0, v.Quota.Renews).UTC().Format(time.RFC3339)
	}
	if !step(QuotaExceeded, v.Quota.Limit > 0, fmt.Sprintf("%d of %d left%s", v.Quota.Remaining, v.Quota.Limit, origin), hint) {
		return
	}
	if v.API.Limit != nil {
		step(APIRateExceeded, true, fmt.Sprintf("%v per %v s for all users together", v.API.Rate, v.API.Per), "all users of the API together are over its rate")
	}
}

func expiry(expires, wall int64) string {
	if expires == 0 {
		return "never expires"
	}
	at := time.Unix(expires, 0).UTC()
	d := time.Unix(0, wall).Sub(at).Round(time.Second)
	if d >= 0 {
		return fmt.Sprintf("expired at %s, %v ago", at.Format(time.RFC3339), d)
	}
	return fmt.Sprintf("expires at %s, in %v", at.Format(time.RFC3339), -d)
}

func (e *explainer) rightsText() string {
	switch g := e.grant; {
	case g == nil:
		return fmt.Sprintf("no right to API %q", e.api.ID)
	case g == e.account.every:
		return "no access_rights, so every API of the org is granted"
	case len(g.versions) > 0:
		return fmt.Sprintf("a right to API %q, versions %s; asked for %q", e.api.ID, strings.Join(g.versions, ", "), e.version)
	}
	return fmt.Sprintf("a right to API %q", e.api.ID)
}

func (e *explainer) rightsHint() string {
	if e.grant != nil {
		return "the version is not among those of the right"
	}
	var ids []string
	for _, g := range e.account.grants {
		ids = append(ids, g.api)
	}
	if len(ids) == 0 {
		return "rights.allow_empty_rights = false: a user without access_rights may use nothing"
	}
	return fmt.Sprintf("the user's rights are to %s, and this request is for %q (listen_path %q)", problem.Clip(strings.Join(ids, ", ")), e.api.ID, e.api.ListenPath)
}

func urlsText(effective *session.Effective, api string) string {
	right, ok := effective.Rights[api]
	if !ok {
		return "none"
	}
	var list []string
	for _, u := range right.AllowedURLs {
		list = append(list, strings.Join(u.Methods, "|")+" "+u.URL)
	}
	return problem.Clip(strings.Join(list, ", "))
}
