package check

import (
	"github.com/valyala/fasthttp"

	"sidekey/auth"
)

// forward is what Caddy's forward_auth, Traefik's ForwardAuth, HAProxy's
// auth-request and APISIX's forward-auth share: one fixed path, and the client's
// request in X-Forwarded headers. They pass every refusal on as it is. Caddy glues
// the client's query on, so a query means nothing here.
var forward = dialect{
	name:   "forward",
	read:   readForward,
	status: asIntended,
}

func readForward(h *fasthttp.RequestHeader, rest []byte, q *auth.Request) (missing string) {
	var ok bool
	if len(rest) > 0 && rest[0] != '?' {
		return "the address ends behind /auth/forward or /auth/forward@API"
	}
	if q.Method, ok = one(h, headerForwardedMethod); !ok {
		return "X-Forwarded-Method"
	}
	if q.URI, ok = one(h, headerForwardedURI); !ok {
		return "X-Forwarded-Uri"
	}
	if q.Host, ok = one(h, headerForwardedHost); !ok {
		return "X-Forwarded-Host"
	}
	client, ok := one(h, headerForwardedFor)
	if !ok {
		return "X-Forwarded-For"
	}
	q.Client = lastHop(client)
	return ""
}
