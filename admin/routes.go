package admin

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// route is one request that is answered. A {name} in the pattern stands for one
// segment of the path.
type route struct {
	method, pattern string
	handle          func(*call) error
}

var routes []route

func init() {
	routes = []route{
		{"GET", "/healthz", (*call).healthz},
		{"GET", "/readyz", (*call).readyz},
		{"GET", "/hello", (*call).hello},

		{"POST", "/api/apis/keys/basic/{username}", (*call).dashboardCreate},
		{"PUT", "/api/apis/keys/basic/{username}", (*call).dashboardReplace},
		{"GET", "/api/apis/keys/basic/{username}", (*call).dashboardGet},
		{"DELETE", "/api/apis/keys/basic/{username}", (*call).dashboardDelete},
		{"GET", "/api/apis/keys", (*call).dashboardList},
		{"GET", "/api/apis/{apiID}/keys", (*call).dashboardList},
		{"GET", "/api/keys/detailed", (*call).dashboardDetailed},
		{"POST", "/api/keys/preview", (*call).dashboardPreview},
		{"POST", "/api/keys", (*call).dashboardGenerate},
		{"POST", "/api/keys/{keyID}", (*call).dashboardCreateKey},
		{"GET", "/api/keys/{keyID}", (*call).dashboardGetKey},
		{"PUT", "/api/keys/{keyID}", (*call).dashboardReplaceKey},
		{"DELETE", "/api/keys/{keyID}", (*call).dashboardDeleteKey},
		{"GET", "/api/apis/{apiID}/keys/{keyID}", (*call).dashboardGetKey},
		{"PUT", "/api/apis/{apiID}/keys/{keyID}", (*call).dashboardReplaceKey},
		{"DELETE", "/api/apis/{apiID}/keys/{keyID}", (*call).dashboardDeleteKey},

		{"GET", "/api/portal/policies", (*call).dashboardPolicies},
		{"POST", "/api/portal/policies", (*call).dashboardPolicyCreate},
		{"GET", "/api/portal/policies/{id}", (*call).dashboardPolicy},
		{"PUT", "/api/portal/policies/{id}", (*call).dashboardPolicyReplace},
		{"DELETE", "/api/portal/policies/{id}", (*call).dashboardPolicyDelete},

		{"POST", "/tyk/keys", (*call).gatewayGenerate},
		{"POST", "/tyk/keys/create", (*call).gatewayGenerate},
		{"POST", "/tyk/keys/preview", (*call).gatewayPreview},
		{"POST", "/tyk/keys/{username}", (*call).gatewayCreate},
		{"PUT", "/tyk/keys/{username}", (*call).gatewayReplace},
		{"GET", "/tyk/keys/{username}", (*call).gatewayGet},
		{"DELETE", "/tyk/keys/{username}", (*call).gatewayDelete},
		{"GET", "/tyk/keys", (*call).gatewayList},
		{"POST", "/tyk/keys/reset/{username}", (*call).gatewayReset},
		{"POST", "/tyk/keys/policy/{username}", (*call).setPolicies},
		{"PUT", "/tyk/keys/policy/{username}", (*call).setPolicies},

		{"GET", "/tyk/policies", (*call).gatewayPolicies},
		{"POST", "/tyk/policies", (*call).gatewayPolicyCreate},
		{"GET", "/tyk/policies/{id}", (*call).gatewayPolicy},
		{"PUT", "/tyk/policies/{id}", (*call).gatewayPolicyReplace},
		{"DELETE", "/tyk/policies/{id}", (*call).gatewayPolicyDelete},

		{"GET", "/tyk/reload", (*call).gatewayReload},

		{"GET", "/api/backup", (*call).backup},
		{"GET", "/api/check-db", (*call).checkDatabase},
		{"POST", "/api/compact", (*call).compact},
	}
}

// match finds the route of a request. Segments are decoded once, each by itself, so
// that the name that is written, read and deleted is the same string, slashes in it
// included; what cannot be decoded is refused. A trailing slash means nothing.
func match(method string, target []byte, d dialect) (*route, map[string]string, error) {
	path, _, _ := strings.Cut(string(target), "?")
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	known := false
	for i := range routes {
		r := &routes[i]
		params, ok, err := r.match(segments)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			continue
		}
		if r.method == method {
			return r, params, nil
		}
		known = true
	}
	if known {
		return nil, nil, failure(fasthttp.StatusMethodNotAllowed, "Method not supported")
	}
	return nil, nil, failure(fasthttp.StatusNotFound, "Not found")
}

func (r *route) match(segments []string) (params map[string]string, ok bool, err error) {
	pattern := strings.Split(r.pattern, "/")
	if len(pattern) != len(segments) {
		return nil, false, nil
	}
	params = make(map[string]string)
	for i, want := range pattern {
		name, isParam := strings.CutPrefix(want, "{")
		if !isParam {
			if segments[i] != want {
				return nil, false, nil
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || !utf8.ValidString(value) {
			return nil, false, failure(fasthttp.StatusBadRequest, "Request malformed: the path is not valid percent-encoded UTF-8")
		}
		if value == "" {
			return nil, false, nil
		}
		params[strings.TrimSuffix(name, "}")] = value
	}
	return params, true, nil
}
