package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"sidekey/auth"
)

// shapes are users whose sessions differ from the others' in one thing.
var shapes = []struct {
	user, name string
	change     func(s *auth.Session)
}{
	{"policies1", "1 policy", func(s *auth.Session) { s.ApplyPolicies = policyIDs(1) }},
	{"policies10", "10 policies", func(s *auth.Session) { s.ApplyPolicies = policyIDs(10) }},
	{"policies100", "100 policies", func(s *auth.Session) { s.ApplyPolicies = policyIDs(100) }},
	{"urls1", "1 URL pattern", func(s *auth.Session) { s.AccessRights["orders"] = urlPatterns(1) }},
	{"urls10", "10 URL patterns, the last fits", func(s *auth.Session) { s.AccessRights["orders"] = urlPatterns(10) }},
	{"urls100", "100 URL patterns, the last fits", func(s *auth.Session) { s.AccessRights["orders"] = urlPatterns(100) }},
	{"tags100", "100 tags", func(s *auth.Session) {
		for i := range 100 {
			s.Tags = append(s.Tags, fmt.Sprintf("tag%d", i))
		}
	}},
}

func policyIDs(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("policy%d", i))
	}
	return ids
}

// policyTables are those policies, for the configuration.
func policyTables() string {
	var b strings.Builder
	for _, id := range policyIDs(100) {
		fmt.Fprintf(&b, "[[policies]]\nid = %q\norg_id = \"default\"\nrate = 100000000\nper = 60\nquota_max = 1000000000000\nquota_renewal_rate = 86400\naccess_rights = { orders = { versions = [] } }\n", id)
	}
	return b.String()
}

// urlPatterns is a right whose last pattern is the only one that fits what is asked for.
func urlPatterns(n int) auth.Right {
	right := auth.Right{APIID: "orders"}
	for i := range n - 1 {
		right.AllowedURLs = append(right.AllowedURLs, auth.AllowedURL{URL: fmt.Sprintf("/orders/{id}/part%d", i), Methods: []string{"GET"}})
	}
	right.AllowedURLs = append(right.AllowedURLs, auth.AllowedURL{URL: "/orders/{id}", Methods: []string{"GET"}})
	return right
}

// measureSessions compares users of each shape with the bare handler.
func measureSessions(ctx context.Context, o options, checkAddr, bareAddr string) (rows []row, err error) {
	const path = "/auth/envoy/orders/1?x=2"
	for _, shape := range shapes {
		if code, err := ask(ctx, "http://"+checkAddr+path, shape.user); err != nil || code != 200 {
			return rows, fmt.Errorf("%s: status %d, %v", shape.user, code, err)
		}
		login := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(shape.user+":"+password))
		r, err := compare(ctx, o, "a user with "+shape.name, "http://"+checkAddr+path, "http://"+bareAddr+path, traffic{headers: []string{login, forwardedFor}})
		if err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}
