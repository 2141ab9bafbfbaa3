package auth

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Sizes that are refused at write, so that no header, log line or page grows
// without bound later.
const (
	maxName   = 255  // bytes of a user name or an org id
	maxText   = 1024 // bytes of an alias or a value that goes into a header
	maxTag    = 255
	maxJoined = 4096 // bytes of all tags or all policies together
)

// CheckNames refuses a user name or an org id that could not be told apart, logged
// or sent as a header.
func CheckNames(org, user string) error {
	var ps Problems
	checkName(&ps, "org_id", org)
	checkName(&ps, "username", user)
	if strings.Contains(user, ":") {
		ps.add("username", user, "a name without a colon is wanted: RFC 7617 ends the name at the first one")
	}
	return ps.err()
}

func checkName(ps *Problems, field, name string) {
	switch {
	case name == "":
		*ps = append(*ps, Problem{Field: field, Value: `""`, Want: "a name of 1 to 255 bytes is wanted"})
	case len(name) > maxName:
		ps.add(field, name, "at most %d bytes are wanted, not %d", maxName, len(name))
	case strings.TrimSpace(name) != name:
		ps.add(field, name, "a name without space at its ends is wanted")
	default:
		checkText(ps, field, name, maxName)
	}
}

// checkText refuses what cannot stand in a header value or misleads a reader.
func checkText(ps *Problems, field, text string, most int) {
	if len(text) > most {
		ps.add(field, text, "at most %d bytes are wanted, not %d", most, len(text))
		return
	}
	if !utf8.ValidString(text) {
		ps.add(field, text, "valid UTF-8 is wanted")
		return
	}
	if i := strings.IndexFunc(text, misleading); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		kind := "invisible"
		if turnsText(r) {
			kind = "control"
		}
		ps.add(field, text, "text without the %s character %U is wanted", kind, r)
	}
}

// misleading reports what a reader of a name, a log line or a page does not see, or what
// changes how the text around it is read: two names that differ in it alone look the same.
func misleading(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	return turnsText(r) || invisible(r)
}

