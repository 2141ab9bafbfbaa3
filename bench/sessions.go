//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sidekey/auth/session"
)

// shape is a user whose session differs from benchSession in one respect.
type shape struct {
	user, name string
	change     func(s *session.Session)
}

// shapes are users with more and more policies, URL patterns and tags.
var shapes = slices.Concat(
	shapesOf("policies", "policies", func(s *session.Session, n int) { s.ApplyPolicies = policyIDs(n) }),
	shapesOf("urls", "URL patterns (only the last matches)", func(s *session.Session, n int) { s.AccessRights["orders"] = urlPatterns(n) }),
	shapesOf("tags", "tags", func(s *session.Session, n int) {
		s.Tags = nil
		for i := range n {
			s.Tags = append(s.Tags, fmt.Sprintf("tag%d", i))
		}
	}),
)

func shapesOf(user, name string, change func(s *session.Session, n int)) (list []shape) {
	for _, n := range []int{1, 10, 100} {
		list = append(list, shape{fmt.Sprintf("%s%d", user, n), fmt.Sprintf("%s × %d", name, n), func(s *session.Session) { change(s, n) }})
	}
	return list
}

func policyIDs(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("policy%d", i))
	}
	return ids
}

// policyTables returns the configuration of the policies.
func policyTables() string {
	var b strings.Builder
	for _, id := range policyIDs(100) {
		fmt.Fprintf(&b, "[[policies]]\nid = %q\norg_id = \"default\"\nrate = 100000000\nper = 60\nquota_max = 1000000000000\nquota_renewal_rate = 86400\naccess_rights = { orders = { versions = [] } }\n", id)
	}
	return b.String()
}

// urlPatterns returns a right with n URL patterns, of which only the last matches the requests.
func urlPatterns(n int) session.Right {
	right := session.Right{APIID: "orders"}
	for i := range n - 1 {
		right.AllowedURLs = append(right.AllowedURLs, session.AllowedURL{URL: fmt.Sprintf("/orders/{id}/part%d", i), Methods: []string{"GET"}})
	}
	right.AllowedURLs = append(right.AllowedURLs, session.AllowedURL{URL: "/orders/{id}", Methods: []string{"GET"}})
	return right
}

// sessionRows compare users of each shape with the bare handler.
func sessionRows() (list []measurement) {
	for _, shape := range shapes {
		list = append(list, measurement{
			row:   row{Name: "session/" + shape.user, Text: "a user's " + shape.name + ", against the bare handler", Unit: "requests/s"},
			needs: []string{"wrk"},
			measure: func(ctx context.Context, l *lab, r *row) error {
				return l.withBare(ctx, few, func(ours, bare *server) error {
					return l.compareOne(ctx, r, ours, bare, shape.user, envoyPath, []string{forwardedFor})
				})
			},
		})
	}
	return list
}
