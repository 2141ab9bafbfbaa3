package auth

import (
	"fmt"
	"slices"

	"sidekey/limiter"
)

// grant is what an account may do with one API: a right, compiled.
type grant struct {
	api      string // its id
	limits   *bucket
	shadow   bool     // the limits of endpoints refuse nobody
	versions []string // empty: all
	paths    *paths   // nil: the path decides no more than which API it is
}

// paths are the parts of a right that depend on the path.
type paths struct {
	urls      []urlRule // empty: all
	endpoints []endpoint
	excess    bool // too many to be looked at: see [maxRightSteps]
}

// endpoint is the limit of one method and pattern; its rate replaces the grant's.
type endpoint struct {
	endpointRule
	window *limiter.Window // nil: no limit of the rate
}

// bucket is what requests of one scope are charged to. It outlives the account: the
// account that an edit or a new policy puts in its place takes it over.
type bucket struct {
	rate     *limiter.Window
	quota    *limiter.Quota
	edition  uint64    // of quota
	throttle *Throttle // nil: none is held
	shadow   bool      // its limits refuse nobody
	notices  *notices
	scope    string // "": of the session; else see [LiveLimit]
}

// allows reports whether the right's allowed_urls include a request. Without
// entries all are.
func (p *paths) allows(m *matching, path []byte, method []byte, api *API) bool {
	if len(p.urls) == 0 {
		return true
	}
	for i := range p.urls {
		u := &p.urls[i]
		if m.spend(len(u.methods)) && u.methods.include(method) && u.pattern.match(m, path, api.ListenPath) {
			return true
		}
	}
	return false
}

// endpoint returns the first endpoint that a request is for, or nil.
func (p *paths) endpoint(m *matching, path []byte, method []byte, api *API) *endpoint {
	for i := range p.endpoints {
		e := &p.endpoints[i]
		if m.spend(1) && len(e.method) == len(method) && (methods{e.method}).include(method) && e.pattern.match(m, path, api.ListenPath) {
			return e
		}
	}
	return nil
}

// compileRight compiles the parts of a right that need it. What does not compile was
// refused at write; should it be met all the same, it matches nothing. Of endpoints with
// the same method and path the first decides, so the others are left out.
func compileRight(id string, r Right) (urls []urlRule, endpoints []endpointRule) {
	for _, u := range r.AllowedURLs {
		p, err := compilePattern(u.URL)
		if err != nil {
			p = pattern{literal: "\x00"}
		}
		urls = append(urls, urlRule{p, slices.Clone(u.Methods)})
	}
	scopes := make(map[string]bool)
	for _, e := range r.Endpoints {
		p, err := compilePattern(e.Path)
		if err != nil {
			p = pattern{literal: "\x00"}
		}
		for _, m := range e.Methods {
			scope := fmt.Sprintf("endpoint:%s:%s:%s", id, m.Name, e.Path)
			if scopes[scope] {
				continue
			}
			scopes[scope] = true
			endpoints = append(endpoints, endpointRule{
				pattern: p,
				method:  m.Name,
				scope:   scope,
				rate:    m.Limit.Rate,
				per:     m.Limit.Per,
			})
		}
	}
	return urls, endpoints
}
