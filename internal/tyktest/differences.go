package tyktest

import (
	"regexp"

	"github.com/getkin/kin-openapi/openapi3"
)

// differences lists everything that differs from Tyk's description.
type differences struct {
	// routes that Tyk has and does not describe, or that only we have.
	routes []struct{ method, path, schema string }
	// statuses that any request may also get, with the error object of the dialect.
	statuses []int
	// members that we return and Tyk does not describe; always: those that are never missing (nil =
	// all); rare: those that may be missing.
	members map[string]map[string]*openapi3.Schema
	always  map[string][]string
	rare    []string
}

// ours are the requests below Tyk's prefixes that Tyk does not have.
var ours = regexp.MustCompile(`^(GET /api/(apis|users|users/search|users/[^/]+/limits|backup|check-db|decisions|proof/[^/]+)|POST /api/(import|verify|explain|compact)|PATCH /api/apis/keys/basic/[^/]+)$`)

var refusals = []int{
	400, // what cannot be stored unchanged; Tyk describes 403 or 500 for some of it, and stores the rest
	404, // replacing or deleting a policy that does not exist; Tyk describes nothing
	405, // a method that the path does not have
	409, // a policy that users have or that is in the configuration file, a damaged record
	412, // a user that exists, if If-None-Match: * asks for a new one
	413, // a body over 1 MiB
	429, // too many wrong secrets at once
	431, // a header that is too large
	500, // only a bug can cause it, also if Tyk describes none
	507, // the disk is full
	503, // the store is not available, or too many passwords are being hashed
}

var (
	integer = openapi3.NewInt64Schema()
	boolean = openapi3.NewBoolSchema()
	text    = openapi3.NewStringSchema()
	// Members that do not act come back unchanged, with null and members of their own if the client
	// sent them. Their type is checked when they are written.
	asItCame = openapi3.NewSchema()
)

var keptInRight = map[string]*openapi3.Schema{
	"restricted_types": asItCame, "allowed_types": asItCame, "field_access_rights": asItCame,
	// Of gateways that are newer than the description.
	"json_rpc_methods": asItCame, "json_rpc_methods_access_rights": asItCame, "mcp_access_rights": asItCame,
}

var dashboardDifferences = differences{
	routes: []struct{ method, path, schema string }{
		// Tyk describes only POST.
		{"PUT", "/api/apis/keys/basic/{username}", "KeyData"},
		{"GET", "/api/apis/keys/basic/{username}", "KeyData"},
		{"DELETE", "/api/apis/keys/basic/{username}", "ApiResponse"},
	},
	statuses: refusals,
	members: map[string]map[string]*openapi3.Schema{
		// The Gateway's session has them, and the Dashboard's passes them through.
		"SessionState": {
			"enable_detail_recording":          boolean,
			"enable_http_signature_validation": boolean,
			"rsa_certificate_id":               asItCame,
			"post_expiry_action":               text,
			"post_expiry_grace_period":         integer,

			"jwt_data": asItCame, "oauth_client_id": asItCame, "oauth_keys": asItCame, "certificate": asItCame,
			"mtls_static_certificate_bindings": asItCame,
		},
		"AccessDefinition": keptInRight,
		// The reason why a user is refused: ours, for people.
		"KeyData": {"state": text},
		"Policy": {
			"shadow":                           boolean, // ours, if it is set
			"enable_http_signature_validation": boolean,
			"graphql_access_rights":            asItCame,
			"post_expiry_action":               text,
			"post_expiry_grace_period":         integer,
		},
		// Described as integers; half a request per second is a limit too.
		"SessionEndpointRateLimit": {"rate": openapi3.NewFloat64Schema(), "per": openapi3.NewFloat64Schema()},
		// Described as at least 1; a limit that is not switched on may be 0.
		"RateLimitSmoothing": {"threshold": integer, "step": integer, "delay": integer, "trigger": openapi3.NewFloat64Schema()},
	},
	always: map[string][]string{
		"SessionState":     nil, // also if zero: scripts written for older versions read them
		"KeyData":          {"api_model", "key_id", "data", "key_hash"},
		"Policy":           nil,
		"ApiResponse":      {"Status", "Message", "Meta"},
		"Keys":             {"data", "pages"},
		"AllKeys":          {"keys"},
		"KeysDetailed":     {"keys"},
		"ReturnDataStruct": {"Data", "Pages"},
	},
	// No known answer of the Dashboard has key_id inside the session; it is beside it. state is in
	// lists.
	rare: []string{"key_id", "shadow"},
}

var gatewayDifferences = differences{
	routes: []struct{ method, path, schema string }{
		// Tyk answers both and describes neither: the reset of a quota, and PUT, which its own
		// documentation has and the description calls POST.
		{"POST", "/tyk/keys/reset/{keyID}", "ApiModifyKeySuccess"},
		{"PUT", "/tyk/keys/policy/{keyID}", "ApiModifyKeySuccess"},
	},
	statuses: refusals,
	members: map[string]map[string]*openapi3.Schema{
		"ApiModifyKeySuccess": {"hmac_string": text}, // ours: only this answer shows a secret that was generated
		"SessionState": {
			"mtls_static_certificate_bindings": asItCame, // the Dashboard's session has it

			"jwt_data": asItCame, "oauth_client_id": asItCame, "oauth_keys": asItCame, "certificate": asItCame,
			"rsa_certificate_id": asItCame,
		},
		"AccessDefinition": keptInRight,
		// The Dashboard's description has it.
		"APILimit": {"set_by_policy": boolean},
		"Policy": {
			"shadow":                boolean, // ours, if it is set
			"date_created":          text,    // as in the Dashboard's description
			"graphql_access_rights": asItCame,
			// Zero fields of a policy are there; post_expiry_action is "" then.
			"post_expiry_action": text,
		},
	},
	always: map[string][]string{
		"Policy":              nil,
		"ApiStatusMessage":    {"status", "message"},
		"ApiModifyKeySuccess": {"key", "status", "action"},
		"ApiAllKeys":          {"keys"},
		"HealthCheckResponse": {"status", "version", "description", "details"},
	},
	rare: []string{"shadow"},
}
