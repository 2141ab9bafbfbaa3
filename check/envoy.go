package check

import "sidekey/auth"

// envoy is ext_authz over HTTP: the client's own method, and its path glued on
// behind path_prefix. Envoy passes every refusal on as it is, and admits on 200
// alone.
var envoy = dialect{
	name:                 "envoy",
	kind:                 kindEnvoy,
	status:               asIntended,
	removesAuthorization: true,
}

func readEnvoy(s *sources, rest []byte) (q auth.Request, missing string) {
	var ok bool
	if len(rest) == 0 || rest[0] != '/' {
		return q, "http_service.path_prefix: /auth/envoy, with the client's path behind it"
	}
	q.URI = rest
	q.Method = s.method
	if q.Host, ok = s.host.one(); !ok {
		return q, "Host"
	}
	client, ok := s.forwardedFor.one()
	if !ok {
		return q, "allowed_headers: x-forwarded-for (and use_remote_address: true)"
	}
	q.Client = lastHop(client)
	return q, ""
}