// turnsText reports control characters, ends of lines and those that turn the direction of
// the text behind them (Trojan Source, CVE-2021-42574).
func turnsText(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// invisible reports characters that are drawn as nothing: zero-width space and joiners,
// soft hyphen, fillers, tags, variation selectors. Arabic number signs are drawn, though
// Unicode counts them as format characters.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) &&
		!unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

// Rules is what a session is checked against besides itself.
type Rules struct {
	APIs             *APIs
	Policies         *Policies
	AllowEmptyRights bool
	MetaHeaders      map[string]string // meta_data names that go to the upstream
	MaxPassword      int               // bytes that the configured hash can take

	// Before is the stored session that is edited, or nil. A right that is too large and
	// that it has already does not hold up an edit: see [Effective.TooLarge].
	Before *Session
}

// Validate refuses a session that could not be enforced as it reads. All problems
// are found at once ([Problems]); warnings are for what is accepted but may not
// mean what the writer thinks. now is in Unix seconds.
func (s *Session) Validate(rules Rules, now int64) (warnings []string, err error) {
	var ps Problems
	checkLimit(&ps, "", s.Rate, s.Per, s.ThrottleInterval)
	ps = append(ps, s.Smoothing.check("smoothing")...)
	if s.Expires > 0 && s.Expires <= now {
		warnings = append(warnings, fmt.Sprintf("expires = %d: is in the past, so the user is refused as expired", s.Expires))
	}
	if password := s.BasicAuth.Password; password != "" {
		checkPassword(&ps, password, rules.MaxPassword)
	}
	checkText(&ps, "alias", s.Alias, maxText)
	checkTags(&ps, s.Tags)
	checkList(&ps, "apply_policies", s.ApplyPolicies, maxName)
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
	ps.sort()
	return warnings, ps.err()
}

// CheckPolicies is the part of [Session.Validate] that may turn out otherwise a moment
// later, because policies come and go.
func (s *Session) CheckPolicies(rules Rules) error {
	var ps Problems
	s.checkPolicies(&ps, rules)
	ps.sort()
	return ps.err()
}

// shortSecret is the length, in bytes, below which a secret may be found by trying: who
// has seen one signed request can try without asking anybody.
const shortSecret = 16

// checkSecret looks at how the user signs requests. The secret never appears in what it
// says.
func (s *Session) checkSecret(ps *Problems, rules Rules) (warnings []string) {
	const field = "hmac_string"
	if n := len(s.HMACString); n > maxText {
		*ps = append(*ps, Problem{Field: field, Want: fmt.Sprintf("at most %d bytes are wanted, not %d", maxText, n)})
	} else if n > 0 && n < shortSecret {
		warnings = append(warnings, fmt.Sprintf("%s: %d bytes can be guessed; leave it empty to have one generated", field, n))
	}
	if !s.HMACEnabled {
		return warnings
	}
	if !rules.APIs.anySigned(s.OrgID) {
		warnings = append(warnings, "hmac_enabled: no API of the org accepts signed requests (apis.hmac), so the user cannot log in")
	}
	if s.BasicAuth.Password != "" {
		warnings = append(warnings, "basic_auth_data.password: kept, and of no use while hmac_enabled")
	}
	return warnings
}

// checkPolicies refuses a session whose policies could not be applied, or leave it
// without any right.
func (s *Session) checkPolicies(ps *Problems, rules Rules) {
	var policies []*Policy
	mixed := false
	for i, id := range s.ApplyPolicies {
		at := fmt.Sprintf("apply_policies[%d]", i)
		p := rules.Policies.Get(id)
		switch {
		case p == nil:
			ps.add(at, id, "a policy that exists is wanted: %s", rules.Policies.names(s.OrgID))
			continue
		case p.OrgID != s.OrgID:
			ps.add(at, id, "a policy of org_id %q is wanted: %s", s.OrgID, rules.Policies.names(s.OrgID))
			continue
		}
		mixed = mixed || slices.ContainsFunc(policies, func(other *Policy) bool { return p.Partitions.Excludes(other.Partitions) })
		policies = append(policies, p)
	}
	if len(policies) < len(s.ApplyPolicies) {
		return // what they come to together cannot be told
	}
	if mixed {
		*ps = append(*ps, Problem{Field: "apply_policies", Want: "policies with partitions.per_api are wanted without others that are partitioned"})
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
	case len(e.rights) > 0:
	case len(policies) > 0:
		*ps = append(*ps, Problem{Field: "access_rights", Want: "rights are wanted, of the session or of one of its policies (partitions.acl): without any, nothing is granted"})
	case !rules.AllowEmptyRights:
		*ps = append(*ps, Problem{Field: "access_rights", Want: "at least one API is wanted (rights.allow_empty_rights = false)"})
	}
}

// checkRights refuses rights to APIs that are not configured and patterns that could
// not be matched. before are the rights that are edited: one that is too large may stay
// so, but not grow.
func checkRights(ps *Problems, rights map[string]Right, org string, rules Rules, before map[string]Right) {
	for id, right := range rights {
		field := "access_rights." + clip(id)
		switch api := rules.APIs.ByID(id); {
		case api == nil:
			ps.add(field, id, "an API that is configured is wanted: %s", rules.APIs.names(org))
		case api.Org != org:
			ps.add(field, id, "an API of org_id %q is wanted: %s", org, rules.APIs.names(org))
		}
		checkText(ps, field+".api_name", right.APIName, maxText)
		checkList(ps, field+".versions", right.Versions, maxName)
		if right.Limit != nil {
			checkLimit(ps, field+".limit", right.Limit.Rate, right.Limit.Per, right.Limit.ThrottleInterval)
			*ps = append(*ps, right.Limit.Smoothing.check(field+".limit.smoothing")...)
		}
		for i, u := range right.AllowedURLs {
			at := fmt.Sprintf("%s.allowed_urls[%d]", field, i)
			if _, _, err := parsePattern(u.URL); err != nil {
				ps.add(at+".url", u.URL, "%v", err)
			}
			checkMethods(ps, at+".methods", u.Methods)
		}
		for i, e := range right.Endpoints {
			at := fmt.Sprintf("%s.endpoints[%d]", field, i)
			if _, _, err := parsePattern(e.Path); err != nil {
				ps.add(at+".path", e.Path, "%v", err)
			}
			for j, m := range e.Methods {
				at := fmt.Sprintf("%s.methods[%d]", at, j)
				checkMethods(ps, at+".name", []string{m.Name})
				checkLimit(ps, at+".limit", m.Limit.Rate, m.Limit.Per, 0)
			}
		}
		if right.tooLarge() {
			size, old := right.size(), before[id]
			if size > old.size() {
				*ps = append(*ps, Problem{Field: field, Want: tooLargeText(size)})
			}
		}
	}
}

// checkMethods wants at least one method: a rule without any would match nothing.
func checkMethods(ps *Problems, field string, methods []string) {
	if len(methods) == 0 {
		*ps = append(*ps, Problem{Field: field, Want: "at least one method is wanted, as GET"})
	}
	for _, m := range methods {
		if m == "" || len(m) > 32 || strings.ContainsFunc(m, notToken) {
			ps.addNumber(field, fmt.Sprintf("%q", m), "a request method is wanted, as GET")
		}
	}
}

func checkMeta(ps *Problems, meta map[string]jsontext.Value, sent map[string]string) {
	for name, value := range meta {
		field := "meta_data." + clip(name)
		checkText(ps, field, name, maxName)
		if _, ok := sent[name]; ok {
			checkText(ps, field, metaText(value), maxText)
		}
	}
}

func checkExpiryAction(ps *Problems, action string, grace int64) {
	if action != "" && action != "delete" && action != "retain" {
		ps.add("post_expiry_action", action, `"delete" or "retain" is wanted`)
	}
	if grace < -1 {
		ps.addNumber("post_expiry_grace_period", grace, "seconds are wanted, or -1 for ever")
	}
}

// maxTriggers is how many events one user's quota may send in a period.
const maxTriggers = 100

// checkTriggers warns of percentages at which nothing happens: Tyk takes them, too.
func checkTriggers(ps *Problems, limits []float64) (warnings []string) {
	const field = "monitor.trigger_limits"
	if len(limits) > maxTriggers {
		*ps = append(*ps, Problem{Field: field, Want: fmt.Sprintf("at most %d percentages are wanted, not %d", maxTriggers, len(limits))})
		return nil
	}
	for i, percent := range limits {
		if !(percent > 0 && percent <= 100) {
			warnings = append(warnings, fmt.Sprintf("%s[%d] = %v: never reached; a percentage above 0 and up to 100 is wanted", field, i, percent))
		}
	}
	return warnings
}

// checkLimit refuses numbers that no limit can be made of. JSON has no NaN, but a
// configuration file has.
func checkLimit(ps *Problems, path string, rate, per, throttle float64) {
	for _, f := range []struct {
		name  string
		value float64
	}{{"rate", rate}, {"per", per}, {"throttle_interval", throttle}} {
		if math.IsNaN(f.value) || math.IsInf(f.value, 0) {
			ps.addNumber(join(path, f.name), f.value, "a finite number is wanted")
		}
	}
	if throttle > 0 && throttle < 0.001 {
		ps.addNumber(join(path, "throttle_interval"), throttle, "0.001 or more seconds are wanted, or 0 to refuse at once")
	}
}

// checkTags refuses a comma, which would make two tags of one where they are joined.
func checkTags(ps *Problems, tags []string) {
	checkList(ps, "tags", tags, maxTag)
	for i, tag := range tags {
		if strings.Contains(tag, ",") {
			ps.add(fmt.Sprintf("tags[%d]", i), tag, "a tag without a comma is wanted: X-Auth-Tags joins them by commas")
		}
	}
}

func checkList(ps *Problems, field string, list []string, most int) {
	total := 0
	for i, text := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if text == "" {
			*ps = append(*ps, Problem{Field: at, Value: `""`, Want: "text is wanted"})
		}
		checkText(ps, at, text, most)
		total += len(text) + 1
	}
	if total > maxJoined {
		*ps = append(*ps, Problem{Field: field, Want: fmt.Sprintf("at most %d bytes in all are wanted, not %d", maxJoined, total)})
	}
}

