package check

import (
	"github.com/valyala/fasthttp"

	"sidekey/auth"
)

// nginx is auth_request: a GET without body to one fixed path, in which everything
// about the client's request stands only because the configuration put it there.
//
// NGINX takes 2xx, 401 and 403 and makes a 500 of anything else. So a refusal goes
// out as 403 with the status that the client should see in X-Error-Status, which
// the shipped configuration maps back.
var nginx = dialect{
	name:   "nginx",
	kind:   kindNGINX,
	status: statusNGINX,
}

func readNGINX(s *sources, rest []byte) (q auth.Request, missing string) {
	var ok bool
	if len(rest) > 0 && rest[0] != '?' {
		return q, "proxy_pass: the path ends behind /auth/nginx or /auth/nginx@API"
	}
	if q.Method, ok = s.originalMethod.one(); !ok {
		return q, "proxy_set_header X-Original-Method $request_method"
	}
	if q.URI, ok = s.originalURI.one(); !ok {
		return q, "proxy_set_header X-Original-URI $request_uri"
	}
	if q.Host, ok = s.host.one(); !ok {
		return q, "proxy_set_header Host $host"
	}
	client, ok := s.forwardedFor.one()
	if !ok {
		return q, "proxy_set_header X-Forwarded-For $remote_addr"
	}
	q.Client = lastHop(client)
	return q, ""
}

func statusNGINX(reason auth.Reason, intended int) int {
	switch {
	case reason == auth.MalformedCredentials:
		// NGINX cannot pass 400 on; the client is to send other credentials.
		return fasthttp.StatusUnauthorized
	case intended == fasthttp.StatusOK, intended == fasthttp.StatusUnauthorized:
		return intended
	}
	return fasthttp.StatusForbidden
}
