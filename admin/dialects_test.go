package admin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth/session"
	"sidekey/internal/proof"
	"sidekey/internal/tyktest"
)

// dates matches what differs between runs in the answers about alice.
var dates = regexp.MustCompile(`"(date_created|last_updated|time)":"[^"]*"|"quota_renews":[1-9][0-9]*`)

const (
	aliceToken = "eyJvcmciOiJkZWZhdWx0IiwiaWQiOiJhbGljZSIsImgiOiJtdXJtdXI2NCJ9"
	aliceHash  = "92ac0f0f241412ec"

	// Alice as the Gateway shows her, and as the Dashboard does.
	gatewayAlice   = `{"rate":5,"per":1,"org_id":"default","basic_auth_data":{"hash_type":"bcrypt"},"alias":"al",DATE,DATE}`
	dashboardAlice = `{"api_model":{},"key_id":"defaultalice","data":{"last_check":0,"allowance":0,"rate":5,"per":1,"throttle_interval":0,"throttle_retry_limit":0,"smoothing":null,"quota_max":0,"quota_renewal_rate":0,"quota_renews":0,"quota_remaining":0,"expires":0,"is_inactive":false,"access_rights":{},"org_id":"default","basic_auth_data":{"password":"","hash_type":"bcrypt","user":"alice"},"hmac_enabled":false,"hmac_string":"","apply_policies":null,"apply_policy_id":"","tags":null,"alias":"al","meta_data":{},"monitor":{"trigger_limits":null},"enable_detailed_recording":false,"session_lifetime":0,"post_expiry_action":"","post_expiry_grace_period":0,DATE,DATE,"jwt_data":{"secret":""},"oauth_client_id":"","oauth_keys":{},"certificate":"","mtls_static_certificate_bindings":null,"enable_http_signature_validation":false,"rsa_certificate_id":"","max_query_depth":0,"id_extractor_deadline":0,"data_expires":0,"enable_detail_recording":false},"key_hash":"92ac0f0f241412ec"}`
)