// bcryptLike matches a bcrypt hash of any cost.
var bcryptLike = regexp.MustCompile(`^\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// looksHashed reports what may be a stored hash. Taking one for a password would make
// everybody who has seen the database able to log in.
func looksHashed(password string) bool {
	_, err := HashKind(password)
	return err == nil || bcryptLike.MatchString(password) || strings.HasPrefix(password, argonPrefix)
}

// CheckPassword refuses a new password that no login could present or that a hash, which
// reads so many bytes at most, would cut.
func CheckPassword(password string, most int) error {
	var ps Problems
	if password == "" {
		return errors.New("a password of at least one byte is wanted")
	}
	if checkPassword(&ps, password, most); len(ps) > 0 {
		return errors.New(ps[0].Want)
	}
	return nil
}

// checkPassword refuses a password that no login could present or that the hash
// would cut. Its text never appears in the problem.
func checkPassword(ps *Problems, password string, most int) {
	const field = "basic_auth_data.password"
	switch {
	case len(password) > most:
		*ps = append(*ps, Problem{Field: field, Want: fmt.Sprintf("at most %d bytes are wanted, not %d: the hash reads no further", most, len(password))})
	case strings.ContainsFunc(password, unicode.IsControl):
		*ps = append(*ps, Problem{Field: field, Want: "a password without control characters is wanted (a line end at its end?): RFC 7617 allows none"})
	case looksHashed(password):
		*ps = append(*ps, Problem{Field: field, Want: "the password itself is wanted, not a hash of it"})
	}
}

// metaText is the text of a meta_data value as a header carries it: a string's own
// text, anything else as JSON.
func metaText(value []byte) string {
	var text string
	if err := json.Unmarshal(value, &text); err == nil {
		return text
	}
	return string(value)
}
