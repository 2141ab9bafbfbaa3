package check

import "sidekey/auth"

// forward is what Caddy's forward_auth, Traefik's ForwardAuth, HAProxy's
// auth-request and APISIX's forward-auth share: one fixed path, and the client's
// request in X-Forwarded headers. They pass every refusal on as it is. Caddy glues
// the client's query on, so a query means nothing here.
var forward = dialect{
	name:   "forward",
	kind:   kindForward,
	status: asIntended,
}

func readForward(s *sources, rest []byte) (q auth.Request, missing string) {
	var ok bool
	if len(rest) > 0 && rest[0] != '?' {
		return q, "the address ends behind /auth/forward or /auth/forward@API"
	}
	if q.Method, ok = s.forwardedMethod.one(); !ok {
		return q, "X-Forwarded-Method"
	}
	if q.URI, ok = s.forwardedURI.one(); !ok {
		return q, "X-Forwarded-Uri"
	}
	if q.Host, ok = s.forwardedHost.one(); !ok {
		return q, "X-Forwarded-Host"
	}
	client, ok := s.forwardedFor.one()
	if !ok {
		return q, "X-Forwarded-For"
	}
	q.Client = lastHop(client)
	return q, ""
}
