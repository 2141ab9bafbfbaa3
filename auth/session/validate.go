package session

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/internal/problem"
)

// CheckNames refuses a user name or an org id that could not be told from others, logged or sent as a
// header. The error is a [problem.List].
func CheckNames(org, user string) error {
	var ps problem.List
	ps.CheckName("org_id", org)
	ps.CheckName("username", user)
	if strings.Contains(user, ":") {
		ps.Add("username", user, "must not contain a colon: RFC 7617 ends the name at the first one")
	}
	return ps.Err()
}

// Rules are the rest of the configuration that a session or policy must agree with.
type Rules struct {
	APIs             *route.APIs
	Policies         *Policies
	AllowEmptyRights bool
	MetaHeaders      map[string]string // meta_data names that go to the upstream
	MaxPassword      int               // bytes that the configured hash can read

	// Before is the stored session that is edited, or nil. A right of it that is too large already
	// does not stop an edit: see [Effective.TooLarge].
	Before *Session
}

// Validate refuses a session that could not be enforced as it reads, with all problems at once
// ([problem.List]). Warnings are about values that are accepted but may not mean what the writer thinks,
// such as an expires in the past. now is in Unix seconds.
func (s *Session) Validate(rules Rules, now int64) (warnings []string, err error) {
	var ps problem.List
	ps.CheckLimit("", s.Rate, s.Per, s.ThrottleInterval)
	ps = append(ps, s.Smoothing.check("smoothing")...)
	if s.Expires > 0 && s.Expires <= now {
		warnings = append(warnings, fmt.Sprintf("expires = %d: is in the past, so the user is refused as expired", s.Expires))
	}
	if password := s.BasicAuth.Password; password != "" {
		checkPassword(&ps, "basic_auth_data.password", password, rules.MaxPassword)
	}
	ps.CheckText("alias", s.Alias, problem.MaxText)
	checkTags(&ps, s.Tags)
	ps.CheckList("apply_policies", s.ApplyPolicies, problem.MaxName)
	checkMeta(&ps, s.MetaData, rules.MetaHeaders)
	checkExpiryAction(&ps, s.PostExpiryAction, s.PostExpiryGracePeriod)
	warnings = append(warnings, checkTriggers(&ps, s.Monitor.TriggerLimits)...)
	var before map[string]Right
	if rules.Before != nil {
		before = rules.Before.AccessRights
	}
	checkRights(&ps, s.AccessRights, s.OrgID, rules, before)
	s.checkPolicies(&ps, rules)
	warnings = append(warnings, s.checkSecret(&ps, rules)...)
	ps.Sort()
	return warnings, ps.Err()
}

// CheckPolicies is the part of [Session.Validate] whose result may change a moment later, because
// policies are edited.
func (s *Session) CheckPolicies(rules Rules) error {
	var ps problem.List
	s.checkPolicies(&ps, rules)
	ps.Sort()
	return ps.Err()
}

// shortSecret is the length, in bytes, below which a secret may be guessed: a reader of one signed request
// can try secrets offline.
const shortSecret = 16

// checkSecret checks how the user signs requests. No problem or warning contains the secret.
func (s *Session) checkSecret(ps *problem.List, rules Rules) (warnings []string) {
	const field = "hmac_string"
	if n := len(s.HMACString); n > problem.MaxText {
		*ps = append(*ps, problem.Problem{Field: field, Want: fmt.Sprintf("must be at most %d bytes, not %d", problem.MaxText, n)})
	} else if n > 0 && n < shortSecret {
		warnings = append(warnings, fmt.Sprintf("%s: %d bytes can be guessed; leave it empty to have one generated", field, n))
	}
	if !s.HMACEnabled {
		return warnings
	}
	if !rules.APIs.AnySigned(s.OrgID) {
		warnings = append(warnings, "hmac_enabled: no API of the org accepts signed requests (apis.hmac), so the user cannot log in")
	}
	if s.BasicAuth.Password != "" {
		warnings = append(warnings, "basic_auth_data.password: kept, and of no use while hmac_enabled")
	}
	return warnings
}

