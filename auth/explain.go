package auth

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/problem"
	"sidekey/limiter"
)

// Step is one check of a decision, as [Checker.Explain] tells it.
type Step struct {
	Check  string `json:"check"` // name of the [Reason] that it refuses with
	Passed bool   `json:"passed"`
	Value  string `json:"value"` // what decided; never a password or a hash
	Hint   string `json:"hint"`  // what to do about it, or to know; may be empty
}

// Explanation is what would become of a request, check by check.
type Explanation struct {
	Passed  bool   `json:"passed"`
	Reason  string `json:"reason"` // name of the [Reason]; "pass"
	Status  int    `json:"status"` // what the client would see
	Message string `json:"message"`
	API     string `json:"api"`
	User    string `json:"user"`
	Steps   []Step `json:"steps"`
}

// Explain decides as [Checker.Check] does, tells each check up to the first that
// refuses, and uses nothing up: no rate, no quota, no failed login, no signature. That
// also means that it remembers no password.
func (c *Checker) Explain(now limiter.Now, r *Request) (v Verdict, steps []Step) {
	t := new(trace)
	c.decide(now, r, &v, t)
	if n := len(t.steps); v.Reason != Pass && (n == 0 || t.steps[n-1].Passed) {
		t.add(v.Reason, false, v.Message, "")
	}
	return v, t.steps
}

// trace notes the checks of one decision. It is the decision's own code that calls it; a
// nil *trace, which is what a request has, notes nothing.
type trace struct {
	steps []Step
}

// restart forgets the steps: the decision begins again.
func (t *trace) restart() {
	if t != nil {
		t.steps = nil
	}
}

func (t *trace) add(check Reason, passed bool, value, hint string) {
	t.steps = append(t.steps, Step{check.String(), passed, value, hint})
}

// findTunnel notes a request that asks for a tunnel; what all others pass is no step.
func (t *trace) findTunnel(r *Request, asked bool) {
	if t == nil || !asked {
		return
	}
	value := "method CONNECT"
	if r.OtherUpgrade {
		var offers []string
		for _, offer := range r.Headers.Values([]byte("Upgrade")) {
			offers = append(offers, fmt.Sprintf("%q", offer))
		}
		value = problem.Clip("Upgrade: " + strings.Join(offers, " and "))
	}
	t.add(AmbiguousRequest, false, value, "only an upgrade to websocket passes, because sidekey is never asked about what is sent in a tunnel: take other values of Upgrade, and HTTP2-Settings, off in the proxy")
}

func (t *trace) findAPI(apis *route.APIs, r *Request, api *route.API, refusal Reason) {
	if t == nil {
		return
	}
	path, clear := route.NormalPath(nil, r.URI)
	if !t.hostAndPath(apis, r, path, clear, refusal) {
		return
	}
	if refusal == UnknownAPI {
		hint := fmt.Sprintf("no listen_path of an API on host %q is a prefix of the path, by whole segments; the APIs are %s", r.Host, apis.Describe())
		if r.APIID != nil {
			hint = "the proxy names this API behind the @; the APIs are " + apis.Describe()
		}
		t.add(UnknownAPI, false, fmt.Sprintf("named %q, host %q, path %q", r.APIID, r.Host, path), hint)
		return
	}
	how := fmt.Sprintf("found by host %q and listen_path %q", r.Host, api.ListenPath)
	if r.APIID != nil {
		how = "named by the proxy"
	}
	t.add(UnknownAPI, true, fmt.Sprintf("API %q of org_id %q, %s", api.ID, api.Org, how), "")
}

// hostAndPath tells what host and path were read, and returns false if readers differ on
// them. path and clear are what normalPath returns.
func (t *trace) hostAndPath(apis *route.APIs, r *Request, path []byte, clear bool, refusal Reason) (goOn bool) {
	uri := string(route.WithoutQuery(r.URI))
	if _, ok := apis.Host(nil, r.Host); !ok && r.APIID == nil {
		t.add(AmbiguousPath, false, fmt.Sprintf("host %q", r.Host), "APIs have hosts, so the Host header must be a registered name, an IPv4 or an [IPv6] address, with at most one :port")
		return false
	}
	switch {
	case refusal == AmbiguousPath && apis.Hosts && route.MayNameHost([]byte(uri)):
		t.add(AmbiguousPath, false, fmt.Sprintf("path %q", uri), "another reader of this path would see it at another API, or find another host in it: send it without // at its beginning, escapes of slashes, dot segments and ; parameters")
	case refusal == AmbiguousPath:
		t.add(AmbiguousPath, false, fmt.Sprintf("path %q", uri), "another reader of this path would see it at another API: send it without // at its beginning, escapes of slashes, dot segments and ; parameters")
	case !clear:
		t.add(AmbiguousPath, true, fmt.Sprintf("path %q can be read in two ways", uri), "it leads to the same API either way")
	default:
		t.add(AmbiguousPath, true, fmt.Sprintf("path %q", path), "")
	}
	return refusal != AmbiguousPath
}

