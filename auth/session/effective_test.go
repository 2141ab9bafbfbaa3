package session

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// apply decodes a session and its policies, applies them in every order, and returns
// the limits of each API as text: RATE/PER QUOTA/RENEWAL @SCOPE. The limits and which
// rights share them are the same in every order.
func apply(t *testing.T, session string, policies ...string) (limits string) {
	t.Helper()
	s, unknown, err := DecodeSession([]byte(session))
	if err != nil || unknown != nil {
		t.Fatalf("%s: %v, unknown %q", session, err, unknown)
	}
	s.OrgID = "default"
	var list []*Policy
	for i, text := range policies {
		p, unknown, err := DecodePolicy([]byte(text))
		if err != nil || unknown != nil {
			t.Fatalf("%s: %v, unknown %q", text, err, unknown)
		}
		p.ID, p.OrgID = string(rune('A'+i)), "default"
		list = append(list, &p)
	}
	permute(list, func(order []*Policy) {
		s.ApplyPolicies = nil
		for _, p := range order {
			s.ApplyPolicies = append(s.ApplyPolicies, p.ID)
		}
		e := Apply(&s, order, false)
		if got := limitsText(&e); limits == "" {
			limits = got
		} else if got != limits {
			t.Errorf("the order counts: %q gives\n%s\nand another\n%s", s.ApplyPolicies, got, limits)
		}
	})
	return limits
}

func permute(list []*Policy, f func([]*Policy)) {
	if len(list) <= 1 {
		f(list)
		return
	}
	for i := range list {
		rest := slices.Delete(slices.Clone(list), i, i+1)
		permute(rest, func(order []*Policy) { f(append([]*Policy{list[i]}, order...)) })
	}
}

func limitsText(e *Effective) string {
	text := func(api string, l LimitSpec, scope string) string {
		if prefix, ids, ok := strings.Cut(scope, ":"); ok && prefix == "policy" {
			sorted := strings.Split(ids, ",")
			slices.Sort(sorted)
			scope = "policy:" + strings.Join(sorted, ",")
		}
		return fmt.Sprintf("%s %v/%v %d/%d @%s\n", api, l.Rate, l.Per, l.QuotaMax, l.Renewal, scope)
	}
	if e.Every {
		return text("*", e.Limits, "")
	}
	var b strings.Builder
	for _, api := range slices.Sorted(maps.Keys(e.Rights)) {
		if r := e.Rights[api]; r.Limit != nil {
			b.WriteString(text(api, *r.Limit, r.Scope))
		} else {
			b.WriteString(text(api, e.Limits, ""))
		}
	}
	return b.String()
}