// checkPolicies refuses a session whose policies could not be applied, or leave it without rights.
func (s *Session) checkPolicies(ps *problem.List, rules Rules) {
	var policies []*Policy
	mixed := false
	for i, id := range s.ApplyPolicies {
		at := fmt.Sprintf("apply_policies[%d]", i)
		p := rules.Policies.Get(id)
		switch {
		case p == nil:
			ps.Add(at, id, "must be a policy that exists: %s", rules.Policies.names(s.OrgID))
			continue
		case p.OrgID != s.OrgID:
			ps.Add(at, id, "must be a policy of org_id %q: %s", s.OrgID, rules.Policies.names(s.OrgID))
			continue
		}
		mixed = mixed || slices.ContainsFunc(policies, func(other *Policy) bool { return p.Partitions.Excludes(other.Partitions) })
		policies = append(policies, p)
	}
	if len(policies) < len(s.ApplyPolicies) {
		return // their sum is unknown
	}
	if mixed {
		*ps = append(*ps, problem.Problem{Field: "apply_policies", Want: "must not combine policies with partitions.per_api and others that are partitioned"})
	}
	e := Apply(s, policies, false)
	if len(policies) > 1 {
		var before *Effective
		if rules.Before != nil {
			var stored []*Policy
			for _, id := range rules.Before.ApplyPolicies {
				stored = append(stored, rules.Policies.Get(id))
			}
			applied := Apply(rules.Before, stored, false)
			before = &applied
		}
		e.checkSizes(ps, before)
	}
	switch {
	case len(e.Rights) > 0:
	case len(policies) > 0:
		*ps = append(*ps, problem.Problem{Field: "access_rights", Want: "missing rights, of the session or of one of its policies (partitions.acl): without any, nothing is granted"})
	case !rules.AllowEmptyRights:
		*ps = append(*ps, problem.Problem{Field: "access_rights", Want: "must have at least one API (rights.allow_empty_rights = false)"})
	}
}

// checkRights refuses rights to APIs that are not configured and patterns that could not be matched.
// before are the rights that are edited: one that is too large may stay so, but not grow.
func checkRights(ps *problem.List, rights map[string]Right, org string, rules Rules, before map[string]Right) {
	for id, right := range rights {
		field := "access_rights." + problem.Clip(id)
		switch api := rules.APIs.ByID(id); {
		case api == nil:
			ps.Add(field, id, "must be a configured API: %s", rules.APIs.Names(org))
		case api.Org != org:
			ps.Add(field, id, "must be an API of org_id %q: %s", org, rules.APIs.Names(org))
		}
		ps.CheckText(field+".api_name", right.APIName, problem.MaxText)
		ps.CheckList(field+".versions", right.Versions, problem.MaxName)
		if right.Limit != nil {
			ps.CheckLimit(field+".limit", right.Limit.Rate, right.Limit.Per, right.Limit.ThrottleInterval)
			*ps = append(*ps, right.Limit.Smoothing.check(field+".limit.smoothing")...)
		}
		for i, u := range right.AllowedURLs {
			at := fmt.Sprintf("%s.allowed_urls[%d]", field, i)
			if _, err := route.CheckPattern(u.URL); err != nil {
				ps.Add(at+".url", u.URL, "%v", err)
			}
			checkMethods(ps, at+".methods", u.Methods)
		}
		for i, e := range right.Endpoints {
			at := fmt.Sprintf("%s.endpoints[%d]", field, i)
			if _, err := route.CheckPattern(e.Path); err != nil {
				ps.Add(at+".path", e.Path, "%v", err)
			}
			for j, m := range e.Methods {
				at := fmt.Sprintf("%s.methods[%d]", at, j)
				checkMethods(ps, at+".name", []string{m.Name})
				ps.CheckLimit(at+".limit", m.Limit.Rate, m.Limit.Per, 0)
			}
		}
		if right.TooLarge() {
			size, old := right.Size(), before[id]
			if size > old.Size() {
				*ps = append(*ps, problem.Problem{Field: field, Want: tooLargeText(size)})
			}
		}
	}
}

