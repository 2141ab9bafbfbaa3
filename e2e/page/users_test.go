package page

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sidekey/e2e/internal/sidekeytest"
)

// Users are found as the search is typed, and shown a page at a time.
func pageList(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.look("users")
	users := func() string {
		return eval[string](b, `[...document.querySelectorAll("#users tbody th")].map((cell) => cell.innerText.trim()).join(" ")`)
	}
	names := func(from, to int) string {
		var list []string
		for i := from; i <= to; i++ {
			list = append(list, fmt.Sprintf("user%02d", i))
		}
		return strings.Join(list, " ")
	}
	shows := func(what, want string) {
		t.Helper()
		b.await(fmt.Sprintf(`document.querySelector("#search-status").innerText.startsWith(%s)`, quote(what)))
		if got := users(); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	shows("25 users, and more", names(0, 24))
	b.press("Next →")
	shows("Page 2: 25 users, and more", names(25, 49))
	b.press("Next →")
	shows("Page 3: 10 users", names(50, 59))
	b.press("← Previous")
	shows("Page 2: 25 users, and more", names(25, 49))
	b.enter("#search", "user1")
	shows("10 users", names(10, 19))
	b.enter("#search", "PERSON 7")
	shows("1 user", "user07")
	b.enter("#search", "team-3")
	shows("12 users", "user03 user08 user13 user18 user23 user28 user33 user38 user43 user48 user53 user58")
	b.enter("#search", "user99")
	b.awaitText("#users", "No users found.")
	b.enter("#search", "user05")
	shows("1 user", "user05")
	b.click("#users a")
	b.awaitText("main h1", "user05")
	b.do(chromedp.NavigateBack())
	b.awaitText("main h1", "Users")
	shows("1 user", "user05") // as before
	b.clearSearch()
	shows("25 users", names(0, 24))
}

// Among many users, the page does not search on without being asked.
func pageMany(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	const many, atOnce = 32_000, 16_000
	for first := 0; first < many; first += atOnce {
		var lines strings.Builder
		for i := range atOnce {
			fmt.Fprintf(&lines, "{\"username\":\"bulk%05d\",\"session\":{}}\n", first+i)
		}
		if status, answer, _ := s.Admin("POST", "/api/import", lines.String()); status != http.StatusOK {
			t.Fatalf("%d %.300s", status, answer)
		}
	}
	s.PutUser("last", `{"alias":"The needle in the hay"}`)
	b.open("#/users", "Users")
	b.enter("#search", "needle")
	b.awaitText("#search-status", "0 users among the 30,000 searched so far")
	b.press("Keep searching")
	b.awaitText("#search-status", "1 user")
	b.awaitText("#users", "The needle in the hay")
}

// stored returns a user as the store has it, without what differs between runs.
func stored(t *testing.T, s *sidekeytest.Sidekey, user string) map[string]any {
	t.Helper()
	status, answer, _ := s.Admin("GET", "/api/apis/keys/basic/"+user+"?raw=1", "")
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", user, status, answer)
	}
	var key struct {
		Data map[string]any `json:"data"`
	}
	if err := json.Unmarshal([]byte(answer), &key); err != nil {
		t.Fatal(err)
	}
	return key.Data
}

// wantStored compares members of a user, as JSON.
func wantStored(t *testing.T, s *sidekeytest.Sidekey, user string, want map[string]string) {
	t.Helper()
	session := stored(t, s, user)
	for member, text := range want {
		if got, _ := json.Marshal(session[member]); string(got) != text {
			t.Errorf("%s.%s = %s, want %s", user, member, got, text)
		}
	}
}

