package http

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/check"
)

// dialects are those that are spoken here. Each has a file of its own, which reads its own
// sources and never falls back to another's.
var dialects = []*check.Dialect{check.Envoy, check.NGINX, check.Forward}

// readQuestion fills in all of a question that a proxy's request says.
func readQuestion(header *fasthttp.RequestHeader, q *check.Question) {
	d, api, rest := splitPath(header.RequestURI())
	q.Dialect, q.Headers = d, headers{header}
	if d == nil {
		q.Missing = "a path of /auth/envoy, /auth/nginx or /auth/forward"
		return
	}
	var s sources
	s.gather(header)
	r := &q.Request
	q.Missing = s.read(d, rest, r)
	r.APIID = api
	r.Headers = headers{header}
	r.OtherUpgrade = s.otherUpgrade()
	r.Authorization, r.AuthorizationCount = s.authorization.value, s.authorization.count
}

// read reads the client's request as a dialect reports it into r. rest is the path behind the names
// of the dialect and the API. missing is the name of the proxy setting that is missing or
// wrong, or "". It calls functions by their names: what is passed by pointer to a function
// value would be allocated for each request.
func (s *sources) read(d *check.Dialect, rest []byte, r *auth.Request) (missing string) {
	switch d {
	case check.Envoy:
		return readEnvoy(s, rest, r)
	case check.NGINX:
		return readNGINX(s, rest, r)
	default:
		return readForward(s, rest, r)
	}
}

// sources are the headers in which proxies report the client's request, of all dialects. The
// values are lent by fasthttp until the handler returns.
type sources struct {
	method                                                     []byte // of the request to us
	authorization                                              source
	host                                                       source
	forwardedFor, forwardedHost, forwardedMethod, forwardedURI source
	originalMethod, originalURI                                source
	upgrade, http2Settings                                     source
}

// otherUpgrade reports whether the client asks for an upgrade that is not exactly the one to
// WebSocket. Applications choose among several offers. HTTP2-Settings beside an offer of
// WebSocket belong to an offer of h2c that was lost on the way (RFC 7540, 3.2.1).
func (s *sources) otherUpgrade() bool {
	if s.upgrade.count == 0 {
		return false
	}
	const websocket = "websocket"
	exactly := s.upgrade.count == 1 && len(s.upgrade.value) == len(websocket) && bytes.EqualFold(s.upgrade.value, []byte(websocket))
	return !exactly || s.http2Settings.count > 0
}

// source is one header: its first value, and how often the request has it.
type source struct {
	value []byte
	count int
}

func (s *source) add(value []byte) {
	if s.count == 0 {
		s.value = value
	}
	s.count++
}

// one returns the value of a header. ok is false unless it is there exactly once and not empty.
func (s *source) one() (value []byte, ok bool) {
	return s.value, s.count == 1 && len(s.value) > 0
}

// gather reads all sources in one pass over the headers, whose names fasthttp has
// normalized. Looking each up by name would take a pass for each.
func (s *sources) gather(h *fasthttp.RequestHeader) {
	s.method = h.Method()
	for name, value := range h.All() {
		switch string(name) {
		case "Authorization":
			s.authorization.add(value)
		case "Host":
			s.host.add(value)
		case "X-Forwarded-For":
			s.forwardedFor.add(value)
		case "X-Forwarded-Host":
			s.forwardedHost.add(value)
		case "X-Forwarded-Method":
			s.forwardedMethod.add(value)
		case "X-Forwarded-Uri":
			s.forwardedURI.add(value)
		case "X-Original-Method":
			s.originalMethod.add(value)
		case "X-Original-Uri":
			s.originalURI.add(value)
		case "Upgrade":
			s.upgrade.add(value)
		case "Http2-Settings":
			s.http2Settings.add(value)
		}
	}
}

// lastHop returns the last address of X-Forwarded-For: the one that the proxy in front of us
// has added itself.
func lastHop(list []byte) []byte {
	return bytes.TrimSpace(list[bytes.LastIndexByte(list, ',')+1:])
}

// splitPath cuts /auth/DIALECT[@API] off a request target. rest begins with a slash or a
// question mark, or is empty. d is nil if the target names no dialect, api if it names no API.
func splitPath(target []byte) (d *check.Dialect, api, rest []byte) {
	path, found := bytes.CutPrefix(target, []byte("/auth/"))
	if !found {
		return nil, nil, nil
	}
	for _, candidate := range dialects {
		rest, found := bytes.CutPrefix(path, []byte(candidate.String()))
		if !found {
			continue
		}
		if len(rest) > 0 && rest[0] == '@' {
			api, rest = cutAny(rest[1:], "/?")
		}
		if len(rest) > 0 && rest[0] != '/' && rest[0] != '?' {
			return nil, nil, nil
		}
		return candidate, api, rest
	}
	return nil, nil, nil
}

// cutAny splits b before the first byte that is one of chars.
func cutAny(b []byte, chars string) (before, after []byte) {
	if i := bytes.IndexAny(b, chars); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}
