package auth

import (
	"fmt"
	"strings"
	"testing"

	"sidekey/auth/route"
	"sidekey/auth/session"
)

// heaviest are rights as heavy as they can be stored.
func heaviest() map[string]session.Right {
	fill := func(pattern func(i int) string, methods ...string) (r session.Right) {
		one := session.Right{AllowedURLs: []session.AllowedURL{{URL: pattern(0), Methods: methods}}}
		for i := range session.MaxRightSteps / one.Size() {
			r.AllowedURLs = append(r.AllowedURLs, session.AllowedURL{URL: pattern(i), Methods: methods})
		}
		return r
	}
	same := func(text string) func(int) string { return func(int) string { return text } }
	withEndpoints := func(r session.Right) session.Right {
		var half session.Right
		for _, u := range r.AllowedURLs[:len(r.AllowedURLs)/2] {
			half.Endpoints = append(half.Endpoints, session.Endpoint{Path: u.URL, Methods: []session.EndpointMethod{{Name: "GET"}}})
		}
		half.AllowedURLs = append([]session.AllowedURL{{URL: "/*", Methods: []string{"GET"}}}, r.AllowedURLs[:len(r.AllowedURLs)/3]...)
		return half
	}
	literals := make([]string, 0, 10_000)
	for i := range cap(literals) {
		literals = append(literals, fmt.Sprintf("/%s%04d", strings.Repeat("a", 1000), i))
	}
	methods := make([]string, 19_000)
	for i := range methods {
		methods[i] = fmt.Sprintf("%032d", i)
	}
	return map[string]session.Right{
		"repeats":    fill(same("/.{0,490}x"), "GET"),
		"branches":   fill(same("/(a|ac|aca|c|ca)*b"), "GET"),
		"anything":   fill(same(".*a.*c.*a.*c.*b"), "GET"),
		"classes":    fill(same(`/(\pL|\pN|[^\p{Greek}]|(?i:k)|\w)*\d`), "GET"),
		"boundaries": fill(same(`/(\b|\B|a|c|)*b`), "GET"),
		"short":      fill(same("/.*b"), "GET"),
		"literals":   fill(func(i int) string { return literals[i] }, "GET"),
		"prefixes":   fill(func(i int) string { return literals[i][1:] + ".?" }, "GET"),
		"methods":    fill(same("/a"), methods...),
		"endpoints":  withEndpoints(fill(same("/[^/]+c?a?b"), "GET")),
	}
}

// longest are paths of 8 KB; those with parameters and escapes are read in several ways.
func longest() map[string]string {
	fill := func(piece string) string {
		return "/orders/" + strings.Repeat(piece, (route.MaxPath-len("/orders/"))/len(piece))
	}
	return map[string]string{
		"plain":      fill("ac"),
		"letters":    fill("%C3%A9"),
		"parameters": fill("ac")[:route.MaxPath-4] + ";a=b",
		"segments":   fill("a/"),
		"query":      fill("ac")[:route.MaxPath-4] + "%3fa",
		"prefix":     "/orders/" + strings.Repeat("a", 1000) + "x",
	}
}

// eachHeaviest calls f with each of the heaviest rights and each of the longest paths.
func eachHeaviest(f func(name string, right session.Right, rules *route.Rules, api *route.API, r *Request)) {
	orders := api("orders", "/orders")
	for name, right := range heaviest() {
		urls, limits := rulesOf("orders", right)
		var endpoints []route.EndpointRule
		for _, l := range limits {
			endpoints = append(endpoints, l.EndpointRule)
		}
		rules := route.NewRules(urls, endpoints)
		for kind, path := range longest() {
			r := &Request{Method: []byte("GET"), URI: []byte(path)}
			if name == "methods" {
				r.Method = []byte(strings.Repeat("0", 31) + "x")
			}
			f(name+"/"+kind, right, rules, &orders, r)
		}
	}
}

// T-105: no check of a session that can be stored takes more steps than are allowed, however
// long its path is.
func TestT105StepsOfACheck(t *testing.T) {
	exhausted := 0
	eachHeaviest(func(name string, right session.Right, rules *route.Rules, api *route.API, r *Request) {
		if size := right.Size(); size > session.MaxRightSteps || size < session.MaxRightSteps/2 {
			t.Errorf("%s: %d steps: not as heavy as can be", name, size)
		}
		_, outcome := rules.Match(api, r.Method, r.URI)
		steps := rules.Steps(api, r.Method, r.URI)
		// The last spending may go beyond the bound, by what one rune takes.
		if steps > route.MaxCheckSteps+session.MaxRightSteps {
			t.Errorf("%s: %d steps, more than %d", name, steps, route.MaxCheckSteps)
		}
		if (steps > route.MaxCheckSteps) != (outcome == route.TooCostly) {
			t.Errorf("%s: outcome %v after %d steps", name, outcome, steps)
		}
		if outcome == route.TooCostly {
			exhausted++
		}
	})
	if exhausted == 0 {
		t.Error("none uses up its steps: nothing is shown")
	}
}