// passes returns the status of a request of a user.
func passes(t *testing.T, s *sidekeytest.Sidekey, user, password, path string) int {
	t.Helper()
	request, err := http.NewRequest("GET", "http://"+s.CheckAddr+"/auth/envoy"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(user, password)
	request.Header.Set("X-Forwarded-For", "192.0.2.1")
	request.Header.Set("X-Api-Version", "v2")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// A user is created with all fields of the form.
func pageCreate(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.open("#/users/new", "New user")
	b.look("new")
	if text := b.text("main"); !strings.Contains(text, "this user may use ALL APIs of the org") {
		t.Errorf("what no rights mean is not said: %s", text)
	}
	b.enter(control("username"), "alice")
	b.enter(control("basic_auth_data.password"), "test123")
	b.enter(control("alias"), "Alice A.")
	b.enter(control("rate"), "5")
	b.enter(control("per"), "60")
	b.enter(control("quota_max"), "1000")
	b.choose(control("quota_renewal_rate"), "86400")
	b.enter(control("tags"), "edge, edge-eu")
	b.press("+1 year")
	b.choose(`[data-path="access_rights"] > .control > select`, "orders")
	b.click(`[data-path="access_rights.orders.versions"] label:nth-of-type(2) input`)
	b.press("Add URL")
	b.enter(control("access_rights.orders.allowed_urls[0].url"), "/orders/{id}")
	b.enter(control("access_rights.orders.allowed_urls[0].methods"), "GET, POST")
	b.click(`[data-path="access_rights.orders.limit"] summary`)
	b.enter(control("access_rights.orders.limit.rate"), "2.5")
	b.enter(control("access_rights.orders.limit.per"), "10")
	b.click(`[data-path="meta_data"] > button`)
	b.enter(`[data-path="meta_data"] .row input`, "developer")
	b.enter(`[data-path="meta_data"] .row input:nth-of-type(2)`, "D-1")
	b.click(`details.group summary`)
	b.enter(control("monitor.trigger_limits"), "50, 80")
	b.look("new-filled")
	b.press("Create")
	b.awaitText("#notice", "Created.")
	b.awaitText("main h1", "alice")
	wantStored(t, s, "alice", map[string]string{
		"rate": "5", "per": "60", "quota_max": "1000", "quota_renewal_rate": "86400",
		"alias": `"Alice A."`, "tags": `["edge","edge-eu"]`, "org_id": `"default"`, "is_inactive": "false",
		"basic_auth_data": `{"hash_type":"bcrypt","password":"","user":"alice"}`,
		"meta_data":       `{"developer":"D-1"}`,
		"monitor":         `{"trigger_limits":[50,80]}`,
		"access_rights": `{"orders":{"allowance_scope":"","allowed_urls":[{"methods":["GET","POST"],"url":"/orders/{id}"}],"api_id":"orders","api_name":"Orders",` +
			`"limit":{"max_query_depth":0,"per":10,"quota_max":0,"quota_remaining":0,"quota_renewal_rate":0,"quota_renews":0,"rate":2.5,"smoothing":null,"throttle_interval":0,"throttle_retry_limit":0},"versions":["v2"]}}`,
	})
	if expires := stored(t, s, "alice")["expires"].(float64); expires < 1.7e9 {
		t.Errorf("expires = %v", expires)
	}
	if status := passes(t, s, "alice", "test123", "/rest"); status != 403 {
		t.Errorf("without a right: %d", status)
	}

	// An existing name is not overwritten.
	b.open("#/users/new", "New user")
	b.enter(control("username"), "alice")
	b.refusals(1)
	b.press("Create")
	b.awaitText(`[data-path="username"] .problem`, `User "alice" exists in org_id "default"`)
	wantStored(t, s, "alice", map[string]string{"alias": `"Alice A."`})
}

// A refusal of the server is shown beside the field that it names, in the server's words.
func pageProblems(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.open("#/users/new", "New user")
	b.enter(control("username"), "al:ice")
	b.refusals(1)
	b.press("Create")
	b.awaitText(`[data-path="username"] .problem`, `User name = "al:ice": must not contain a colon`)

	b.enter(control("username"), "bob")
	b.enter(control("rate"), "many")
	b.refusals(1)
	b.press("Create")
	b.awaitText(`[data-path="rate"] .problem`, `Requests = "many": must be a finite number, not a string`)
	if text := b.text(`[data-path="username"] .problem`); text != "" {
		t.Errorf("a corrected problem is still shown: %s", text)
	}

	b.enter(control("rate"), "1")
	b.enter(control("tags"), "good, "+strings.Repeat("x", 256))
	b.choose(`[data-path="access_rights"] > .control > select`, "orders")
	for range 3 {
		b.press("Add URL")
	}
	for i, url := range []string{"/a; rate = 5: ok", "/b", "/orders/[0-9"} {
		b.enter(control(fmt.Sprintf("access_rights.orders.allowed_urls[%d].url", i)), url)
		if i != 1 {
			b.enter(control(fmt.Sprintf("access_rights.orders.allowed_urls[%d].methods", i)), "get")
		}
	}
	b.refusals(1)
	b.press("Create")
	b.awaitText(`[data-path="access_rights.orders.allowed_urls[2].url"] .problem`, `URL pattern = "/orders/[0-9": `)
	b.awaitText(`[data-path="access_rights.orders.allowed_urls[1].methods"] .problem`, `must have at least one method, such as GET`)
	b.awaitText(`[data-path="tags"] .problem`, `Tags, entry 2 = "xxx`)
	b.awaitText(`[data-path="tags"] .problem`, `: must be at most 255 bytes, not 256`)
	if text := b.text(`[data-path="rate"] .problem`); text != "" {
		t.Errorf("a value that reads like a problem is taken for one: %s", text)
	}
	if got := eval[string](b, `[...document.querySelectorAll("[aria-invalid=true]")].map((c) => c.getAttribute("aria-label") ?? c.labels[0].innerText).join(", ")`); got != "Methods, URL pattern, Tags" && got != "Tags, Methods, URL pattern" {
		t.Errorf("marked as wrong: %s", got)
	}
	if got := b.focused(); got != "Methods" {
		t.Errorf("the focus is on %q, not on the first problem", got)
	}
	b.look("problems")

	// The page reports errors that it finds itself in the same way.
	b.click(`[data-path="meta_data"] > button`)
	b.enter(`[data-path="meta_data"] .row input`, "n")
	b.enter(`[data-path="meta_data"] .row input:nth-of-type(2)`, `1, "x": 2`)
	b.choose(`[data-path="meta_data"] .row select`, "json")
	b.press("Create")
	b.awaitText(`[data-path="meta_data.n"] .problem`, "Metadata n: must be JSON")
	if status, _, _ := s.Admin("GET", "/api/apis/keys/basic/bob", ""); status != 404 {
		t.Errorf("bob was written: %d", status)
	}
}

// dateMembers matches what every write changes.
var dateMembers = regexp.MustCompile(`"(date_created|last_updated)":"[^"]*",?`)

// keptMembers would be changed by JavaScript numbers or JSON.stringify.
const keptMembers = `"last_check":12345678901234567890e0,"allowance":1.50,"jwt_data":{"secret":""},"oauth_keys":{"a\u0062":"c"},"max_query_depth":9007199254740993`

// An edit changes what was edited and nothing else, byte for byte.
func pageEdit(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	kept := strings.Replace(keptMembers, `"last_check":12345678901234567890e0,`, "", 1)
	s.PutUser("carol", `{`+kept+`,"rate":2,"per":60,"quota_max":10,"expires":-1,"tags":["x"],"meta_data":{"big":9007199254740993,"text":"t"},
		"access_rights":{"rest":{"versions":[],"field_access_rights":[ ],"allowed_urls":[{"url":"/a","methods":["GET"]}]}},"basic_auth_data":{"password":"old"}}`)
	if status := passes(t, s, "carol", "old", "/a"); status != 200 {
		t.Fatalf("carol: %d", status)
	}
	_, before, _ := s.Admin("GET", "/api/apis/keys/basic/carol?raw=1", "")

	b.open("#/users/default/carol", "carol")
	b.awaitText(".limits", "1 of 2 left")
	b.enter(control("alias"), "Caro")
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	_, after, _ := s.Admin("GET", "/api/apis/keys/basic/carol?raw=1", "")
	without := func(text string) string {
		text = strings.Replace(text, `"alias":"Caro"`, `"alias":""`, 1)
		return dateMembers.ReplaceAllString(text, "")
	}
	if without(after) != without(before) {
		t.Errorf("more than the alias has changed:\n%s\nwas\n%s", after, before)
	}
	for _, member := range strings.Split(kept, ",") {
		if !strings.Contains(after, member) {
			t.Errorf("%s is not as it was: %s", member, after)
		}
	}
	// Used rate and quota are kept, and then reset.
	b.awaitText(".limits", "1 of 2 left")
	b.awaitText(".limits", "9 of 10 left")
	b.enter(control("basic_auth_data.password"), "new")
	b.click(".savebar input")
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	b.awaitText(".limits", "2 of 2 left")
	b.awaitText(".limits", "10 of 10 left")
	if old, new := passes(t, s, "carol", "old", "/a"), passes(t, s, "carol", "new", "/a"); old != 401 || new != 200 {
		t.Errorf("old password: %d, new one: %d", old, new)
	}

	// Rows are added and removed, and JSON stays JSON.
	b.enter(`[data-path="meta_data.text"] input:nth-of-type(2)`, "T")
	b.click(`[data-path="access_rights.rest.allowed_urls[0].url"] ~ button`)
	b.press("never")
	b.click(control("is_inactive"))
	b.press("Save")
	b.awaitText(".head .badge", "inactive")
	_, after, _ = s.Admin("GET", "/api/apis/keys/basic/carol?raw=1", "")
	for _, want := range []string{`"meta_data":{"big":9007199254740993,"text":"T"}`, `"is_inactive":true`, `"expires":-1`, `"field_access_rights":[]`, `"allowed_urls":[]`} {
		if !strings.Contains(after, want) {
			t.Errorf("%s is missing in %s", want, after)
		}
	}

	// If another write came first, the page says so before it overwrites anything.
	b.open("#/users/default/carol", "carol")
	s.PutUser("carol", `{"alias":"theirs","basic_auth_data":{"password":"new"}}`)
	b.enter(control("alias"), "mine")
	b.press("Save")
	b.awaitText(".editor > .message", "This user has changed since you opened it.")
	wantStored(t, s, "carol", map[string]string{"alias": `"theirs"`})
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	wantStored(t, s, "carol", map[string]string{"alias": `"mine"`})
}

// A user can be edited as JSON; what is not changed stays byte for byte, and both ways of editing
// agree.
func pageJSON(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	s.PutUser("dora", `{"jwt_data":{ "secret" : "" },"max_query_depth":9007199254740993,"alias":"Dora","rate":1,"per":60,"basic_auth_data":{"password":"pw"}}`)
	b.open("#/users/default/dora", "dora")
	b.enter(control("alias"), "Dora D.")
	b.press("JSON")
	b.awaitText(".editor", "Everything that is stored")
	b.look("json")
	text := eval[string](b, `document.querySelector("textarea").value`)
	if !strings.Contains(text, `"alias": "Dora D."`) || !strings.Contains(text, `"max_query_depth": 9007199254740993`) {
		t.Fatalf("the JSON is not that of the form: %s", text)
	}
	put := func(old, new string) {
		t.Helper()
		b.do(inPage(fmt.Sprintf(`{ const area = document.querySelector("textarea"); area.value = area.value.replace(%s, %s) }`, quote(old), quote(new))))
	}
	put(`"rate": 1`, `"rate": 3 oops`)
	b.press("Form")
	b.awaitText(".editor > .message", "JSON")
	put(`3 oops`, `3`)
	b.press("Form")
	b.await(fmt.Sprintf(`document.querySelector(%s)?.value === "3"`, quote(control("rate"))))
	b.press("JSON")
	put(`"smoothing": null`, `"smoothing": {"enabled": true, "threshold": 0, "trigger": 0.5, "step": 1, "delay": 1}`)
	b.refusals(1)
	b.press("Save")
	b.awaitText(".editor > .message", "smoothing.threshold = 0: ")
	put(`"threshold": 0`, `"threshold": 1`)
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	_, answer, _ := s.Admin("GET", "/api/apis/keys/basic/dora?raw=1", "")
	for _, want := range []string{`"jwt_data":{"secret":""}`, `"max_query_depth":9007199254740993`, `"rate":3`, `"alias":"Dora D."`, `"threshold":1`} {
		if !strings.Contains(answer, want) {
			t.Errorf("%s is missing in %s", want, answer)
		}
	}
}

// Members of an object keep their texts, whatever they contain.
func pageTexts(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.do(chromedp.Evaluate[chromedp.Void](`import("/page/json.js").then((module) => { window.json = module })`, chromedp.EvalAwaitPromise))
	texts := []string{
		`0`, `-0`, `1.50`, `1E400`, `9007199254740993`, `true`, `null`, `""`, `"\\"`, `"\""`, `"}"`, `"],{\"x\":"`, `"\u0061\/"`,
		`[ ]`, `{ }`, `[1 , {"a":[ "]" ]}]`, `{"a":{"b":"}"} , "c":[[[]]]}`, `"🔑"`, strings.Repeat("[", 500) + strings.Repeat("]", 500),
	}
	for _, text := range texts {
		for _, form := range []string{`{"before":1,"m":%s,"after":2}`, " { \"before\" : 1 ,\n\t\"m\" : %s ,\r\n\"after\":2 } ", `{"before":1,"after":2,"m":%s}`} {
			got := eval[string](b, fmt.Sprintf(`(() => { const raw = new json.RawObject(%s); raw.set("before", 3); return raw.text("m") + "|" + raw.toString() })()`, quote(fmt.Sprintf(form, text))))
			if want := text + `|{"before":3,`; !strings.HasPrefix(got, want) || !strings.Contains(got, `"m":`+text) || !json.Valid([]byte(strings.TrimPrefix(got, text+"|"))) {
				t.Errorf("%s has become %s", text, got)
			}
		}
		// Shown and not edited, or edited beside it.
		object := `{"m":` + text + `,"n":1}`
		if got := eval[string](b, fmt.Sprintf(`json.edited(%s, json.pretty(%[1]s).replace('"n": 1', '"n": 2'))`, quote(object))); got != `{"m":`+text+`,"n":2}` {
			t.Errorf("%s has become %s when something else was edited", object, got)
		}
	}
	for _, text := range []string{``, `null`, `[]`, `"x"`, `{`, `{"a":1,"a":2}`, `{"a":1} x`, `{"a":01}`, `{a:1}`} {
		if !eval[bool](b, fmt.Sprintf(`(() => { try { new json.RawObject(%s); return false } catch { return true } })()`, quote(text))) {
			t.Errorf("%s is taken for an object", text)
		}
	}
}

// The page follows what is left of rate and quota, and can reset it.
func pageLimits(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	s.PutUser("erin", `{"alias":"Erin at the edge","rate":5,"per":3600,"quota_max":20,"quota_renewal_rate":86400,"basic_auth_data":{"password":"pw"},
		"access_rights":{"rest":{},"orders":{"limit":{"rate":3,"per":3600},"endpoints":[{"path":"/x","methods":[{"name":"GET","limit":{"rate":9,"per":60}}]}]}}}`)
	b.open("#/users/default/erin", "erin")
	b.awaitText(".limits", "period of 1 day, not started")
	for range 4 {
		if status := passes(t, s, "erin", "pw", "/"); status != 200 {
			t.Fatalf("erin: %d", status)
		}
	}
	if status := passes(t, s, "erin", "pw", "/orders"); status != 200 {
		t.Fatalf("erin: %d", status)
	}
	b.awaitText(".limits", "1 of 5 left")
	b.awaitText(".limits", "16 of 20 left")
	b.awaitText(".limits", "renews in 23 hours")
	b.awaitText(".limits", "Rate for API orders\n2 of 3 left")
	b.awaitText(".limits", "Rate of GET /x\n9 of 9 left")
	if now := eval[string](b, `document.querySelector("[role=meter]").getAttribute("aria-valuenow")`); now != "1" {
		t.Errorf("a screen reader is told that %s are left", now)
	}
	b.size(1000, 620)
	b.look("user")
	b.size(1200, 900)
	b.press("Reset quota and rate")
	b.awaitText("#notice", "Quota and rate were reset.")
	b.awaitText(".limits", "5 of 5 left")
	b.awaitText(".limits", "20 of 20 left")
}

func pageDelete(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.open("#/users/default/user59", "user59")
	b.press("Delete")
	b.awaitText("dialog", "Delete the user user59?")
	b.look("delete")
	b.press("Cancel")
	b.await(`!document.querySelector("dialog")`)
	b.press("Delete")
	b.do(chromedp.KeyEvent(kb.Enter)) // Enter does not confirm
	b.await(`!document.querySelector("dialog")`)
	wantStored(t, s, "user59", map[string]string{"rate": "60"})
	b.press("Delete")
	b.click("dialog .danger")
	b.awaitText("#notice", "Deleted: user59")
	b.awaitText("main h1", "Users")
	if status, _, _ := s.Admin("GET", "/api/apis/keys/basic/user59", ""); status != 404 {
		t.Errorf("user59 after its deletion: %d", status)
	}
}

// The page generates a password, shows a signing key once, and sets a time with a button.
func pageCredentials(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	s.PutUser("ida", sidekeytest.Session("old"))
	b.open("#/users/default/ida", "ida")
	const password = `document.querySelector('[data-path="basic_auth_data.password"] input')`
	b.press("Generate")
	generated := eval[string](b, password+".value")
	if kind := eval[string](b, password+".type"); len(generated) != 20 || kind != "text" {
		t.Errorf("generated %d characters, shown as %s", len(generated), kind)
	}
	b.press("Show")
	if kind := eval[string](b, password+".type"); kind != "password" {
		t.Errorf("after a second look it is shown as %s", kind)
	}
	for label, days := range map[string]float64{"+1 day": 1, "+30 days": 30} {
		b.press(label)
		if got := eval[float64](b, `(new Date(document.querySelector('[data-path="expires"] input').value) - Date.now()) / 86400000`); got < days-0.01 || got > days+0.01 {
			t.Errorf("%s sets it to %v days", label, got)
		}
	}
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	if old, new := passes(t, s, "ida", "old", "/"), passes(t, s, "ida", generated, "/"); old != 401 || new != 200 {
		t.Errorf("old password: %d, generated one: %d", old, new)
	}
	b.press("explain")
	b.awaitText("main h1", "Explain")
	if got := eval[string](b, `document.querySelector('[data-path="user"] input').value + " of " + document.querySelector('[data-path="org"] input').value`); got != "ida of default" {
		t.Errorf("explain is asked about %s", got)
	}
	b.open("#/users/default/ida", "ida")
	b.click(control("hmac_enabled"))
	b.press("Save")
	b.awaitText("#notice", "Signing key, shown only once: ")
	if key := b.text("#notice .secret"); len(key) != 26 {
		t.Errorf("the signing key is %q", key)
	}
	wantStored(t, s, "ida", map[string]string{"hmac_enabled": "true", "hmac_string": `""`})
}

// Names that a path or a key id could confuse with something else are one user each.
func pageNames(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	for _, name := range []string{"..", "a/b?c#d", "50% ü", `quo"te\`, "default"} {
		b.open("#/users/new", "New user")
		b.enter(control("username"), name)
		b.enter(control("basic_auth_data.password"), "pw")
		b.enter(control("rate"), "7")
		b.enter(control("per"), "60")
		b.press("Create")
		b.awaitText("#notice", "Created.")
		b.awaitText(".limits", "7 of 7 left")
		if status := passes(t, s, name, "pw", "/"); status != 200 {
			t.Errorf("%s: %d", name, status)
		}
		b.press("Reset quota and rate")
		b.awaitText("#notice", "were reset")
		b.enter(control("alias"), "changed")
		b.press("Save")
		b.awaitText("#notice", "Saved.")
		b.press("Delete")
		b.click("dialog .danger")
		b.awaitText("#notice", "Deleted: "+name)
		if status := passes(t, s, name, "pw", "/"); status != 401 {
			t.Errorf("%s after its deletion: %d", name, status)
		}
	}
}
