// Package route finds the API and the URL rule that a request is for.
//
// [APIs.Find] finds the API by host and path, or by the name that the proxy gives. [Rules.Match]
// compares a path with the URLs and endpoints of a right.
//
// # Choices
//
// We compare paths in one normal form, and refuse a request as ambiguous if another reader of its path
// would be led to another API or another allowed URL: a reader that leaves dot segments in place, drops
// parameters after ;, or takes a leading // for an authority. Because proxies hand the client's own path
// on, and sidekey cannot know how the application reads it. Instead of trusting one reading, or of
// refusing all paths that are not plain. Costs clients that rely on such paths a refusal, and up to
// eight comparisons for paths that are not plain. readings lists the readings by composing the steps
// that readers take.
//
// We read hosts by one grammar, far narrower than that of RFC 9110, for Host headers and the
// configuration alike. Because readers of a Host header disagree about the rest, and an API without
// hosts would otherwise answer for every spelling that only the application knows. Instead of the whole
// grammar. Costs names with other characters; they are refused if any API has hosts.
//
// We match patterns with an automaton of our own. Because package regexp cannot be told to stop, and all
// patterns of one check share a budget of steps ([MaxCheckSteps]). Instead of a limit on each pattern
// alone. Costs 370 lines; a fuzz test compares them with package regexp.
package route

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"sidekey/internal/problem"
	"sidekey/limiter"
)

// API is a named part of the traffic.
//
// With
//
//	API{ID: "orders", Org: "default", Hosts: []string{"*.example.com"}, ListenPath: "/orders",
//		Rate: 1000, Per: 1, Active: true}
//
// requests to /orders and everything below it on each host below example.com belong to orders: users of
// the org default may use it, 1000 times a second together.
type API struct {
	ID         string
	Name       string
	Org        string
	Hosts      []string // lower case; "*.example.com" stands for all hosts below example.com; empty: any host
	ListenPath string   // in normal form
	Versions   []string // empty: unversioned

	VersionHeader  string // names the version; only if there are Versions
	DefaultVersion string // of requests without that header
	Realm          string // of the challenge
	Active         bool   // an inactive API is not found

	Rate             float64 // requests of all users together, per Per seconds; <= 0: no limit
	Per              float64 // seconds; <= 0: no limit
	DisableRateLimit bool    // users' rates do not apply
	DisableQuota     bool    // users' quotas do not apply
	Shadow           bool    // limits are counted and reported, never enforced
	HMAC             bool    // signed requests are accepted besides passwords

	Limit     *limiter.Window // of Rate and Per; set by [NewAPIs]; nil: no limit
	challenge []byte          // the WWW-Authenticate of its 401 answers
}

// Challenge returns the value of WWW-Authenticate for this API (RFC 7617). Callers must not change it.
func (a *API) Challenge() []byte { return a.challenge }

// APIs finds the API that a request is for. It does not change once it is made.
type APIs struct {
	byID  map[string]*API
	all   []*API // longest listen path first
	hosts bool   // whether any of them has hosts
}

// NewAPIs checks and compiles a list of APIs. It takes the state of each API-wide limit over from
// previous, which may be nil, if the limit is the same. The error is a [problem.List].
func NewAPIs(list []API, previous *APIs) (*APIs, error) {
	apis := &APIs{byID: make(map[string]*API, len(list))}
	var ps problem.List
	places := make(map[string]string)
	for i, api := range list {
		at := fmt.Sprintf("apis[%d]", i)
		api.check(&ps, at)
		if apis.byID[api.ID] != nil {
			ps.Add(at+".id", api.ID, "must be unique: another API has this id")
		}
		hosts := api.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			place := host + strings.TrimSuffix(api.ListenPath, "/")
			if other, taken := places[place]; taken {
				ps.Add(at+".listen_path", api.ListenPath, "must differ from the listen_path of API %q on the same host", other)
				break
			}
			places[place] = api.ID
		}
		api.challenge = challenge(api.Realm)
		api.Limit = limiter.NewWindow(api.Rate, api.Per)
		if before := previous.ByID(api.ID); before != nil && before.Limit.Same(api.Rate, api.Per) {
			api.Limit = before.Limit
		}
		apis.hosts = apis.hosts || len(api.Hosts) > 0
		apis.byID[api.ID] = &api
		apis.all = append(apis.all, &api)
	}
	sort.SliceStable(apis.all, func(i, j int) bool { return len(apis.all[i].ListenPath) > len(apis.all[j].ListenPath) })
	return apis, ps.Err()
}