func (t *trace) findVersion(api *route.API, r *Request, version string, known bool) {
	if t == nil || len(api.Versions) == 0 {
		return
	}
	asked, count := r.Headers.Header(api.VersionHeader)
	value := fmt.Sprintf("%s: %q", api.VersionHeader, asked)
	if count == 0 {
		value = fmt.Sprintf("default_version %q, because there is no header %s", api.DefaultVersion, api.VersionHeader)
	}
	hint := ""
	if !known {
		hint = "the API has the versions " + strings.Join(api.Versions, ", ")
	}
	t.add(UnknownVersion, known, value, hint)
}

func (t *trace) readCredentials(r *Request, given Credentials, refusal Reason, message Malformed) {
	if t == nil {
		return
	}
	user := string(given.User)
	switch refusal {
	case NoCredentials:
		t.add(NoCredentials, false, "no Authorization header", "the client sends none, or the proxy does not pass it on")
	case MalformedCredentials:
		t.add(NoCredentials, true, "an Authorization header", "")
		t.add(MalformedCredentials, false, string(message), hintMalformed(r))
	default:
		t.add(NoCredentials, true, "an Authorization header", "")
		t.add(MalformedCredentials, true, fmt.Sprintf("user %q", user), "")
	}
}

// hintMalformed guesses at what went wrong with a header.
func hintMalformed(r *Request) string {
	if r.AuthorizationCount > 1 {
		return "there is more than one Authorization header"
	}
	scheme, encoded, _ := bytes.Cut(r.Authorization, []byte(" "))
	if !bytes.EqualFold(scheme, []byte("Basic")) {
		return "the scheme is not Basic, or the API does not accept it"
	}
	text, err := base64.StdEncoding.DecodeString(string(encoded))
	switch {
	case err != nil:
		return "what follows Basic is no base64 with padding"
	case bytes.HasSuffix(text, []byte("\n")), bytes.HasSuffix(text, []byte("\r")):
		return "there is a line end behind the password: echo writes one, printf '%s' does not"
	case !bytes.Contains(text, []byte(":")):
		return "there is no colon between user and password"
	case bytes.HasPrefix(text, []byte(":")):
		return "the user name is empty"
	case bytes.HasSuffix(text, []byte(":")):
		return "the password is empty"
	}
	return "user and password have to be UTF-8 without control characters, the user at most 255 bytes"
}

func (t *trace) authenticate(c *Checker, s *Settings, api *route.API, given Credentials, signed bool, a *Account, refusal Reason) {
	if t == nil {
		return
	}
	switch refusal {
	case Pass:
		how := "the password is right"
		if signed {
			how = "the signature is right"
		}
		t.add(BadCredentials, true, how, "")
		return
	case TooManyFailures:
		t.add(TooManyFailures, false, "this address has failed too often, and the user is not known from its network", "wait, come from another address or one that the user has logged in from, or change [bruteforce]")
		return
	case BadCredentials:
	default:
		t.add(refusal, false, refusal.Message(), "")
		return
	}
	switch {
	case signed && a == nil:
		t.add(BadCredentials, false, "signature", "no user of org_id "+api.Org+" has this keyId and an hmac_string; or the algorithm is not offered, the date is missing or too far off, or the (request-target) is not signed")
	case signed:
		t.add(BadCredentials, false, "signature of user "+a.user, "another secret has made it, or of other text than the proxy reports; or it has been used before")
	case a == nil:
		t.add(BadCredentials, false, fmt.Sprintf("user %q", string(given.User)), "there is no such user in org_id "+api.Org+", which is the API's")
	case a.signer != nil || a.hash == "":
		t.add(BadCredentials, false, fmt.Sprintf("user %q", a.user), "this user has no password to log in with: hmac_enabled, or none was set")
	default:
		t.add(BadCredentials, false, fmt.Sprintf("user %q, another password", a.user), c.hintPassword(s, bytes.Clone(given.Password), a.hash))
	}
}

// hintPassword tries what people add to a password without wanting to. It may: whoever
// explains knows the admin secret, and could set another password.
func (c *Checker) hintPassword(s *Settings, password []byte, stored string) string {
	for _, other := range []struct {
		password []byte
		hint     string
	}{
		{bytes.TrimSpace(password), "it is right without the white space around it"},
		{bytes.Trim(password, `"'`), "it is right without the quotes around it"},
	} {
		if len(other.password) == len(password) || len(other.password) == 0 {
			continue
		}
		if matches, err := s.Passwords.MatchesForOperator(stored, bytes.Clone(other.password)); err == nil && matches {
			return other.hint
		}
	}
	return "it is not the one that was set"
}