// T-105: each is under 1 ms of processor time.
func BenchmarkHeaviestCheck(b *testing.B) {
	eachHeaviest(func(name string, _ session.Right, rules *route.Rules, api *route.API, r *Request) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				rules.Match(api, r.Method, r.URI)
			}
		})
	})
}

// rightOf returns a right of n patterns that take about so many steps each.
func rightOf(name string, n, steps int) map[string]session.Right {
	var r session.Right
	for i := range n {
		r.AllowedURLs = append(r.AllowedURLs, session.AllowedURL{URL: fmt.Sprintf("/%s%d/.{0,%d}", name, i, steps/2-5), Methods: []string{"GET"}})
	}
	return map[string]session.Right{"orders": r}
}

// T-105: 40 policies of the maximum size on one user: a write of them is refused, and a check that meets
// them in a stored record refuses the request without looking at the path. Requests to other APIs go on.
func TestT105PoliciesTooLargeTogether(t *testing.T) {
	w := newWorld(t, api("orders", "/orders"), api("stock", "/stock"))
	rules := session.Rules{APIs: w.checker.Settings().APIs, Policies: w.policies, AllowEmptyRights: true}
	var ids []string
	for i := range 40 {
		id := fmt.Sprintf("p%d", i)
		policy := session.Policy{ID: id, OrgID: "default", AccessRights: rightOf(id, 20, 900)}
		if i == 0 {
			policy.AccessRights["stock"] = session.Right{}
		}
		if err := policy.Validate(rules); err != nil {
			t.Fatal(err)
		}
		w.policies.SetStored(id, &policy)
		ids = append(ids, id)
	}
	s := &session.Session{OrgID: "default", ApplyPolicies: ids}
	const wanted = "apply_policies: access_rights.orders of all policies together: patterns and methods must not come to more than 20000 steps, but come to "
	if _, err := s.Validate(rules, 0); err == nil || !strings.HasPrefix(err.Error(), wanted) {
		t.Errorf("40 policies: %v", err)
	}
	s.ApplyPolicies = ids[:1]
	if _, err := s.Validate(rules, 0); err != nil {
		t.Errorf("one policy: %v", err)
	}

	// An edit of a session that has it already goes through, unless it makes it worse.
	stored := &session.Session{OrgID: "default", ApplyPolicies: ids[:30]}
	rules.Before = stored
	for n, passes := range map[int]bool{2: true, 30: true, 31: false, 40: false} {
		s := &session.Session{OrgID: "default", ApplyPolicies: ids[:n], IsInactive: true}
		if _, err := s.Validate(rules, 0); (err == nil) != passes {
			t.Errorf("%d policies instead of 30: %v", n, err)
		}
	}

	w.put("default", "ann", "pw", func(s *session.Session) { s.ApplyPolicies = ids })
	e := w.directory.Effective(&session.Session{OrgID: "default", ApplyPolicies: ids})
	if got := e.TooLarge(); len(got) != 1 || got[0] != "orders" {
		t.Errorf("too large: %q", got)
	}
	r := request("ann", "pw")
	r.URI = []byte("/orders/p00/x")
	if v := w.check(r); v.Reason != AmbiguousPath || !v.Excess {
		t.Errorf("orders: %v, excess %v", v.Reason, v.Excess)
	}
	if _, steps := w.checker.Explain(w.clock.now(), r); !strings.Contains(steps[len(steps)-1].Hint, "write fewer or simpler patterns") {
		t.Errorf("explained: %+v", steps[len(steps)-1])
	}
	r.URI = []byte("/stock/1")
	if v := w.check(r); v.Reason != Pass || v.Excess {
		t.Errorf("stock: %v, excess %v", v.Reason, v.Excess)
	}
	// Once it is smaller it is checked.
	w.edit("default", "ann", func(s *session.Session) { s.ApplyPolicies = ids[:1] })
	r.URI = []byte("/orders/p00/x")
	if v := w.check(r); v.Reason != Pass || v.Excess {
		t.Errorf("with one policy: %v, excess %v", v.Reason, v.Excess)
	}
}