// Every request of both dialects, with its answers if it succeeds and if it fails. The listener of the
// tests also compares every answer with Tyk's description.
func TestDialects(t *testing.T) {
	l := start(t)
	done := make(map[string]bool)
	ask := func(method, target, body string, status int, want string) answer {
		t.Helper()
		a := l.ask(method, target, body)
		got := strings.TrimSuffix(dates.ReplaceAllString(a.body, "DATE"), "\n")
		if a.status != status || got != want {
			t.Errorf("%s %s:\ngot  %d %s\nwant %d %s", method, target, a.status, got, status, want)
		}
		if status == 200 {
			r, _, _, err := match(method, []byte(target))
			if err != nil {
				t.Fatal(err)
			}
			done[r.method+" "+r.pattern] = true
		}
		return a
	}
	dashboard := func(text string) string { return strings.TrimSuffix(dashboardError(text), "\n") }
	gateway := func(text string) string { return strings.TrimSuffix(gatewayError(text), "\n") }
	ok := func(text string) string { return `{"Status":"OK","Message":"` + text + `","Meta":null}` }
	modified := func(key, action string) string {
		return `{"key":"` + key + `","status":"ok","action":"` + action + `"}`
	}
	const alice = `{"rate":5,"per":1,"alias":"al","basic_auth_data":{"password":"pw"}}`
	const malformed = "Request malformed: rate = \"x\": must be a finite number, not a string"
	const bad = `{"rate":"x"}`

	// Dashboard: one user by name.
	const basic = "/api/apis/keys/basic/alice"
	ask("GET", basic, "", 404, dashboard("Key not found"))
	ask("PUT", basic, alice, 404, dashboard("Key not found"))
	ask("DELETE", basic, "", 404, dashboard("Key not found"))
	ask("POST", basic, bad, 400, dashboard(malformed))
	ask("POST", basic, alice, 200, dashboardAlice)
	ask("POST", basic, alice, 200, dashboardAlice)
	ask("PUT", basic, bad, 400, dashboard(malformed))
	ask("PUT", basic, alice, 200, dashboardAlice)
	ask("GET", basic, "", 200, dashboardAlice)
	ask("GET", basic+"/?org_id=default", "", 200, dashboardAlice)
	ask("GET", basic+"?org_id=acme", "", 404, dashboard("Key not found"))

	// By key id, token, hash and name; also below an API.
	for _, base := range []string{"/api/keys/", "/api/apis/rest/keys/"} {
		for _, key := range []string{"defaultalice", "alice", aliceToken, aliceHash + "?hashed=1", aliceHash + "?hashed=0", aliceHash + "?auto_guess=true", "alice?username=true"} {
			ask("GET", base+key, "", 200, dashboardAlice)
			ask("PUT", base+key, alice, 200, dashboardAlice)
		}
		for _, key := range []string{aliceHash, "defaultalice?hashed=1", "defaultalice?username=true", "ghost", "default"} {
			ask("GET", base+key, "", 404, dashboard("Key not found"))
			ask("PUT", base+key, alice, 404, dashboard("Key not found"))
			ask("DELETE", base+key, "", 404, dashboard("Key not found"))
		}
		ask("PUT", base+"defaultalice", bad, 400, dashboard(malformed))
		ask("PUT", base+"defaultalice", `{"org_id":"acme"}`, 400, dashboard(`Request malformed: org_id = "acme": must be the org of the key, "default"`))
		ask("DELETE", base+"defaultalice", "", 200, ok("Key deleted successfully"))
		ask("POST", "/api/keys/alice", alice, 200, dashboardAlice)
	}
	ask("DELETE", basic, "", 200, ok("Key deleted successfully"))
	ask("POST", "/api/keys/alice", bad, 400, dashboard(malformed))
	ask("POST", "/api/keys/defaultalice", alice, 200, dashboardAlice)
	ask("POST", "/api/keys", bad, 400, dashboard(malformed))
	ask("POST", "/api/keys?basic_auth=true", alice, 400, dashboard(`Request malformed: basic_auth_data.user = "": must not be empty with ?basic_auth=true`))
	ask("POST", "/api/keys?basic_auth=true", `{"rate":5,"per":1,"alias":"al","basic_auth_data":{"user":"alice","password":"pw"}}`, 200, dashboardAlice)
	preview := strings.NewReplacer("alice", "preview", aliceHash, session.Name{Org: "default", User: "preview"}.KeyHash()).Replace(dashboardAlice)
	ask("POST", "/api/keys/preview", alice, 200, preview)
	ask("POST", "/api/keys/preview", bad, 400, dashboard(malformed))

	// Lists.
	for _, target := range []string{"/api/apis/keys", "/api/apis/keys/", "/api/apis/keys?p=1", "/api/apis/keys?p=0", "/api/apis/keys?p=-1", "/api/apis/rest/keys", "/api/apis/rest/keys/search?q=ali", "/api/apis/rest/keys/search"} {
		ask("GET", target, "", 200, `{"data":{"keys":["defaultalice"]},"pages":1}`)
	}
	ask("GET", "/api/apis/keys?p=2", "", 200, `{"data":{"keys":[]},"pages":1}`)
	ask("GET", "/api/apis/rest/keys/search?q=bob", "", 200, `{"data":{"keys":[]},"pages":0}`)
	ask("GET", "/api/apis/keys?p=x", "", 400, dashboard(`Request malformed: p = "x": must be a whole number`))
	ask("GET", "/api/apis/nothing/keys", "", 404, dashboard(`API "nothing" is not configured`))
	ask("GET", "/api/apis/nothing/keys/search", "", 404, dashboard(`API "nothing" is not configured`))
	detailed := `{"keys":[` + strings.TrimSuffix(dashboardAlice, "}") + `,"state":"active"}],"pages":1}`
	ask("GET", "/api/keys/detailed", "", 200, detailed)
	ask("GET", "/api/keys/detailed?q=AL", "", 200, detailed)
	ask("GET", "/api/keys/detailed?q=nothing", "", 200, `{"keys":[],"pages":0}`)

	// Gateway: one user by name, token and hash.
	ask("DELETE", basic, "", 200, ok("Key deleted successfully"))
	ask("GET", "/tyk/keys/alice", "", 404, gateway("Key not found"))
	ask("PUT", "/tyk/keys/alice", alice, 404, gateway("Key is not found"))
	ask("DELETE", "/tyk/keys/alice", "", 404, gateway("There is no such key found"))
	ask("POST", "/tyk/keys/reset/alice", "", 404, gateway("There is no such key found"))
	ask("PUT", "/tyk/keys/policy/alice", `{}`, 404, gateway("Key not found"))
	ask("POST", "/tyk/keys/alice", bad, 400, gateway(malformed))
	ask("POST", "/tyk/keys/alice", `{}`, 200, `{"key":"`+aliceToken+`","status":"ok","action":"added","key_hash":"`+aliceHash+`"}`)
	ask("POST", "/tyk/keys/alice", alice, 200, `{"key":"","status":"ok","action":"added","key_hash":"`+aliceHash+`"}`)
	ask("PUT", "/tyk/keys/alice", bad, 400, gateway(malformed))
	for key, named := range map[string]string{"alice": aliceToken, aliceToken: aliceToken, aliceHash + "?hashed=true": aliceHash, "alice/": aliceToken} {
		ask("PUT", "/tyk/keys/"+key, alice, 200, modified(named, "modified"))
		ask("GET", "/tyk/keys/"+key, "", 200, gatewayAlice)
		ask("POST", "/tyk/keys/reset/"+key, "", 200, modified(named, "modified"))
		ask("PUT", "/tyk/keys/policy/"+key, `{"apply_policies":[]}`, 200, modified(named, "updated"))
		ask("POST", "/tyk/keys/policy/"+key, `{"apply_policies":[]}`, 200, modified(named, "updated"))
		ask("DELETE", "/tyk/keys/"+key, "", 200, modified(named, "deleted"))
		ask("GET", "/tyk/keys/"+key, "", 404, gateway("Key not found"))
		ask("PUT", "/tyk/keys/"+key, alice, 404, gateway("Key is not found"))
		ask("DELETE", "/tyk/keys/"+key, "", 404, gateway("There is no such key found"))
		ask("POST", "/tyk/keys/alice", alice, 200, `{"key":"","status":"ok","action":"added","key_hash":"`+aliceHash+`"}`)
	}
	// Tyk accepts a key hash there without ?hashed=.
	ask("POST", "/tyk/keys/policy/"+aliceHash, `{"policy":""}`, 200, modified(aliceToken, "updated"))
	ask("PUT", "/tyk/keys/policy/alice", `{"policy":"nothing"}`, 400, gateway(`Request malformed: apply_policies[0] = "nothing": must be a policy that exists: there is none`))
	ask("PUT", "/tyk/keys/policy/alice", `[]`, 400, gateway(`Request malformed: must be an object, not an array`))
	ask("GET", "/tyk/keys/"+aliceHash, "", 404, gateway("Key not found"))
	ask("PUT", "/tyk/keys/"+aliceToken, `{"org_id":"acme"}`, 404, gateway("Key is not found"))

	for _, target := range []string{"/tyk/keys", "/tyk/keys/", "/tyk/keys?api_id=rest", "/tyk/keys?filter=" + aliceHash[:4], "/tyk/keys?filter=ali"} {
		ask("GET", target, "", 200, `{"keys":["`+aliceHash+`"]}`)
	}
	ask("GET", "/tyk/keys?filter=bob", "", 200, `{"keys":[]}`)
	ask("GET", "/tyk/keys?api_id=acme-api", "", 200, `{"keys":[]}`)
	ask("GET", "/tyk/keys?api_id=nothing", "", 404, gateway(`API "nothing" is not configured`))
	ask("POST", "/tyk/keys/preview", alice, 200, gatewayAlice)
	ask("POST", "/tyk/keys/preview", bad, 400, gateway(malformed))
	ask("POST", "/tyk/keys/create", bad, 400, gateway(malformed))
	ask("POST", "/tyk/keys", bad, 400, gateway(malformed))
	// Only the answer has the name of a generated key.
	for _, target := range []string{"/tyk/keys/create", "/tyk/keys"} {
		var created struct {
			Key     string `json:"key"`
			KeyHash string `json:"key_hash"`
		}
		if err := json.Unmarshal([]byte(l.ask("POST", target, alice).body), &created); err != nil {
			t.Fatal(err)
		}
		done["POST "+target] = true
		ask("GET", "/tyk/keys/"+created.Key, "", 200, gatewayAlice)
		ask("DELETE", "/tyk/keys/"+created.KeyHash+"?hashed=1", "", 200, modified(created.KeyHash, "deleted"))
	}
	var created struct {
		KeyID string `json:"key_id"`
	}
	if err := json.Unmarshal([]byte(l.ask("POST", "/api/keys", alice).body), &created); err != nil {
		t.Fatal(err)
	}
	done["POST /api/keys"] = true
	ask("DELETE", "/api/keys/"+created.KeyID, "", 200, ok("Key deleted successfully"))

	// Policies.
	for _, d := range []struct {
		base, missing, missingDelete string
		form                         func(string) string
		added, modified, deleted     string
	}{
		{"/api/portal/policies", "Could not retrieve portal object.", "Could not retrieve object for deletion", dashboard, ok("gold"), ok("Data updated"), ok("Data deleted")},
		{"/tyk/policies", "Policy not found", "Policy not found", gateway, modified("gold", "added"), modified("gold", "modified"), modified("gold", "deleted")},
	} {
		const gold = `{"id":"gold","rate":5,"per":1}`
		one := d.base + "/gold"
		ask("GET", one, "", 404, d.form(d.missing))
		ask("PUT", one, gold, 404, d.form(d.missing))
		ask("DELETE", one, "", 404, d.form(d.missingDelete))
		ask("POST", d.base, bad, 400, d.form(malformed))
		ask("POST", d.base, gold, 200, d.added)
		ask("POST", d.base, gold, 400, d.form("This policy ID has already been used. Enter a unique policy ID."))
		ask("PUT", one, bad, 400, d.form(malformed))
		ask("PUT", one, gold, 200, d.modified)
		const view = `{"id":"gold","_id":"gold","name":"","org_id":"default","rate":5,"per":1,"throttle_interval":0,"throttle_retry_limit":0,"smoothing":null,"quota_max":0,"quota_renewal_rate":0,"max_query_depth":0,"access_rights":{},"hmac_enabled":false,"active":true,"is_inactive":false,"tags":null,"meta_data":{},"key_expires_in":0,"partitions":{"quota":false,"rate_limit":false,"acl":false,"complexity":false,"per_api":false},"post_expiry_action":"","post_expiry_grace_period":0,DATE,DATE,"enable_http_signature_validation":false,"graphql_access_rights":{}}`
		ask("GET", one, "", 200, view)
		if strings.HasPrefix(d.base, "/api/") {
			ask("GET", d.base, "", 200, `{"Data":[`+view+`],"Pages":1}`)
			ask("GET", d.base+"/search?q=GOLD", "", 200, `{"Data":[`+view+`],"Pages":1}`)
			ask("GET", d.base+"?p=2", "", 200, `{"Data":[],"Pages":1}`)
			ask("GET", d.base+"?p=x", "", 400, d.form(`Request malformed: p = "x": must be a whole number`))
		} else {
			ask("GET", d.base, "", 200, "["+view+"]")
		}
		ask("DELETE", one, "", 200, d.deleted)
	}

	ask("GET", "/tyk/reload", "", 200, `{"status":"ok","message":""}`)
	ask("GET", "/tyk/reload/?block=true", "", 200, `{"status":"ok","message":""}`)
	ask("GET", "/tyk/reload/group", "", 200, `{"status":"ok","message":""}`)
	ask("GET", "/hello", "", 200, `{"status":"pass","version":"v0","description":"sidekey","details":{"store":{"status":"pass","componentType":"datastore",DATE}}}`)

	for _, r := range routes {
		if name := r.method + " " + r.pattern; !done[name] && !tyktest.Ours(r.method, r.pattern) && (strings.HasPrefix(r.pattern, "/api") || strings.HasPrefix(r.pattern, "/tyk") || r.pattern == "/hello") {
			t.Errorf("%s was not asked with success", name)
		}
	}
	// Without a right secret, each dialect has its own words.
	for _, r := range routes {
		target := strings.NewReplacer("{", "", "}", "").Replace(r.pattern)
		switch a := l.askAs(r.method, target, ""); {
		case strings.HasPrefix(target, proof.Path): // is for callers that do not send the secret yet
			a.want(t, target, 400, dashboardError(`Request malformed: nonce = "nonce": must be 64 hexadecimal digits`))
		case strings.HasPrefix(target, "/api"):
			a.want(t, target, 401, dashboardError("Not authorised"))
		case strings.HasPrefix(target, "/tyk"):
			a.want(t, target, 403, gatewayError("Attempted administrative access with invalid or missing key!"))
		}
	}
}