// admit notes what was found out about an account, in the order of the reasons.
func (t *trace) admit(c *Checker, s *Settings, now *limiter.Now, a *Account, g *grant, r *Request, v *Verdict) {
	if t == nil || v.Reason == retryAccount {
		return
	}
	record, _, err := c.directory.source.Load(a.org, a.user)
	if err != nil {
		record = session.Record{}
	}
	e := s.Compiler.Effective(&record.Session)
	const unreached = reasonCount
	refused := v.Reason
	if refused == Pass {
		refused = unreached
	}
	note := func(check Reason, value, hint string) (goOn bool) {
		passed := refused != check
		if passed {
			hint = ""
		}
		t.add(check, passed, value, hint)
		return passed
	}

	why := "is_inactive is set; a PUT with false makes the user active"
	if e.Why != "" {
		why = e.Why
	}
	if !note(Inactive, fmt.Sprintf("inactive: %v", a.inactive), why) {
		return
	}
	if !note(Expired, expiry(a.expires, now.Wall), "set expires to a later time, or to 0 for never") {
		return
	}
	if !note(APINotGranted, rightsText(a, g, v), rightsHint(a, g, v)) {
		return
	}
	if g.rules != nil {
		if refused == AmbiguousPath {
			hint := "the right has allowed_urls or endpoints, and other readers of this path would see it elsewhere"
			if v.Excess {
				hint = "the right's allowed_urls and endpoints are too many or too complex for a path of this length: write fewer or simpler patterns"
			}
			t.add(AmbiguousPath, false, fmt.Sprintf("path %q", string(route.WithoutQuery(r.URI))), hint)
			return
		}
		if !note(URLNotGranted, fmt.Sprintf("%s %q against %d allowed_urls", r.Method, string(route.WithoutQuery(r.URI)), g.rules.URLs()), "a url matches the whole path, with or without the API's listen_path, and one of its methods: "+urlsText(record, e, v.API.ID)) {
			return
		}
	}
	t.limits(&e, &record, refused, v)
}

func (t *trace) limits(e *session.Effective, record *session.Record, refused Reason, v *Verdict) {
	spec := e.Limits
	if right, ok := e.Rights[v.API.ID]; ok && right.Limit != nil {
		spec = *right.Limit
	}
	origin := ""
	if own := record.Session.Limits(); len(record.Session.ApplyPolicies) > 0 && (own.Rate != spec.Rate || own.Per != spec.Per || own.QuotaMax != spec.QuotaMax) {
		origin = fmt.Sprintf(" from the policies %s; the session's own (rate %v per %v s, quota_max %d) does not act", strings.Join(record.Session.ApplyPolicies, ", "), own.Rate, own.Per, own.QuotaMax)
	}
	step := func(check Reason, limited bool, value, hint string) bool {
		passed := refused != check && v.Shadow != check
		if !limited && passed {
			value = "no limit" + origin
		}
		if passed {
			hint = ""
		}
		if v.Shadow == check {
			hint = "in shadow: reported, and let pass"
		}
		t.add(check, passed || v.Shadow == check, value, hint)
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

func rightsText(a *Account, g *grant, v *Verdict) string {
	switch {
	case g == nil:
		return fmt.Sprintf("no right to API %q", v.API.ID)
	case g == a.every:
		return "no access_rights, so every API of the org is granted"
	case len(g.versions) > 0:
		return fmt.Sprintf("a right to API %q, versions %s; asked for %q", v.API.ID, strings.Join(g.versions, ", "), v.version)
	}
	return fmt.Sprintf("a right to API %q", v.API.ID)
}

func rightsHint(a *Account, g *grant, v *Verdict) string {
	if g != nil {
		return "the version is not among those of the right"
	}
	var ids []string
	for _, g := range a.grants {
		ids = append(ids, g.api)
	}
	if len(ids) == 0 {
		return "rights.allow_empty_rights = false: a user without access_rights may use nothing"
	}
	return fmt.Sprintf("the user's rights are to %s, and this request falls to %q (listen_path %q)", problem.Clip(strings.Join(ids, ", ")), v.API.ID, v.API.ListenPath)
}

func urlsText(record session.Record, e session.Effective, api string) string {
	right, ok := e.Rights[api]
	if !ok {
		return "none"
	}
	var list []string
	for _, u := range right.AllowedURLs {
		list = append(list, strings.Join(u.Methods, "|")+" "+u.URL)
	}
	return problem.Clip(strings.Join(list, ", "))
}

// Question asks what would become of a request.
type Question struct {
	User     string            `json:"user"` // "": no credentials, but for what Headers hold
	Password string            `json:"password"`
	Org      string            `json:"org"` // "": whichever the API has
	API      string            `json:"api"` // named outright; "": found by host and path
	Method   string            `json:"method"`
	Host     string            `json:"host"`
	Path     string            `json:"path"`    // with query
	Dialect  string            `json:"dialect"` // "": "nginx"
	Headers  map[string]string `json:"headers"` // as the proxy sends them; one with "" is one that it leaves out

	session.Undeclared
}

// DecodeQuestion reads one. Its errors hold nothing of the password.
func DecodeQuestion(body []byte) (q Question, unknownFields []string, err error) {
	if err := session.Decode(body, &q); err != nil {
		return Question{}, nil, err
	}
	return q, session.TakeUnknown(&q), nil
}
