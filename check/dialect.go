package check

import "sidekey/auth"

// Dialect is one family of proxies: its name, and how it is answered. How its questions are
// read is up to the listener.
type Dialect struct {
	name string // in paths, metrics, and logs
	kind int    // the row of a tally

	// status returns the status that goes out in place of the one for the client.
	status func(reason auth.Reason, intended int) int

	// removesAuthorization: the reply can tell the proxy to remove Authorization.
	removesAuthorization bool
}

// String returns the dialect's name, and "" for nil.
func (d *Dialect) String() string {
	if d == nil {
		return ""
	}
	return d.name
}

// Envoy is ext_authz over HTTP. Envoy passes every refusal on unchanged, and admits only on 200.
var Envoy = &Dialect{name: "envoy", kind: kindEnvoy, status: asIntended, removesAuthorization: true}

// NGINX is auth_request. NGINX accepts 2xx, 401, and 403, and turns anything else into 500.
// So a refusal goes out as 403 with the status for the client in X-Error-Status, which the
// shipped configuration maps back.
var NGINX = &Dialect{name: "nginx", kind: kindNGINX, status: statusNGINX}

// Forward is what Caddy's forward_auth, Traefik's ForwardAuth, HAProxy's auth-request, and
// APISIX's forward-auth share. They pass every refusal on unchanged.
var Forward = &Dialect{name: "forward", kind: kindForward, status: asIntended}

var dialects = []*Dialect{Envoy, NGINX, Forward}

func asIntended(_ auth.Reason, intended int) int { return intended }

func statusNGINX(reason auth.Reason, intended int) int {
	switch {
	case reason == auth.MalformedCredentials:
		return statusUnauthorized // NGINX cannot pass 400 on; 401 asks for other credentials
	case intended == statusOK, intended == statusUnauthorized:
		return intended
	}
	return statusForbidden
}
