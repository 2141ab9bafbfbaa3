package admin

import (
	"slices"
	"strings"
	"testing"

	"sidekey/auth"
	"sidekey/auth/session"
)

// The life of a policy in both dialects.
func TestPolicies(t *testing.T) {
	l := start(t)
	const gold = `{"id":"gold","name":"Gold","org_id":"default","rate":5,"per":1,"access_rights":{"rest":{}}}`
	ask := func(method, target, body string, status int, want string) {
		t.Helper()
		if a := l.ask(method, target, body); a.status != status || !strings.Contains(a.body, want) {
			t.Errorf("%s %s: %v, want %d with %s", method, target, a, status, want)
		}
	}
	ask("GET", "/tyk/policies/gold", "", 404, gatewayError("Policy not found"))
	ask("PUT", "/tyk/policies/gold", gold, 404, gatewayError("Policy not found"))
	ask("DELETE", "/tyk/policies/gold", "", 404, gatewayError("Policy not found"))
	ask("GET", "/api/portal/policies/gold", "", 404, dashboardError("Could not retrieve portal object."))
	ask("PUT", "/api/portal/policies/gold", gold, 404, dashboardError("Could not retrieve portal object."))
	ask("DELETE", "/api/portal/policies/gold", "", 404, dashboardError("Could not retrieve object for deletion"))

	ask("POST", "/tyk/policies", gold, 200, `{"key":"gold","status":"ok","action":"added"}`+"\n")
	ask("POST", "/tyk/policies", gold, 400, gatewayError("This policy ID has already been used. Enter a unique policy ID."))
	ask("POST", "/api/portal/policies", gold, 400, dashboardError("This policy ID has already been used. Enter a unique policy ID."))
	ask("GET", "/tyk/policies/gold", "", 200, `"rate":5,"per":1`)
	ask("GET", "/api/portal/policies/gold", "", 200, `"_id":"gold"`)
	ask("PUT", "/tyk/policies/gold", strings.Replace(gold, `"rate":5`, `"rate":6`, 1), 200, `{"key":"gold","status":"ok","action":"modified"}`+"\n")
	ask("PUT", "/api/portal/policies/gold", strings.Replace(gold, `"rate":5`, `"rate":7`, 1), 200, `{"Status":"OK","Message":"Data updated","Meta":null}`+"\n")
	ask("GET", "/tyk/policies", "", 200, `"rate":7`)
	ask("GET", "/api/portal/policies", "", 200, `"Pages":1`)
	ask("PUT", "/tyk/policies/gold", strings.Replace(gold, `"id":"gold"`, `"id":"silver"`, 1), 400, "id")

	ask("POST", "/tyk/policies?strict=1", `{"id":"p","nonsense":1}`, 400, "nonsense: a policy has no such member")

	// A policy that users have is not deleted by accident.
	ask("POST", "/tyk/keys/alice", `{"apply_policies":["gold"],"basic_auth_data":{"password":"pw"}}`, 200, "added")
	ask("DELETE", "/tyk/policies/gold", "", 409, `1 users have policy`)
	ask("DELETE", "/tyk/policies/gold?force=1", "", 200, `{"key":"gold","status":"ok","action":"deleted"}`+"\n")
	ask("GET", "/tyk/keys/alice", "", 200, `"apply_policies":["gold"]`)
	ask("POST", "/api/portal/policies", `{"name":"without an id","org_id":"default"}`, 200, `{"Status":"OK","Message":"`)

	// A policy of the configuration file cannot be changed.
	l.policies = l.policies.WithFile([]session.Policy{{ID: "fixed", OrgID: "default"}})
	const fixed = `Policy \"fixed\" is in the configuration file`
	ask("POST", "/tyk/policies", `{"id":"fixed"}`, 409, fixed)
	ask("PUT", "/tyk/policies/fixed", `{}`, 409, fixed)
	ask("DELETE", "/tyk/policies/fixed?force=1", "", 409, fixed)
	ask("GET", "/tyk/policies/fixed", "", 200, `"id":"fixed"`)
	ask("GET", "/api/portal/policies/fixed", "", 200, `"date_created":"0001-01-01T00:00:00Z"`)
}