// An answer can be written back unchanged, and that changes nothing.
func TestWriteBack(t *testing.T) {
	l := start(t)
	same := func(target string, unwrap func(string) string) {
		t.Helper()
		before := l.ask("GET", target, "")
		if a := l.ask("PUT", target, unwrap(before.body)); a.status != 200 || len(a.header) != 3 {
			t.Errorf("PUT %s %s: %v", target, unwrap(before.body), a)
		}
		word := func(a answer) string { return dates.ReplaceAllString(a.body, "DATE") }
		if after := l.ask("GET", target, ""); word(after) != word(before) {
			t.Errorf("%s:\nwas %s\nis  %s", target, before.body, after.body)
		}
	}
	whole := func(body string) string { return body }
	data := func(body string) string {
		var key struct {
			Data jsontext.Value `json:"data"`
		}
		if err := json.Unmarshal([]byte(body), &key); err != nil {
			t.Fatal(err)
		}
		return string(key.Data)
	}
	l.ask("POST", "/tyk/policies", `{"id":"gold","rate":5,"per":1,"quota_max":10,"quota_renewal_rate":60,"tags":["gold"],"meta_data":{"a":1},
		"access_rights":{"rest":{"versions":["v1"],"limit":{"rate":1,"per":1}},"orders":{"allowed_urls":[{"url":"/a","methods":["GET"]}]}}}`)
	for _, session := range []string{
		`{}`,
		`{"rate":2.5,"per":10,"quota_max":100,"quota_renewal_rate":3600,"expires":4102444800,"alias":"al","tags":["a","b"],"meta_data":{"a":{"b":[1.50,null]}},
			"access_rights":{"rest":{"api_id":"rest","api_name":"Rest","versions":["v1"],"limit":{"rate":1,"per":1,"quota_max":5},
			"endpoints":[{"path":"/a","methods":[{"name":"GET","limit":{"rate":0.5,"per":1}}]}]},"orders":{"allowed_urls":[{"url":"/a/*","methods":["GET","put"]}]}},
			"jwt_data": {"secret": "s"}, "allowance":1e3}`,
		`{"apply_policies":["gold"],"alias":"with a policy"}`,
	} {
		if a := l.ask("POST", "/tyk/keys/alice", session); a.status != 200 {
			t.Fatalf("%s: %v", session, a)
		}
		same("/tyk/keys/alice", whole)
		same("/api/apis/keys/basic/alice", data)
		same("/api/keys/defaultalice", data)
	}
	same("/tyk/policies/gold", whole)
	same("/api/portal/policies/gold", whole)
}

