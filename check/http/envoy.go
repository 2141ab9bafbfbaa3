package http

import "sidekey/auth"

// readEnvoy reads a question of ext_authz: the client's own method, and the client's path
// appended to path_prefix.
func readEnvoy(s *sources, rest []byte, r *auth.Request) (missing string) {
	var ok bool
	if len(rest) == 0 || rest[0] != '/' {
		return "http_service.path_prefix: /auth/envoy, with the client's path behind it"
	}
	r.URI = rest
	r.Method = s.method
	if r.Host, ok = s.host.one(); !ok {
		return "Host"
	}
	client, ok := s.forwardedFor.one()
	if !ok {
		return "allowed_headers: x-forwarded-for (and use_remote_address: true)"
	}
	r.Client = lastHop(client)
	return ""
}