// checkMethods refuses a list without methods, because its rule would match nothing, and invalid ones.
func checkMethods(ps *problem.List, field string, methods []string) {
	if len(methods) == 0 {
		*ps = append(*ps, problem.Problem{Field: field, Want: "must have at least one method, such as GET"})
	}
	for _, m := range methods {
		if m == "" || len(m) > 32 || strings.ContainsFunc(m, route.NotToken) {
			ps.AddNumber(field, fmt.Sprintf("%q", m), "must be a request method, such as GET")
		}
	}
}

func checkMeta(ps *problem.List, meta map[string]jsontext.Value, sent map[string]string) {
	for name, value := range meta {
		field := "meta_data." + problem.Clip(name)
		ps.CheckText(field, name, problem.MaxName)
		if _, ok := sent[name]; ok {
			ps.CheckText(field, MetaText(value), problem.MaxText)
		}
	}
}

func checkExpiryAction(ps *problem.List, action string, grace int64) {
	if action != "" && action != "delete" && action != "retain" {
		ps.Add("post_expiry_action", action, `must be "delete" or "retain"`)
	}
	if grace < -1 {
		ps.AddNumber("post_expiry_grace_period", grace, "must be at least 0 seconds, or -1 for no limit")
	}
}

// maxTriggers bounds the events of one user's quota in a period.
const maxTriggers = 100

// checkTriggers warns of percentages that are never reached. Tyk accepts them, too.
func checkTriggers(ps *problem.List, limits []float64) (warnings []string) {
	const field = "monitor.trigger_limits"
	if len(limits) > maxTriggers {
		*ps = append(*ps, problem.Problem{Field: field, Want: fmt.Sprintf("must have at most %d percentages, not %d", maxTriggers, len(limits))})
		return nil
	}
	for i, percent := range limits {
		if !(percent > 0 && percent <= 100) {
			warnings = append(warnings, fmt.Sprintf("%s[%d] = %v: never reached; must be a percentage above 0 and up to 100", field, i, percent))
		}
	}
	return warnings
}

// checkTags refuses commas, because X-Auth-Tags joins tags with commas.
func checkTags(ps *problem.List, tags []string) {
	ps.CheckList("tags", tags, problem.MaxName)
	for i, tag := range tags {
		if strings.Contains(tag, ",") {
			ps.Add(fmt.Sprintf("tags[%d]", i), tag, "must not contain a comma: X-Auth-Tags joins tags with commas")
		}
	}
}

// bcryptLike matches a bcrypt hash of any cost.
var bcryptLike = regexp.MustCompile(`^\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// looksHashed reports whether pass may be a stored hash. If a hash became a password, all readers of the
// database could log in.
func looksHashed(pass string) bool {
	_, err := password.HashKind(pass)
	return err == nil || bcryptLike.MatchString(pass) || strings.HasPrefix(pass, password.ArgonPrefix)
}

// CheckPassword refuses a new password that no login could present, or with more than maxBytes, which
// the hash would cut. The error never contains it.
func CheckPassword(password string, maxBytes int) error {
	var ps problem.List
	const field = "password"
	if password == "" {
		ps.Add(field, "", "must not be empty")
	}
	checkPassword(&ps, field, password, maxBytes)
	return ps.Err()
}

// checkPassword refuses a password that no login could present or that the hash would cut. The problem
// never contains it.
func checkPassword(ps *problem.List, field, password string, maxBytes int) {
	switch {
	case len(password) > maxBytes:
		*ps = append(*ps, problem.Problem{Field: field, Want: fmt.Sprintf("must be at most %d bytes, not %d: the hash reads no further", maxBytes, len(password))})
	case strings.ContainsFunc(password, unicode.IsControl):
		*ps = append(*ps, problem.Problem{Field: field, Want: "must not contain control characters (a line end at its end?): RFC 7617 allows none"})
	case looksHashed(password):
		*ps = append(*ps, problem.Problem{Field: field, Want: "must be the password itself, not a hash of it"})
	}
}

// MetaText returns the text of a meta_data value as a header carries it: the text of a string, and
// other values as JSON.
func MetaText(value []byte) string {
	var text string
	if err := json.Unmarshal(value, &text); err == nil {
		return text
	}
	return string(value)
}
