package route

import (
	"slices"
	"sync"
)

// URLRule allows the requests to the paths of a pattern with one of the methods.
//
// URLRule{"/orders/{id}", []string{"GET"}} allows a GET of /orders/7, but not of /orders/7/items.
type URLRule struct {
	Pattern string
	Methods []string // in any case; without methods the rule allows nothing
}

// EndpointRule selects the requests to the paths of a pattern with one method.
type EndpointRule struct {
	Pattern string
	Method  string // in any case
}

// Rules are the URLs that a right allows and the endpoints that it limits, compiled. They do not change
// once they are made.
type Rules struct {
	urls      []compiledURL // empty: all
	endpoints []compiledEndpoint
	tooCostly bool // see [TooCostlyRules]
}

type compiledURL struct {
	pattern pattern
	methods methods
}

type compiledEndpoint struct {
	pattern pattern
	method  string
}

// NewRules compiles rules; without any it returns nil. A pattern that does not compile matches nothing:
// writes refuse it, so it comes from another program or release.
func NewRules(urls []URLRule, endpoints []EndpointRule) *Rules {
	if len(urls)+len(endpoints) == 0 {
		return nil
	}
	r := &Rules{}
	for _, u := range urls {
		r.urls = append(r.urls, compiledURL{compileOrNever(u.Pattern), slices.Clone(u.Methods)})
	}
	for _, e := range endpoints {
		r.endpoints = append(r.endpoints, compiledEndpoint{compileOrNever(e.Pattern), e.Method})
	}
	return r
}

func compileOrNever(text string) pattern {
	p, err := compilePattern(text)
	if err != nil {
		return pattern{literal: "\x00"}
	}
	return p
}

// TooCostlyRules are the rules of a right with too many patterns for a check: they find nothing, and
// [Rules.Match] returns [TooCostly].
var TooCostlyRules = &Rules{tooCostly: true}

// URLs returns the number of allowed URLs; 0: all are allowed.
func (r *Rules) URLs() int { return len(r.urls) }

var matchings = sync.Pool{New: func() any { return new(matching) }}

// Match returns [Found] if the rules allow a request to an API, and the index of the first endpoint
// that it is for, or -1 if there is none. The outcome is [Unknown] if no URL allows the request,
// [Ambiguous] if readers of the path could come to different results, and [TooCostly] if the comparison
// takes more than [MaxCheckSteps]. uri may have a query.
func (r *Rules) Match(api *API, method, uri []byte) (endpoint int, outcome Outcome) {
	m := matchings.Get().(*matching)
	defer matchings.Put(m)
	m.left = MaxCheckSteps
	return r.match(m, api, method, uri)
}

// Steps returns the number of steps that Match takes for a request. The last pattern may go beyond
// [MaxCheckSteps].
func (r *Rules) Steps(api *API, method, uri []byte) int {
	m := &matching{left: MaxCheckSteps}
	r.match(m, api, method, uri)
	return MaxCheckSteps - m.left
}

func (r *Rules) match(m *matching, api *API, method, uri []byte) (endpoint int, outcome Outcome) {
	path, clear := normalPath(m.path[:0], uri)
	raw := withoutQuery(uri)
	var list []reading
	if !clear || !sameReading(raw, path) {
		var listed bool
		if list, listed = readings(raw, path, clear); !listed {
			return -1, Ambiguous
		}
		path = list[0].path
	}
	if !under(path, api.ListenPath) {
		return -1, Ambiguous
	}
	if r.tooCostly {
		return -1, TooCostly
	}
	allowed := r.allows(m, path, method, api)
	switch {
	case m.exhausted():
		return -1, TooCostly
	case !allowed:
		return -1, Unknown
	}
	endpoint = r.endpoint(m, path, method, api)
	same := r.sameForAll(m, api, method, list, endpoint)
	switch {
	case m.exhausted():
		return -1, TooCostly
	case !same:
		return -1, Ambiguous
	}
	return endpoint, Found
}

// sameForAll reports whether all readings of a path lead to an allowed URL and to the endpoint want.
func (r *Rules) sameForAll(m *matching, api *API, method []byte, list []reading, want int) bool {
	for _, other := range list {
		if !under(other.path, api.ListenPath) || !r.allows(m, other.path, method, api) || r.endpoint(m, other.path, method, api) != want {
			return false
		}
	}
	return true
}

// allows reports whether the URLs include a request. Without URLs, all requests are allowed.
func (r *Rules) allows(m *matching, path, method []byte, api *API) bool {
	if len(r.urls) == 0 {
		return true
	}
	for i := range r.urls {
		u := &r.urls[i]
		if m.spend(len(u.methods)) && u.methods.include(method) && u.pattern.match(m, path, api.ListenPath) {
			return true
		}
	}
	return false
}

// endpoint returns the index of the first endpoint that a request is for, or -1.
func (r *Rules) endpoint(m *matching, path, method []byte, api *API) int {
	for i := range r.endpoints {
		e := &r.endpoints[i]
		if m.spend(1) && len(e.method) == len(method) && (methods{e.method}).include(method) && e.pattern.match(m, path, api.ListenPath) {
			return i
		}
	}
	return -1
}
