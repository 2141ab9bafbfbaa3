package http

import "sidekey/auth"

// readForward reads a question of a forward authentication: one fixed path, and the client's
// request in X-Forwarded headers. Caddy appends the client's query, so a query means nothing
// here.
func readForward(s *sources, rest []byte, r *auth.Request) (missing string) {
	var ok bool
	if len(rest) > 0 && rest[0] != '?' {
		return "the address ends behind /auth/forward or /auth/forward@API"
	}
	if r.Method, ok = s.forwardedMethod.one(); !ok {
		return "X-Forwarded-Method"
	}
	if r.URI, ok = s.forwardedURI.one(); !ok {
		return "X-Forwarded-Uri"
	}
	if r.Host, ok = s.forwardedHost.one(); !ok {
		return "X-Forwarded-Host"
	}
	client, ok := s.forwardedFor.one()
	if !ok {
		return "X-Forwarded-For"
	}
	r.Client = lastHop(client)
	return ""
}
