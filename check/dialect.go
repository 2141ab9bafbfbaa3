package check

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
)

// dialect is one proxy family's way of asking and of being answered. What the
// families share is in handler.go and reply.go; a dialect reads its own sources and
// never falls back to another's.
type dialect struct {
	name string
	kind int // of decisions in a tally; also what read goes by

	// status is what goes out in place of the status that the client should see.
	status func(reason auth.Reason, intended int) int

	// removesAuthorization tells the proxy, in the answer, to take Authorization off.
	removesAuthorization bool
}

var dialects = []*dialect{&envoy, &nginx, &forward}

// readQuestion makes a question of a proxy's request. d is nil where its path names no
// dialect; else missing is the name of the proxy setting that is missing or wrong, or "".
func readQuestion(header *fasthttp.RequestHeader) (d *dialect, q auth.Request, missing string) {
	d, api, rest := splitPath(header.RequestURI())
	if d == nil {
		return nil, q, "a path of /auth/envoy, /auth/nginx or /auth/forward"
	}
	var s sources
	s.gather(header)
	q, missing = d.read(&s, rest)
	q.APIID = api
	q.Headers = clientHeaders{header}
	q.OtherUpgrade = s.otherUpgrade()
	q.Authorization, q.AuthorizationCount = s.authorization.value, s.authorization.count
	return d, q, missing
}

// read makes a question of what the request says; rest is the path behind the dialect's
// name and the API's. missing is the name of the proxy setting that is missing or wrong, or
// "". It calls functions by their names: what the value of one was given pointers to would
// be allocated for each request.
func (d *dialect) read(s *sources, rest []byte) (q auth.Request, missing string) {
	switch d.kind {
	case kindEnvoy:
		return readEnvoy(s, rest)
	case kindNGINX:
		return readNGINX(s, rest)
	default:
		return readForward(s, rest)
	}
}

// asIntended is the status of the dialects whose proxies pass any refusal on.
func asIntended(_ auth.Reason, intended int) int { return intended }

// sources are the headers in which proxies report the client's request, whichever
// dialect they belong to. The values are lent by fasthttp until the handler returns.
type sources struct {
	method                                                     []byte // of the request to us
	authorization                                              source
	host                                                       source
	forwardedFor, forwardedHost, forwardedMethod, forwardedURI source
	originalMethod, originalURI                                source
	upgrade, http2Settings                                     source
}

// otherUpgrade reports whether the client asks for an upgrade that is not exactly the one to
// WebSocket. Applications choose among several offers, and the settings of HTTP/2 with an
// offer of WebSocket are those of another one that was lost on the way (RFC 7540, 3.2.1).
func (s *sources) otherUpgrade() bool {
	if s.upgrade.count == 0 {
		return false
	}
	const websocket = "websocket"
	exactly := s.upgrade.count == 1 && len(s.upgrade.value) == len(websocket) && bytes.EqualFold(s.upgrade.value, []byte(websocket))
	return !exactly || s.http2Settings.count > 0
}

// source is one header: its first value, and how often it stood there.
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

// one returns the value of a header that must stand exactly once and not be empty.
func (s *source) one() (value []byte, ok bool) {
	return s.value, s.count == 1 && len(s.value) > 0
}

// gather reads all sources in one pass over the headers, whose names fasthttp has
// brought into one spelling. Asking for each by its name would go over them for each.
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

// lastHop returns the last address of X-Forwarded-For: the one that the proxy in
// front of us has put there itself.
func lastHop(list []byte) []byte {
	return bytes.TrimSpace(list[bytes.LastIndexByte(list, ',')+1:])
}

// splitPath cuts /auth/DIALECT[@API] off a request target. rest begins with a slash
// or a question mark, or is empty. api is nil where none was named.
func splitPath(target []byte) (d *dialect, api, rest []byte) {
	path, found := bytes.CutPrefix(target, []byte("/auth/"))
	if !found {
		return nil, nil, nil
	}
	for _, candidate := range dialects {
		rest, found := bytes.CutPrefix(path, []byte(candidate.name))
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

// cutAny splits b in front of the first byte that is one of chars.
func cutAny(b []byte, chars string) (before, after []byte) {
	if i := bytes.IndexAny(b, chars); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}
