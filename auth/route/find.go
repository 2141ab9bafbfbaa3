package route

import "sidekey/internal/problem"

// Outcome says how a search for an API or a rule ended.
//
// With the APIs orders at /orders and reports at /reports, /orders/7 is Found, /x is Unknown, and
// /reports/..%2Forders/7 is Ambiguous: a reader that decodes %2F first finds orders.
type Outcome uint8

// Outcomes of [APIs.Find] and [Rules.Match].
const (
	Found     Outcome = iota
	Unknown           // there is none
	Ambiguous         // readers of the host or the path could find different ones
	TooCostly         // comparing the path with all patterns takes too many steps; only of [Rules.Match]
)

// Target is where a request goes, as the proxy reported it.
type Target struct {
	Named []byte // the API that the proxy's configuration names; nil if it names none
	Host  []byte // the Host header
	URI   []byte // path and query as the client sent them
}

// Find returns the API that a request is for and [Found], or nil and [Unknown] or [Ambiguous]. An
// inactive API is [Unknown].
//
// If the proxy names the API, neither host nor path can make the request ambiguous: the proxy has
// chosen where the request goes, and its choice does not depend on how sidekey reads them.
func (a *APIs) Find(t Target) (*API, Outcome) {
	if t.Named != nil {
		return active(a.byID[string(t.Named)])
	}
	var hostBuf [problem.MaxName]byte
	host, ok := a.host(hostBuf[:0], t.Host)
	if !ok {
		return nil, Ambiguous
	}
	var buf [256]byte
	path, clear := normalPath(buf[:0], t.URI)
	if !clear {
		path = nil
	}
	api, depends := a.find(host, path)
	raw := withoutQuery(t.URI)
	same := clear && sameReading(raw, path)
	if !same && (depends || a.hosts && mayNameHost(raw)) {
		list, listed := readings(raw, path, clear)
		if api, same = a.agree(host, list); !listed || !same {
			return nil, Ambiguous
		}
	}
	return active(api)
}

// Reading is how a target is read, for explanations.
//
// /orders//7?x=1 is Sent "/orders//7" and Path "/orders/7". /orders%2F7 has no Path, because
// readers disagree about it.
type Reading struct {
	Sent        string // the path as the client sent it, without the query
	Path        string // its normal form; "" if it has none
	HostRefused bool   // readers disagree about the Host header, and it matters
	MayNameHost bool   // some readers find a host in the path, and it matters
}

// Read tells how [APIs.Find] reads a target.
func (a *APIs) Read(t Target) Reading {
	raw := withoutQuery(t.URI)
	path, _ := normalPath(nil, t.URI)
	_, ok := a.host(nil, t.Host)
	return Reading{
		Sent:        string(raw),
		Path:        string(path),
		HostRefused: !ok && t.Named == nil,
		MayNameHost: a.hosts && mayNameHost(raw),
	}
}

func active(api *API) (*API, Outcome) {
	if api == nil || !api.Active {
		return nil, Unknown
	}
	return api, Found
}

// agree returns the API that all readings of a path lead to on a host, and on the hosts
// that some readers find in the path. ok is false if they lead to different ones.
func (a *APIs) agree(host []byte, list []reading) (api *API, ok bool) {
	for i, r := range list {
		found, _ := a.find(host, r.path)
		if i == 0 {
			api = found
		}
		if found != api {
			return nil, false
		}
		if !a.hosts || r.authority == nil {
			continue
		}
		named, ok := normalHost(nil, r.authority)
		if !ok {
			return nil, false
		}
		if found, _ = a.find(named, r.path); found != api {
			return nil, false
		}
	}
	return api, true
}

// Version returns the version that a request asks for, and whether the API has it. asked is the first
// value of the version header, and count the number of its values.
func (a *API) Version(asked []byte, count int) (version string, known bool) {
	switch {
	case count > 1:
		return "", false
	case count == 0:
		asked = []byte(a.DefaultVersion)
	}
	for _, v := range a.Versions {
		if v == string(asked) {
			return v, true
		}
	}
	return "", false
}