// An endpoint without methods comes back without them, as in Tyk; an empty list comes back empty.
func TestEndpointWithoutMethods(t *testing.T) {
	l := start(t)
	for sent, shown := range map[string]string{
		`{"path":"/a"}`:                `[{"path":"/a"}]`,
		`{"path":"/a","methods":null}`: `[{"path":"/a"}]`,
		`{"path":"/a","methods":[]}`:   `[{"path":"/a","methods":[]}]`,
	} {
		rights := `"access_rights":{"orders":{"endpoints":[` + sent + `]}}`
		for _, write := range [][3]string{
			{"POST", "/tyk/policies", `{"id":"gold",` + rights + `}`},
			{"POST", "/tyk/keys/alice", `{` + rights + `}`},
			{"POST", "/tyk/keys/bob", `{"apply_policies":["gold"]}`},
		} {
			if a := l.ask(write[0], write[1], write[2]); a.status != 200 {
				t.Fatalf("%q: %v", write, a)
			}
		}
		for _, target := range []string{
			"/tyk/policies/gold", "/api/portal/policies/gold",
			"/tyk/keys/alice", "/api/apis/keys/basic/alice", "/tyk/keys/bob", "/api/apis/keys/basic/bob",
		} {
			if a := l.ask("GET", target, ""); !strings.Contains(a.body, `"endpoints":`+shown) {
				t.Errorf("%s: sent %s, shown %v", target, sent, a)
			}
		}
		l.ask("DELETE", "/tyk/keys/bob", "")
		if a := l.ask("DELETE", "/tyk/policies/gold", ""); a.status != 200 {
			t.Fatal(a)
		}
	}
}