// Wrong policies, with their refusals in both dialects, for creating and replacing; and wrong changes of
// a user's policies. Nothing changes.
func TestMalformedPolicies(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/policies", `{"id":"gold","access_rights":{"rest":{}}}`)
	l.ask("POST", "/tyk/keys/alice", aUser)
	before := l.users.Dump()
	f := func(body, problem string) {
		t.Helper()
		text := "Request malformed: " + problem
		l.ask("POST", "/tyk/policies", body).want(t, "POST "+body, 400, gatewayError(text))
		l.ask("POST", "/api/portal/policies", body).want(t, "POST "+body, 400, dashboardError(text))
		if !strings.Contains(body, `"id"`) {
			l.ask("PUT", "/tyk/policies/gold", body).want(t, "PUT "+body, 400, gatewayError(text))
			l.ask("PUT", "/api/portal/policies/gold", body).want(t, "PUT "+body, 400, dashboardError(text))
		}
	}
	f(``, `unexpected EOF at byte 0`)
	f(`null`, `null: must be a JSON object`)
	f(`[]`, `must be an object, not an array`)
	f(`{"id":"p"}{}`, `invalid character '{' after top-level value at byte 10`)
	f(`{"id":"p","id":"q"}`, `id: duplicate object member name at byte 10`)
	f(`{"id":"a/b"}`, `id = "a/b": must not contain , / ? #`)
	f(`{"id":"a,b"}`, `id = "a,b": must not contain , / ? #`)
	f(`{"id":"a\u0000"}`, `id = "a\x00": must not contain the control character U+0000`)
	f(`{"id":" a"}`, `id = " a": must not begin or end with white space`)
	f(`{"org_id":5}`, `org_id = 5: must be a string, not a number`)
	f(`{"org_id":"a\u0001"}`, `org_id = "a\x01": must not contain the control character U+0001`)
	f(`{"name":"a\u0001"}`, `name = "a\x01": must not contain the control character U+0001`)
	f(`{"rate":1e400}`, `rate = 1e400: must be a finite number`)
	f(`{"quota_max":1.5}`, `quota_max = 1.5: must be a whole number from -2^63 to 2^63-1`)
	f(`{"key_expires_in":-1}`, `key_expires_in = -1: must be at least 0 seconds`)
	f(`{"active":"yes"}`, `active = "yes": must be true or false, not a string`)
	f(`{"is_inactive":null}`, `is_inactive = null: must be true or false, not null`)
	f(`{"partitions":{"acl":1}}`, `partitions.acl = 1: must be true or false, not a number`)
	f(`{"partitions":{"quota":true,"per_api":true}}`, `partitions.per_api = true: must not be set together with other partitions`)
	f(`{"access_rights":{"nothing":{}}}`, `access_rights.nothing = "nothing": must be a configured API: orders, rest`)
	f(`{"access_rights":{"acme-api":{}}}`, `access_rights.acme-api = "acme-api": must be an API of org_id "default": orders, rest`)
	f(`{"access_rights":{"rest":{"limit":5}}}`, `access_rights.rest.limit = 5: must be an object, not a number`)
	f(`{"access_rights":{"rest":{"limit":{"rate":"x"}}}}`, `access_rights.rest.limit.rate = "x": must be a finite number, not a string`)
	f(`{"access_rights":{"rest":{"allowed_urls":[{"url":"/a"}]}}}`, `access_rights.rest.allowed_urls[0].methods: must have at least one method, such as GET`)
	f(`{"smoothing":{"step":"x"}}`, `smoothing.step = "x": must be a whole number from -2^63 to 2^63-1, not a string`)
	f(`{"tags":["a,b"]}`, `tags[0] = "a,b": must not contain a comma: X-Auth-Tags joins tags with commas`)
	f(`{"meta_data":[]}`, `meta_data: must be an object, not an array`)
	f(`{"meta_data":{"developer":"a\u000ab"}}`, `meta_data.developer = "a\nb": must not contain the control character U+000A`)
	f(`{"post_expiry_action":"burn"}`, `post_expiry_action = "burn": must be "delete" or "retain"`)
	f(`{"post_expiry_grace_period":-2}`, `post_expiry_grace_period = -2: must be at least 0 seconds, or -1 for no limit`)
	f(`{"graphql_access_rights":[]}`, `graphql_access_rights: must be an object, not an array`)
	f(`{"max_query_depth":"1"}`, `max_query_depth = "1": must be a whole number from -2^63 to 2^63-1, not a string`)
	f(`{"enable_http_signature_validation":1}`, `enable_http_signature_validation = 1: must be true or false, not a number`)

	l.ask("PUT", "/tyk/policies/gold", `{"id":"silver"}`).want(t, "another id", 400, gatewayError(`Request malformed: id = "silver": must be the id in the path, or missing`))
	u := func(body, problem string) {
		t.Helper()
		for _, method := range []string{"PUT", "POST"} {
			l.ask(method, "/tyk/keys/policy/alice", body).want(t, body, 400, gatewayError("Request malformed: "+problem))
		}
	}
	u(``, `unexpected EOF at byte 0`)
	u(`null`, `null: must be a JSON object`)
	u(`{"policy":5}`, `policy = 5: must be a string, not a number`)
	u(`{"policy":"gold","policy":"gold"}`, `policy: duplicate object member name at byte 17`)
	u(`{"apply_policies":"gold"}`, `apply_policies = "gold": must be an array, not a string`)
	u(`{"apply_policies":["gold",5]}`, `apply_policies[1] = 5: must be a string, not a number`)
	u(`{"apply_policies":["gold","silver"]}`, `apply_policies[1] = "silver": must be a policy that exists: gold`)
	l.ask("PUT", "/tyk/keys/policy/alice?strict=1", `{"policies":["gold"]}`).want(t, "strict", 400, gatewayError("Request malformed: policies: this request has no such member"))

	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}
	// In Tyk id and _id may differ; here the path has the id.
	a := l.ask("POST", "/api/portal/policies", `{"id":"x","_id":"y"}`)
	if !slices.Contains(a.header, `X-Sidekey-Warning: _id = "y": ignored, because _id is always the same as id`) {
		t.Errorf("another _id: %v", a)
	}
}

// After a write of unknown outcome, reading the policy does not return its old state.
func TestPolicyWhileTheStoreIsDown(t *testing.T) {
	var store error
	l := start(t, func(c *Config) { c.Health = func() Health { return Health{Store: store} } })
	l.ask("POST", "/tyk/policies", `{"id":"gold","org_id":"default"}`)
	store = auth.ErrStoreDown
	for _, id := range []string{"gold", "unknown"} {
		if a := l.ask("GET", "/tyk/policies/"+id, ""); a.status != 503 {
			t.Errorf("GET %s: %v", id, a)
		}
	}
}