func (a *API) check(ps *problem.List, at string) {
	ps.CheckName(at+".id", a.ID)
	if strings.ContainsAny(a.ID, "/?#@") {
		ps.Add(at+".id", a.ID, "must not contain / ? # @: it is part of the proxy's path")
	}
	ps.CheckName(at+".org_id", a.Org)
	ps.CheckText(at+".name", a.Name, problem.MaxText)
	ps.CheckText(at+".realm", a.Realm, problem.MaxText)
	ps.CheckList(at+".versions", a.Versions, problem.MaxName)
	if path, ok := normalPath(make([]byte, 0, MaxPath), []byte(a.ListenPath)); !ok || string(path) != a.ListenPath {
		ps.Add(at+".listen_path", a.ListenPath, "must be a path in plain form: a slash first, no escapes, no dot segments, no //")
	}
	for i, host := range a.Hosts {
		if !isHostPattern(host) {
			ps.Add(fmt.Sprintf("%s.hosts[%d]", at, i), host, `must be a host name in lower case, an IPv4 or an [IPv6] address, without port and trailing dot, or "*.example.com"`)
		}
	}
	if len(a.Versions) > 0 && (a.VersionHeader == "" || strings.ContainsFunc(a.VersionHeader, NotToken)) {
		ps.Add(at+".version_header", a.VersionHeader, "must be the name of a request header")
	}
	ps.CheckLimit(at, a.Rate, a.Per, 0)
}

// NotToken reports whether r cannot be part of a method or of a header's name (RFC 9110, 5.6.2).
func NotToken(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}

func challenge(realm string) []byte {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm)
	return []byte(`Basic realm="` + escaped + `", charset="UTF-8"`)
}

// All returns all APIs, the longest listen path first. Callers must not change them.
func (a *APIs) All() []*API { return a.all }

// ByID returns the API with that id, active or not, or nil. A nil a has no APIs.
func (a *APIs) ByID(id string) *API {
	if a == nil {
		return nil
	}
	return a.byID[id]
}

// AnySigned reports whether an API of an org accepts signed requests.
func (a *APIs) AnySigned(org string) bool {
	return slices.ContainsFunc(a.all, func(api *API) bool { return api.HMAC && api.Org == org })
}

// Names returns the ids of an org's APIs as a text for error messages: "orders, reports".
func (a *APIs) Names(org string) string {
	var ids []string
	for _, api := range a.all {
		if api.Org == org {
			ids = append(ids, api.ID)
		}
	}
	slices.Sort(ids)
	if len(ids) == 0 {
		return "there is none"
	}
	return problem.Clip(strings.Join(ids, ", "))
}

// host returns a Host header in the form that find compares, which it may write to dst: nil if no
// API has hosts, so that the header does not matter. ok is false if APIs have hosts and readers
// could disagree about which host this is: see normalHost.
func (a *APIs) host(dst, header []byte) (name []byte, ok bool) {
	if !a.hosts {
		return nil, true
	}
	return normalHost(dst, header)
}

// find returns the API for a host in the form of [APIs.host] and a path in normal form (nil: the path
// is ambiguous). An exact host beats a wildcard, a longer wildcard a shorter one, and any of them an API
// without hosts; among those the longest listen path wins. depends is true if another path on the same
// host could lead to another answer.
func (a *APIs) find(host, path []byte) (api *API, depends bool) {
	best, root, below := -1, -1, -1 // closest match: of the answer, of all APIs at "/", of all others
	for _, candidate := range a.all {
		match := candidate.matchHost(host)
		if match < 0 {
			continue
		}
		if candidate.ListenPath == "/" {
			root = max(root, match)
		} else {
			below = max(below, match)
		}
		if match > best && under(path, candidate.ListenPath) {
			api, best = candidate, match
		}
	}
	return api, below >= 0 && below >= root
}

// under reports whether path lies at or below prefix, by whole segments. Without a path, that is so
// for the root only.
func under(path []byte, prefix string) bool {
	if prefix == "/" {
		return true
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if len(path) < len(prefix) || string(path[:len(prefix)]) != prefix {
		return false
	}
	return len(path) == len(prefix) || path[len(prefix)] == '/'
}

// matchHost returns how closely the API's hosts match a host: -1 not at all, 0 because it has none, the
// length of the text after the * for a wildcard, and more than any of these for the same name.
func (a *API) matchHost(host []byte) int {
	if len(a.Hosts) == 0 {
		return 0
	}
	match := -1
	for _, h := range a.Hosts {
		switch {
		case h == string(host):
			return problem.MaxName + 1
		case strings.HasPrefix(h, "*.") && len(host) > len(h)-1 && bytes.HasSuffix(host, []byte(h[1:])):
			match = max(match, len(h)-1)
		}
	}
	return match
}

// Describe returns the APIs with their hosts and paths as a text for hints:
// "orders (*.example.com/orders), reports (/reports, inactive)".
func (a *APIs) Describe() string {
	var list []string
	for _, api := range a.all {
		text := fmt.Sprintf("%s (%s%s", api.ID, strings.Join(api.Hosts, " "), api.ListenPath)
		if !api.Active {
			text += ", inactive"
		}
		list = append(list, text+")")
	}
	slices.Sort(list)
	return problem.Clip(strings.Join(list, ", "))
}