// A method that a path does not have is refused with the list of those that it has. HEAD is GET without
// a body.
func TestMethodsOfPaths(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/alice", aUser)
	f := func(target, allow string) {
		t.Helper()
		for _, method := range []string{"PATCH", "OPTIONS", "TRACE", "BREW", "get"} {
			if strings.Contains(allow, method) {
				continue
			}
			a := l.ask(method, target, "")
			if a.status != 405 || !slices.Contains(a.header, "Allow: "+allow) {
				t.Errorf("%s %s: %v, want 405 and Allow: %s", method, target, a, allow)
			}
		}
	}
	f("/api/apis/keys/basic/alice", "DELETE, GET, HEAD, PATCH, POST, PUT")
	f("/api/apis/keys", "GET, HEAD")
	f("/api/keys", "POST")
	f("/api/keys/preview", "DELETE, GET, HEAD, POST, PUT") // as the user "preview"
	f("/tyk/keys", "GET, HEAD, POST")
	f("/tyk/keys/reset/alice", "POST")
	f("/tyk/keys/policy/alice", "POST, PUT")
	f("/tyk/policies/gold", "DELETE, GET, HEAD, PUT")
	f("/hello", "GET, HEAD")

	for _, target := range []string{"/tyk/keys/alice", "/api/apis/keys", "/tyk/keys/ghost", "/hello", "/healthz"} {
		get, head := l.ask("GET", target, ""), l.ask("HEAD", target, "")
		if head.status != get.status || head.body != "" || !slices.Equal(head.header, get.header) {
			t.Errorf("HEAD %s: %v, GET: %v", target, head, get)
		}
	}
	if a := l.ask("HEAD", "/tyk/keys/reset/alice", ""); a.status != 405 || a.body != "" {
		t.Errorf("HEAD: %v", a)
	}
}

