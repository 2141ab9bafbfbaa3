package http

import "sidekey/auth"

// readNGINX reads a question of auth_request: a GET without body to one fixed path. All of the
// client's request that is in it is there because the configuration put it there.
func readNGINX(s *sources, rest []byte, r *auth.Request) (missing string) {
	var ok bool
	if len(rest) > 0 && rest[0] != '?' {
		return "proxy_pass: the path ends behind /auth/nginx or /auth/nginx@API"
	}
	if r.Method, ok = s.originalMethod.one(); !ok {
		return "proxy_set_header X-Original-Method $request_method"
	}
	if r.URI, ok = s.originalURI.one(); !ok {
		return "proxy_set_header X-Original-URI $request_uri"
	}
	if r.Host, ok = s.host.one(); !ok {
		return "proxy_set_header Host $host"
	}
	client, ok := s.forwardedFor.one()
	if !ok {
		return "proxy_set_header X-Forwarded-For $remote_addr"
	}
	r.Client = lastHop(client)
	return ""
}
