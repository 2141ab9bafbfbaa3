package admin

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"sidekey/admin/web"
	"sidekey/internal/proof"
)

// handler serves the requests of one method and one pattern of paths. {name} in the pattern stands
// for one segment.
type handler struct {
	method, pattern string
	handle          func(*call) error
}

var routes []handler

func init() {
	routes = []handler{
		{"GET", "/healthz", (*call).healthz},
		{"GET", "/metrics", (*call).metrics},
		{"GET", "/readyz", (*call).readyz},
		{"GET", "/hello", (*call).hello},
		{"GET", proof.Path + "/{nonce}", (*call).proof},

		{"POST", "/api/apis/keys/basic/{username}", (*call).dashboardCreate},
		{"PUT", "/api/apis/keys/basic/{username}", (*call).dashboardReplace},
		{"GET", "/api/apis/keys/basic/{username}", (*call).dashboardGet},
		{"PATCH", "/api/apis/keys/basic/{username}", (*call).dashboardPatch},
		{"DELETE", "/api/apis/keys/basic/{username}", (*call).dashboardDelete},
		{"GET", "/api/apis/keys", (*call).dashboardList},
		{"GET", "/api/apis/{apiID}/keys", (*call).dashboardList},
		{"GET", "/api/apis/{apiID}/keys/search", (*call).dashboardSearch},
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
		{"GET", "/api/portal/policies/search", (*call).dashboardPolicies},
		{"POST", "/api/portal/policies", (*call).dashboardPolicyCreate},
		{"GET", "/api/portal/policies/{id}", (*call).dashboardPolicy},
		{"PUT", "/api/portal/policies/{id}", (*call).dashboardPolicyReplace},
		{"DELETE", "/api/portal/policies/{id}", (*call).dashboardPolicyDelete},

		{"GET", "/api/apis", (*call).listAPIs},
		{"GET", "/api/users", (*call).listUsers},
		{"POST", "/api/import", (*call).importUsers},
		{"POST", "/api/verify", (*call).verify},
		{"POST", "/api/explain", (*call).explain},
		{"GET", "/api/users/search", (*call).searchUsers},
		{"GET", "/api/users/{username}/limits", (*call).userLimits},
		{"GET", "/api/decisions", (*call).decisions},

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
		{"GET", "/tyk/reload/group", (*call).gatewayReload}, // a group of one

		{"GET", "/api/backup", (*call).backup},
		{"GET", "/api/check-db", (*call).checkDatabase},
		{"POST", "/api/compact", (*call).compact},
	}
	for path, file := range web.Files {
		routes = append(routes, handler{"GET", path, func(c *call) error { return c.sendPage(file) }})
	}
}

// match finds the handler of a request. Each segment of the path is decoded once and by itself, so
// that a name is the same string in every request, even if it contains slashes. A segment that
// cannot be decoded is refused. A trailing slash is ignored, and HEAD is served like GET. If the path
// exists but not with this method, allow lists the methods that it has.
func match(method string, target []byte) (found *handler, params map[string]string, allow []string, err error) {
	if method == fasthttp.MethodHead {
		method = fasthttp.MethodGet
	}
	path, _, _ := strings.Cut(string(target), "?")
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i := range routes {
		r := &routes[i]
		params, ok, err := r.match(segments)
		if err != nil {
			return nil, nil, nil, err
		}
		if !ok {
			continue
		}
		if r.method == method {
			return r, params, nil, nil
		}
		allow = append(allow, r.method)
		if r.method == fasthttp.MethodGet {
			allow = append(allow, fasthttp.MethodHead)
		}
	}
	if len(allow) > 0 {
		slices.Sort(allow)
		return nil, nil, slices.Compact(allow), failure(fasthttp.StatusMethodNotAllowed, "Method not supported")
	}
	return nil, nil, nil, failure(fasthttp.StatusNotFound, "Not found")
}

func (r *handler) match(segments []string) (params map[string]string, ok bool, err error) {
	pattern := strings.Split(strings.TrimSuffix(r.pattern, "/"), "/")
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