// A page has ten users; p counts from 1, and a negative p selects all.
func TestPages(t *testing.T) {
	l := start(t)
	var all []string
	for i := range 23 {
		l.ask("POST", fmt.Sprintf("/tyk/keys/u%02d", i), aUser)
		l.ask("POST", "/tyk/policies", fmt.Sprintf(`{"id":"u%02d"}`, i))
		all = append(all, fmt.Sprintf("u%02d", i))
	}
	f := func(p string, want []string, pages int) {
		t.Helper()
		texts := func(form string) string {
			var list []string
			for _, name := range want {
				list = append(list, fmt.Sprintf(form, name))
			}
			return strings.Join(list, ",")
		}
		body := fmt.Sprintf(`{"data":{"keys":[%s]},"pages":%d}`+"\n", texts(`"default%s"`), pages)
		for _, target := range []string{"/api/apis/keys", "/api/apis/rest/keys", "/api/apis/rest/keys/search"} {
			l.ask("GET", target+p, "").want(t, target+p, 200, body)
		}
		for target, member := range map[string]string{"/api/keys/detailed": "key_id", "/api/portal/policies": "_id"} {
			a := l.ask("GET", target+p, "")
			var got []string
			for _, found := range regexp.MustCompile(`"`+member+`":"(?:default)?(u[0-9]+)"`).FindAllStringSubmatch(a.body, -1) {
				got = append(got, found[1])
			}
			if a.status != 200 || !slices.Equal(got, want) || !regexp.MustCompile(fmt.Sprintf(`"[pP]ages":%d}\n$`, pages)).MatchString(a.body) {
				t.Errorf("%s%s: %d %q, want %q and %d pages", target, p, a.status, got, want, pages)
			}
		}
	}
	f("", all[:10], 3)
	f("?p=", all[:10], 3)
	f("?p=0", all[:10], 3)
	f("?p=1", all[:10], 3)
	f("?p=2", all[10:20], 3)
	f("?p=3", all[20:], 3)
	f("?p=4", nil, 3)
	f("?p=-1", all, 3)
	f("?p=-5", all, 3)
}

