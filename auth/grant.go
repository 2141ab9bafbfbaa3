package auth

import (
	"fmt"

	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// grant is what an account may do with one API: a right, compiled.
type grant struct {
	api      string // its id
	limits   *bucket
	shadow   bool         // the limits of endpoints refuse no request
	versions []string     // empty: all
	rules    *route.Rules // nil: the path decides only which API it is

	endpoints []endpoint // of rules, in the same order
}

// endpoint is the limit of one endpoint; its rate replaces the grant's.
type endpoint struct {
	scope  string          // of its window
	window *limiter.Window // nil: no limit of the rate
}

// bucket holds the limits that requests of one scope are charged to. It outlives the account:
// the account that replaces it after an edit, or with a new policy, takes it over.
type bucket struct {
	rate     *limiter.Window
	quota    *limiter.Quota
	edition  uint64            // of quota
	throttle *session.Throttle // nil: no request is held
	shadow   bool              // its limits refuse no request
	notices  *notices
	scope    string // "": of the session; else see [LiveLimit]
}

// endpointLimit is one method of an [Endpoint]: its rule, and the limit.
type endpointLimit struct {
	route.EndpointRule
	scope     string
	rate, per float64
}

// rulesOf returns the rules of a right in the form that [NewRules] takes. Of endpoints with
// the same method and path the first decides, so the others are left out.
func rulesOf(id string, r session.Right) (urls []route.URLRule, endpoints []endpointLimit) {
	for _, u := range r.AllowedURLs {
		urls = append(urls, route.URLRule{Pattern: u.URL, Methods: u.Methods})
	}
	scopes := make(map[string]bool)
	for _, e := range r.Endpoints {
		for _, m := range e.Methods {
			scope := fmt.Sprintf("endpoint:%s:%s:%s", id, m.Name, e.Path)
			if scopes[scope] {
				continue
			}
			scopes[scope] = true
			endpoints = append(endpoints, endpointLimit{route.EndpointRule{Pattern: e.Path, Method: m.Name}, scope, m.Limit.Rate, m.Limit.Per})
		}
	}
	return urls, endpoints
}
