package admin

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"sidekey/auth/session"
	"sidekey/internal/problem"
)

// pickPolicies returns the policies that the Dashboard's query selects, in its order:
//
//	?active=       any value: only policies in state active
//	?state=        active, deny or draft
//	?api_id=       policies with rights to all of these APIs
//	?policy_ids=   policies with these ids; overrides ?q=
//	?q=            the id, or a part of the name
//	?sort=         date_created, name or state
func (c *call) pickPolicies(list []session.Policy) ([]session.Policy, error) {
	var ps problem.List
	one := func(name string, of ...string) string {
		value := c.query(name)
		if value != "" && !slices.Contains(of, value) {
			ps = append(ps, problem.Problem{Field: name, Value: strconv.Quote(value), Want: "must be one of " + strings.Join(of, ", ")})
		}
		return value
	}
	state := one("state", "active", "deny", "draft")
	sort := one("sort", "date_created", "name", "state")
	if len(ps) > 0 {
		return nil, ps
	}
	if c.query("auth_type") != "" {
		c.warn([]string{"auth_type: ignored, because policies have none"})
	}
	apis, ids, text := commaList(c.query("api_id")), commaList(c.query("policy_ids")), strings.ToLower(c.query("q"))
	list = slices.DeleteFunc(list, func(p session.Policy) bool {
		lacks := func(api string) bool { _, granted := p.AccessRights[api]; return !granted }
		switch {
		case c.query("active") != "" && policyState(p) != "active",
			state != "" && policyState(p) != state,
			slices.ContainsFunc(apis, lacks):
			return true
		case len(ids) > 0:
			return !slices.Contains(ids, p.ID)
		}
		return strings.ToLower(p.ID) != text && !strings.Contains(strings.ToLower(p.Name), text)
	})
	slices.SortStableFunc(list, func(a, b session.Policy) int {
		switch sort {
		case "date_created":
			return cmp.Compare(a.DateCreated, b.DateCreated)
		case "name":
			return cmp.Compare(a.Name, b.Name)
		case "state":
			return cmp.Compare(policyState(a), policyState(b))
		}
		return 0
	})
	return list, nil
}

// policyState returns the Dashboard's name for the state of a policy: deny refuses its users, and a
// draft does too until it is activated.
func policyState(p session.Policy) string {
	switch {
	case p.IsInactive:
		return "deny"
	case !*p.Active:
		return "draft"
	}
	return "active"
}

func commaList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}