// The search finds users by name, alias and tag, in upper or lower case.
func TestSearch(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/alice", `{"alias":"Wonderland","tags":["edge","eu-1"]}`)
	l.ask("POST", "/tyk/keys/bob", `{"org_id":"acme","alias":"Builder","tags":["edge"]}`)
	f := func(query string, want ...string) {
		t.Helper()
		a := l.ask("GET", "/api/keys/detailed"+query, "")
		var got []string
		for _, found := range regexp.MustCompile(`"key_id":"([^"]+)"`).FindAllStringSubmatch(a.body, -1) {
			got = append(got, found[1])
		}
		if a.status != 200 || !slices.Equal(got, want) {
			t.Errorf("%s: %d %q, want %q", query, a.status, got, want)
		}
	}
	f("", "acmebob", "defaultalice")
	f("?q=ALI", "defaultalice")
	f("?q=acme", "acmebob")
	f("?q=wonder", "defaultalice")
	f("?q=edge", "acmebob", "defaultalice")
	f("?q=EU-", "defaultalice")
	f("?q=edge&org_id=acme", "acmebob")
	f("?q=ghost")
	f("?q=%00")
}

// The search for policies has the parameters of the Dashboard.
func TestPolicySearch(t *testing.T) {
	l := start(t)
	for _, p := range []string{
		`{"id":"a","name":"Zebra","access_rights":{"rest":{},"orders":{}}}`,
		`{"id":"b","name":"Yak","access_rights":{"rest":{}},"is_inactive":true}`,
		`{"id":"c","name":"zebu","active":false}`,
	} {
		l.ask("POST", "/api/portal/policies", p)
	}
	f := func(query string, want ...string) {
		t.Helper()
		a := l.ask("GET", "/api/portal/policies/search?"+query, "")
		var got []string
		for _, found := range regexp.MustCompile(`"_id":"([^"]+)"`).FindAllStringSubmatch(a.body, -1) {
			got = append(got, found[1])
		}
		if a.status != 200 || !slices.Equal(got, want) {
			t.Errorf("%s: %d %q, want %q", query, a.status, got, want)
		}
	}
	f("", "a", "b", "c")
	f("q=zeb", "a", "c")
	f("q=B", "a", "b", "c") // the id of one, in the names of the others
	f("q=nothing")
	f("policy_ids=a,c,nothing&q=yak", "a", "c")
	f("active=0", "a")
	f("state=active", "a")
	f("state=deny", "b")
	f("state=draft", "c")
	f("api_id=rest", "a", "b")
	f("api_id=rest,orders", "a")
	f("sort=name", "b", "a", "c")
	f("sort=state", "a", "b", "c")
	f("org_id=acme")
	l.ask("GET", "/api/portal/policies?sort=size&state=x", "").want(t, "sort", 400,
		dashboardError(`Request malformed: state = "x": must be one of active, deny, draft; sort = "size": must be one of date_created, name, state`))
}

