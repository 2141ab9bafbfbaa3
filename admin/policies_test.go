package admin

import (
	"strings"
	"testing"

	"sidekey/auth"
)

// One policy's life in both dialects.
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

	// What could not be enforced is refused by name.
	for _, bad := range []struct{ body, want string }{
		{`{"id":"p","access_rights":{"nothing":{}}}`, `access_rights.nothing`},
		{`{"id":"p","access_rights":{"acme-api":{}}}`, `access_rights.acme-api`},
		{`{"id":"p","partitions":{"quota":true,"per_api":true}}`, `partitions.per_api`},
		{`{"id":"p","key_expires_in":-1}`, `key_expires_in`},
		{`{"id":"a/b"}`, `id`},
		{`{"id":"a,b"}`, `id`},
		{`{"id":"a\u0000"}`, `id`},
		{`{"rate":1e400}`, `rate`},
		{`{"id":"p","id":"q"}`, `duplicate`},
		{`{"id":"p"}{}`, `after top-level value`},
	} {
		ask("POST", "/tyk/policies", bad.body, 400, bad.want)
		ask("POST", "/api/portal/policies", bad.body, 400, bad.want)
	}
	ask("POST", "/tyk/policies?strict=1", `{"id":"p","nonsense":1}`, 400, "nonsense: a policy has no such member")

	// One that users have is not deleted by accident.
	ask("POST", "/tyk/keys/alice", `{"apply_policies":["gold"],"basic_auth_data":{"password":"pw"}}`, 200, "added")
	ask("DELETE", "/tyk/policies/gold", "", 409, `1 users have policy`)
	ask("DELETE", "/tyk/policies/gold?force=1", "", 200, `{"key":"gold","status":"ok","action":"deleted"}`+"\n")
	ask("GET", "/tyk/keys/alice", "", 200, `"apply_policies":["gold"]`)
	ask("POST", "/api/portal/policies", `{"name":"without an id","org_id":"default"}`, 200, `{"Status":"OK","Message":"`)

	// One that stands in the file is the file's.
	l.handler.Policies.SetFile([]auth.Policy{{ID: "fixed", OrgID: "default"}})
	const fixed = `Policy \"fixed\" stands in the configuration file`
	ask("POST", "/tyk/policies", `{"id":"fixed"}`, 409, fixed)
	ask("PUT", "/tyk/policies/fixed", `{}`, 409, fixed)
	ask("DELETE", "/tyk/policies/fixed?force=1", "", 409, fixed)
	ask("GET", "/tyk/policies/fixed", "", 200, `"id":"fixed"`)
}

// Whoever reads a policy again after a write of unknown outcome is not told what was known
// before it.
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