func TestApplyLimits(t *testing.T) {
	const own = `{"rate":1,"per":2,"quota_max":3,"quota_renewal_rate":4,"access_rights":{"own":{}}}`
	const noRights = `{"rate":1,"per":2,"quota_max":3,"quota_renewal_rate":4}`
	for _, c := range []struct {
		name     string
		session  string
		policies []string
		want     string
	}{
		{"none", own, nil, "own 1/2 3/4 @\n"},
		{"none, no rights", noRights, nil, "* 1/2 3/4 @\n"},
		{"own limit of a right", `{"rate":1,"per":2,"quota_max":3,"access_rights":{"x":{"limit":{"rate":9,"per":1}},"y":{}}}`, nil,
			"x 9/1 0/0 @api:x\ny 1/2 3/0 @\n"},

		{"whole", own, []string{`{"rate":10,"per":1,"quota_max":100,"quota_renewal_rate":60,"access_rights":{"x":{}}}`}, "x 10/1 100/60 @\n"},
		{"whole, lower", own, []string{`{"rate":0.1,"per":1,"quota_max":1,"quota_renewal_rate":90,"access_rights":{"x":{}}}`}, "x 0.1/1 1/90 @\n"},
		{"whole, unlimited", own, []string{`{"rate":0,"per":0,"quota_max":-1,"access_rights":{"x":{}}}`}, "x 0/0 -1/0 @\n"},
		{"whole, several APIs", own, []string{`{"rate":10,"per":1,"access_rights":{"x":{},"y":{}}}`}, "x 10/1 0/0 @\ny 10/1 0/0 @\n"},

		{"same API", own, []string{
			`{"rate":5,"per":10,"quota_max":10,"quota_renewal_rate":3600,"access_rights":{"x":{}}}`,
			`{"rate":20,"per":10,"quota_max":100,"quota_renewal_rate":60,"access_rights":{"x":{}}}`,
		}, "x 20/10 100/3600 @\n"},
		{"same API, the time per request counts", own, []string{
			`{"rate":100,"per":1000,"quota_max":1,"access_rights":{"x":{}}}`,
			`{"rate":2,"per":1,"quota_max":1,"access_rights":{"x":{}}}`,
			`{"rate":0.5,"per":1,"quota_max":1,"access_rights":{"x":{}}}`,
		}, "x 2/1 1/0 @\n"},
		// 1000/1000 lets more through at once than 1/1, in any order.
		{"same API, as fast, longer", own, []string{
			`{"rate":1,"per":1,"quota_max":1,"access_rights":{"x":{}}}`,
			`{"rate":1000,"per":1000,"quota_max":1,"access_rights":{"x":{}}}`,
		}, "x 1000/1000 1/0 @\n"},
		{"same API, -1 is largest", own, []string{
			`{"rate":1,"per":1,"quota_max":1000000,"quota_renewal_rate":10,"access_rights":{"x":{}}}`,
			`{"rate":1,"per":1,"quota_max":-1,"quota_renewal_rate":5,"access_rights":{"x":{}}}`,
		}, "x 1/1 -1/10 @\n"},
		{"same API, no rate is the highest", own, []string{
			`{"rate":1,"per":1,"quota_max":1,"access_rights":{"x":{}}}`,
			`{"rate":5,"per":0,"quota_max":1,"access_rights":{"x":{}}}`,
		}, "x 5/0 1/0 @\n"},
		{"same API, never renewed is the longest", own, []string{
			`{"rate":1,"per":1,"quota_max":1,"quota_renewal_rate":-1,"access_rights":{"x":{}}}`,
			`{"rate":1,"per":1,"quota_max":2,"quota_renewal_rate":5,"access_rights":{"x":{}}}`,
		}, "x 1/1 2/-1 @\n"},

		{"different APIs", own, []string{
			`{"rate":10,"per":1,"quota_max":100,"quota_renewal_rate":60,"access_rights":{"x":{}}}`,
			`{"rate":5,"per":1,"quota_max":50,"quota_renewal_rate":90,"access_rights":{"y":{}}}`,
		}, "x 10/1 100/60 @policy:A\ny 5/1 50/90 @policy:B\n"},
		{"different APIs, an overlap", own, []string{
			`{"rate":10,"per":1,"quota_max":100,"access_rights":{"x":{},"y":{}}}`,
			`{"rate":20,"per":1,"quota_max":50,"access_rights":{"y":{},"z":{}}}`,
		}, "x 10/1 100/0 @policy:A\ny 20/1 100/0 @policy:A,B\nz 20/1 50/0 @policy:B\n"},
		{"the same APIs", own, []string{
			`{"rate":10,"per":1,"quota_max":100,"access_rights":{"x":{},"y":{}}}`,
			`{"rate":20,"per":1,"quota_max":50,"access_rights":{"y":{},"x":{}}}`,
		}, "x 20/1 100/0 @\ny 20/1 100/0 @\n"},

		{"acl", own, []string{`{"rate":10,"per":1,"quota_max":100,"partitions":{"acl":true},"access_rights":{"x":{}}}`}, "x 1/2 3/4 @\n"},
		{"rate", own, []string{`{"rate":10,"per":1,"quota_max":100,"partitions":{"rate_limit":true},"access_rights":{"x":{}}}`}, "own 10/1 3/4 @\n"},
		{"quota", own, []string{`{"rate":10,"per":1,"quota_max":100,"quota_renewal_rate":60,"partitions":{"quota":true},"access_rights":{"x":{}}}`}, "own 1/2 100/60 @\n"},
		{"complexity", own, []string{`{"rate":10,"per":1,"quota_max":100,"partitions":{"complexity":true},"access_rights":{"x":{}}}`}, "own 1/2 3/4 @\n"},
		{"quota without rights", noRights, []string{`{"quota_max":100,"partitions":{"quota":true}}`}, ""},
		{"acl, rate, quota", own, []string{
			`{"partitions":{"acl":true},"access_rights":{"x":{},"y":{}}}`,
			`{"rate":10,"per":1,"partitions":{"rate_limit":true}}`,
			`{"quota_max":100,"quota_renewal_rate":60,"partitions":{"quota":true}}`,
		}, "x 10/1 100/60 @\ny 10/1 100/60 @\n"},
		{"two rates", own, []string{
			`{"rate":10,"per":1,"partitions":{"rate_limit":true}}`,
			`{"rate":5,"per":1,"partitions":{"rate_limit":true}}`,
		}, "own 10/1 3/4 @\n"},
		{"all partitions, the same API", own, []string{
			`{"rate":10,"per":1,"quota_max":7,"partitions":{"acl":true,"rate_limit":true,"quota":true},"access_rights":{"x":{}}}`,
			`{"rate":5,"per":1,"quota_max":70,"partitions":{"acl":true,"rate_limit":true,"quota":true},"access_rights":{"x":{}}}`,
		}, "x 10/1 70/0 @\n"},

		{"per_api", own, []string{`{"rate":10,"per":1,"quota_max":7,"partitions":{"per_api":true},"access_rights":{"x":{"limit":{"rate":2,"per":1}},"y":{}}}`},
			"x 2/1 0/0 @api:x\ny 10/1 7/0 @api:y\n"},
		{"two per_api", own, []string{
			`{"rate":10,"per":1,"partitions":{"per_api":true},"access_rights":{"x":{"limit":{"rate":2,"per":1,"quota_max":5,"quota_renewal_rate":9}},"y":{}}}`,
			`{"rate":20,"per":1,"partitions":{"per_api":true},"access_rights":{"x":{"limit":{"rate":3,"per":1,"quota_max":4,"quota_renewal_rate":10}},"z":{}}}`,
		}, "x 3/1 5/10 @api:x\ny 10/1 0/0 @api:y\nz 20/1 0/0 @api:z\n"},
		{"per_api and whole", own, []string{
			`{"rate":10,"per":1,"quota_max":1,"partitions":{"per_api":true},"access_rights":{"x":{}}}`,
			`{"rate":20,"per":1,"quota_max":1,"access_rights":{"x":{},"y":{}}}`,
		}, "x 20/1 1/0 @api:x\ny 20/1 1/0 @policy:B\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := apply(t, c.session, c.policies...); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// Policies that have every part of them switched on limit their own APIs and no
// others.
func TestApplyAllPartitions(t *testing.T) {
	got := apply(t, `{"rate":1,"per":1}`,
		`{"rate":1000,"per":1,"quota_max":-1,"partitions":{"acl":true,"rate_limit":true,"quota":true},"access_rights":{"x":{}}}`,
		`{"rate":5,"per":1,"quota_max":50,"partitions":{"acl":true,"rate_limit":true,"quota":true},"access_rights":{"y":{}}}`)
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		if strings.HasPrefix(line, "y ") && !strings.HasPrefix(line, "y 5/1 50/0 ") {
			t.Errorf("API y, which only the policy of 5/1 with a quota of 50 grants, has %s", line)
		}
	}
}

// A whole policy replaces the session's rights also where it grants nothing (any more).
func TestApplyNoRights(t *testing.T) {
	if got := apply(t, `{"access_rights":{"own":{}}}`, `{"rate":1,"per":1}`); got != "" {
		t.Errorf("a whole policy without rights leaves the session\n%s", got)
	}
	if got := apply(t, `{}`, `{"rate":1,"per":1}`); got != "" {
		t.Errorf("a whole policy without rights, of a session without any, gives\n%s", got)
	}
}

// endpointText is the limit of the first endpoint with that method and path.
func endpointText(e *Effective, api, method, path string) string {
	for _, e := range e.Rights[api].Endpoints {
		for _, m := range e.Methods {
			if e.Path == path && m.Name == method {
				return fmt.Sprintf("%v/%v", m.Limit.Rate, m.Limit.Per)
			}
		}
	}
	return "none"
}

func TestApplyRights(t *testing.T) {
	a := &Policy{ID: "A", OrgID: "default", AccessRights: map[string]Right{"x": {
		Versions:    []string{"v1"},
		AllowedURLs: []AllowedURL{{URL: "/list", Methods: []string{"GET"}}, {URL: "/a", Methods: []string{"GET"}}},
		Endpoints:   []Endpoint{{Path: "/list", Methods: []EndpointMethod{{Name: "GET", Limit: EndpointLimit{Rate: 1, Per: 60}}}}},
	}}}
	b := &Policy{ID: "B", OrgID: "default", AccessRights: map[string]Right{"x": {
		Versions:    []string{"v2", "v1"},
		AllowedURLs: []AllowedURL{{URL: "/list", Methods: []string{"POST", "GET"}}, {URL: "/b", Methods: []string{"PUT"}}},
		Endpoints:   []Endpoint{{Path: "/list", Methods: []EndpointMethod{{Name: "GET", Limit: EndpointLimit{Rate: 9, Per: 60}}}}},
	}}}
	open := &Policy{ID: "C", OrgID: "default", AccessRights: map[string]Right{"x": {}}}
	s := &Session{OrgID: "default", ApplyPolicies: []string{"A", "B"}, AccessRights: map[string]Right{"x": {AllowedURLs: []AllowedURL{{URL: "/own"}}}, "y": {}}}

	e := Apply(s, []*Policy{a, b}, false)
	want := []AllowedURL{
		{URL: "/list", Methods: []string{"GET", "POST"}},
		{URL: "/a", Methods: []string{"GET"}},
		{URL: "/b", Methods: []string{"PUT"}},
	}
	if got := e.Rights["x"].AllowedURLs; !reflect.DeepEqual(got, want) {
		t.Errorf("allowed_urls: %v, want %v", got, want)
	}
	if got := e.Rights["x"].Versions; !slices.Equal(got, []string{"v1", "v2"}) {
		t.Errorf("versions: %q", got)
	}
	if !e.Grants("x") || e.Grants("y") {
		t.Error("the session's rights are not replaced")
	}
	// Nothing of the policies themselves has changed.
	if got := a.AccessRights["x"].AllowedURLs[0].Methods; !slices.Equal(got, []string{"GET"}) {
		t.Errorf("policy A has been changed: %q", got)
	}

	permute([]*Policy{a, b, open}, func(order []*Policy) {
		e := Apply(s, order, false)
		if r := e.Rights["x"]; r.AllowedURLs != nil || r.Versions != nil {
			t.Errorf("a policy that allows all, among others: %v, %q", r.AllowedURLs, r.Versions)
		}
	})

	// An endpoint that both limit has the higher rate, in any order.
	permute([]*Policy{a, b}, func(order []*Policy) {
		e := Apply(s, order, false)
		if got := endpointText(&e, "x", "GET", "/list"); got != "9/60" {
			t.Errorf("%s first: the endpoint of both has %s, want the higher rate, 9/60", order[0].ID, got)
		}
	})
}

func TestApplyLabels(t *testing.T) {
	value := func(text string) jsontext.Value { return jsontext.Value(text) }
	s := &Session{OrgID: "default", Tags: []string{"own", "both"}, MetaData: map[string]jsontext.Value{"a": value(`1`), "b": value(`1`)}}
	first := &Policy{ID: "A", OrgID: "default", Tags: []string{"gold", "both"}, MetaData: map[string]jsontext.Value{"b": value(`2`), "c": value(`2`)}}
	second := &Policy{ID: "B", OrgID: "default", Tags: []string{"silver", "gold"}, MetaData: map[string]jsontext.Value{"c": value(`3`)}}
	silent := &Policy{ID: "C", OrgID: "default"}
	for _, c := range []struct {
		policies []*Policy
		merge    bool
		tags     string
		meta     string
	}{
		{nil, false, "own both", "a=1 b=1"},
		{nil, true, "own both", "a=1 b=1"},
		{[]*Policy{silent}, false, "own both", "a=1 b=1"},
		{[]*Policy{first}, false, "gold both", "a=1 b=2 c=2"},
		{[]*Policy{first}, true, "own both gold", "a=1 b=2 c=2"},
		{[]*Policy{first, second}, false, "gold both silver", "a=1 b=2 c=3"},
		{[]*Policy{second, first}, false, "silver gold both", "a=1 b=2 c=2"},
		{[]*Policy{second, silent, first}, true, "own both silver gold", "a=1 b=2 c=2"},
	} {
		s.ApplyPolicies = make([]string, len(c.policies))
		e := Apply(s, c.policies, c.merge)
		var meta []string
		for _, name := range slices.Sorted(maps.Keys(e.MetaData)) {
			meta = append(meta, name+"="+string(e.MetaData[name]))
		}
		if got := strings.Join(e.Tags, " "); got != c.tags {
			t.Errorf("%d policies, merge %v: tags %q, want %q", len(c.policies), c.merge, got, c.tags)
		}
		if got := strings.Join(meta, " "); got != c.meta {
			t.Errorf("%d policies: meta_data %q, want %q", len(c.policies), got, c.meta)
		}
	}
	if len(s.MetaData) != 2 || len(first.MetaData) != 2 || !slices.Equal(s.Tags, []string{"own", "both"}) || !slices.Equal(first.Tags, []string{"gold", "both"}) {
		t.Error("Apply has changed what it was given")
	}
}

func TestApplyBlocked(t *testing.T) {
	yes, no := true, false
	good := &Policy{ID: "good", OrgID: "default", Active: &yes, AccessRights: map[string]Right{"x": {}}}
	for _, c := range []struct {
		name     string
		session  Session
		policies []*Policy
		inactive bool
		why      string
	}{
		{"no policy", Session{}, nil, false, ""},
		{"the session", Session{IsInactive: true}, nil, true, ""},
		{"a good one", Session{}, []*Policy{good}, false, ""},
		{"nothing said is active", Session{}, []*Policy{{ID: "p", OrgID: "default"}}, false, ""},
		{"one of two does not exist", Session{}, []*Policy{good, nil}, true, `policy "p1" does not exist`},
		{"the only one does not exist", Session{}, []*Policy{nil}, true, `policy "p0" does not exist`},
		{"another org's", Session{}, []*Policy{{ID: "p", OrgID: "acme"}}, true, `policy "p" belongs to org_id "acme"`},
		{"is_inactive", Session{}, []*Policy{good, {ID: "p", OrgID: "default", Active: &yes, IsInactive: true}}, true, `policy "p" is inactive`},
		{"active: false", Session{}, []*Policy{{ID: "p", OrgID: "default", Active: &no}, good}, true, `policy "p" is inactive`},
		{"both", Session{IsInactive: true}, []*Policy{nil}, true, `policy "p0" does not exist`},
		{"a policy does not make active", Session{IsInactive: true}, []*Policy{good}, true, ""},
	} {
		c.session.OrgID = "default"
		for i := range c.policies {
			c.session.ApplyPolicies = append(c.session.ApplyPolicies, fmt.Sprintf("p%d", i))
		}
		e := Apply(&c.session, c.policies, false)
		if e.Inactive != c.inactive || e.Why != c.why {
			t.Errorf("%s: inactive %v, %q, want %v, %q", c.name, e.Inactive, e.Why, c.inactive, c.why)
		}
		if len(c.policies) > 0 && e.Grants("y") {
			t.Errorf("%s: an API without a grant is granted", c.name)
		}
	}
}