// A policy is not deleted while users have it, nor changed into one that its users could not be given.
func TestPoliciesOfUsers(t *testing.T) {
	l := start(t)
	ask := func(method, target, body string, status int, text string) {
		t.Helper()
		if a := l.ask(method, target, body); a.status != status || text != "" && a.body != gatewayError(text) {
			t.Errorf("%s %s: %v, want %d %s", method, target, a, status, text)
		}
	}
	const rights = `"access_rights":{"rest":{}}`
	ask("POST", "/tyk/policies", `{"id":"acl","partitions":{"acl":true},`+rights+`}`, 200, "")
	ask("POST", "/tyk/policies", `{"id":"rate","partitions":{"rate_limit":true}}`, 200, "")
	ask("POST", "/tyk/policies", `{"id":"alone","partitions":{"quota":true,"acl":true},`+rights+`}`, 200, "")
	for _, user := range []string{"alice", "bob"} {
		ask("POST", "/tyk/keys/"+user, `{"apply_policies":["acl","rate"]}`, 200, "")
	}
	ask("POST", "/tyk/keys/carol", `{"apply_policies":["alone","acl"]}`, 200, "")

	const perAPI = `{"partitions":{"per_api":true},` + rights + `}`
	ask("PUT", "/tyk/policies/rate", perAPI, 409,
		`partitions: 2 users have policy "rate" together with others, such as "acl", and a per_api policy cannot be combined with partitioned ones: change these users first`)
	ask("PUT", "/tyk/policies/rate", `{"partitions":{"rate_limit":true,"quota":true}}`, 200, "")
	ask("PUT", "/tyk/keys/policy/carol", `{"policy":"alone"}`, 200, "")
	ask("PUT", "/tyk/policies/alone", perAPI, 200, "")
	ask("POST", "/tyk/keys/dave", `{"apply_policies":["alone","acl"]}`, 400,
		`Request malformed: apply_policies: must not combine policies with partitions.per_api and others that are partitioned`)

	ask("DELETE", "/tyk/policies/rate", "", 409, `2 users have policy "rate" and would be refused without it: change them first, or add ?force=1`)
	ask("DELETE", "/tyk/policies/rate?force=true", "", 409, `2 users have policy "rate" and would be refused without it: change them first, or add ?force=1`)
	ask("DELETE", "/tyk/keys/alice", "", 200, "")
	ask("PUT", "/tyk/keys/policy/bob", `{"policy":"acl"}`, 200, "")
	ask("DELETE", "/tyk/policies/rate", "", 200, "")

	// The API notices a policy that was deleted while the password of a new user was being hashed.
	l.users.BeforeEdit(func() { l.policies.SetStored("acl", nil) })
	ask("POST", "/tyk/keys/dave", `{"apply_policies":["acl"]}`, 400, `Request malformed: apply_policies[0] = "acl": must be a policy that exists: alone`)
	ask("GET", "/tyk/keys/dave", "", 404, "Key not found")
}
