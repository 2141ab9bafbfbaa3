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

	// read fills q from the request; rest is the path behind the dialect's name and
	// the API's. It returns the name of the proxy setting that is missing or wrong,
	// or "".
	read func(h *fasthttp.RequestHeader, rest []byte, q *auth.Request) (missing string)

	// status is what goes out in place of the status that the client should see.
	status func(reason auth.Reason, intended int) int

	// removesAuthorization tells the proxy, in the answer, to take Authorization off.
	removesAuthorization bool
}

var dialects = []*dialect{&envoy, &nginx, &forward}

// asIntended is the status of the dialects whose proxies pass any refusal on.
func asIntended(_ auth.Reason, intended int) int { return intended }

// Names of the headers that proxies report the client's request in.
const (
	headerAuthorization   = "Authorization"
	headerHost            = "Host"
	headerForwardedFor    = "X-Forwarded-For"
	headerForwardedHost   = "X-Forwarded-Host"
	headerForwardedMethod = "X-Forwarded-Method"
	headerForwardedURI    = "X-Forwarded-Uri"
	headerOriginalMethod  = "X-Original-Method"
	headerOriginalURI     = "X-Original-Uri"
)

// one returns the value of a header that must stand exactly once and not be empty.
func one(h *fasthttp.RequestHeader, name string) (value []byte, ok bool) {
	values := h.PeekAll(name)
	if len(values) != 1 || len(values[0]) == 0 {
		return nil, false
	}
	return values[0], true
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
