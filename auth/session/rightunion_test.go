package session

import (
	"fmt"
	"strings"
	"testing"
)

// T-105: policies that name the same URLs are not larger together than alone.
func TestPoliciesOfTheSameURLs(t *testing.T) {
	var policies []*Policy
	for range 40 {
		policies = append(policies, &Policy{OrgID: "default", AccessRights: rightOf("same", 20, 900)})
	}
	e := Apply(&Session{OrgID: "default", ApplyPolicies: make([]string, 40)}, policies, false)
	if got := e.TooLarge(); len(got) != 0 || len(e.Rights["orders"].AllowedURLs) != 20 {
		t.Errorf("too large: %q, %d URLs", got, len(e.Rights["orders"].AllowedURLs))
	}
}

// T-105: uniting rights takes no more than a bounded number of entries, however many there
// are in all.
func TestUniteRightsIsBounded(t *testing.T) {
	var rights []Right
	for i := range 40 {
		var r Right
		for j := range 10_000 {
			text := fmt.Sprintf("/%d/%d", i, j)
			r.AllowedURLs = append(r.AllowedURLs, AllowedURL{URL: text, Methods: []string{"GET"}})
			r.Endpoints = append(r.Endpoints, Endpoint{Path: text, Methods: []EndpointMethod{{Name: "GET"}}})
		}
		rights = append(rights, r)
	}
	united, excess := uniteRights(rights)
	if n := len(united.AllowedURLs) + len(united.Endpoints); !excess || n > MaxRightSteps {
		t.Errorf("excess %v, %d entries", excess, n)
	}
}

// An edit of a policy is refused because of users who have other policies, too, and of no others.
func TestPolicyEditTooLarge(t *testing.T) {
	policies := NewPolicies(nil)
	for _, id := range []string{"a", "b", "c"} {
		policies.SetStored(id, &Policy{ID: id, OrgID: "default", AccessRights: rightOf(id, 8, 900)})
	}
	small := &Policy{ID: "a", OrgID: "default", AccessRights: rightOf("a", 1, 900)}
	large := &Policy{ID: "a", OrgID: "default", AccessRights: rightOf("a", 20, 900)}
	elsewhere := &Policy{ID: "a", OrgID: "default", AccessRights: map[string]Right{"stock": large.AccessRights["orders"]}}
	if policies.MayBeTooLarge(small) || policies.MayBeTooLarge(elsewhere) || !policies.MayBeTooLarge(large) {
		t.Error("small, elsewhere, large: ", policies.MayBeTooLarge(small), policies.MayBeTooLarge(elsewhere), policies.MayBeTooLarge(large))
	}
	for ids, refused := range map[string]bool{"a": false, "a b": true, "b c": false, "b a c": true, "a gone": false} {
		if got := policies.TooLargeWith(large, strings.Fields(ids)); (got != "") != refused {
			t.Errorf("%s: %q", ids, got)
		}
	}
	// Those that are too large already, and get no larger, do not count.
	policies.SetStored("a", large)
	if got := policies.TooLargeWith(large, []string{"a", "b"}); got != "" {
		t.Error(got)
	}
}

// T-105: all patterns of a right count, and its methods.
func TestT105PatternsOfARight(t *testing.T) {
	right := Right{}
	for range 40 {
		right.AllowedURLs = append(right.AllowedURLs, AllowedURL{URL: "/.{0,400}x", Methods: []string{"GET"}})
	}
	rules := Rules{APIs: mustAPIs(t, api("orders", "/")), Policies: NewPolicies(nil), AllowEmptyRights: true}
	s := Session{OrgID: "default", AccessRights: map[string]Right{"orders": right}}
	const wanted = "access_rights.orders: patterns and methods must not come to more than 20000 steps, but come to 32200"
	if _, err := s.Validate(rules, 0); err == nil || !strings.HasPrefix(err.Error(), wanted) {
		t.Errorf("40 patterns: %v", err)
	}
	right.AllowedURLs = right.AllowedURLs[:10]
	s.AccessRights["orders"] = right
	if _, err := s.Validate(rules, 0); err != nil {
		t.Errorf("10 patterns: %v", err)
	}
}

// rightOf returns a right of n patterns that take about so many steps each.
func rightOf(name string, n, steps int) map[string]Right {
	var r Right
	for i := range n {
		r.AllowedURLs = append(r.AllowedURLs, AllowedURL{URL: fmt.Sprintf("/%s%d/.{0,%d}", name, i, steps/2-5), Methods: []string{"GET"}})
	}
	return map[string]Right{"orders": r}
}
