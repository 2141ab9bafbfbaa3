package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const pageConfig = listeners + `
check.meta_headers = { developer = "X-Developer" }

[[apis]]
id = "orders"
name = "Orders"
listen_path = "/orders"
versions = ["v1", "v2"]

[[apis]]
id = "rest"
name = "Everything else"
listen_path = "/"

[[policies]]
id = "bronze"
name = "Bronze"
rate = 10.0
per = 60.0
quota_max = 1000
quota_renewal_rate = 86400
access_rights = { rest = {} }
`

// Everything that the web page offers is done once, in a real browser and on the real
// program. What it writes is looked up over the API, and stored text stays text (T-74).
func TestPage(t *testing.T) {
	s := startSidekey(t, pageConfig)
	var fake fakeAnswers
	b := startBrowser(t, s, func(w http.ResponseWriter, r *http.Request) bool { return fake.answer(w, r, s.Secret) })
	for i := range 60 {
		s.putUser(fmt.Sprintf("user%02d", i), fmt.Sprintf(`{"rate":%d,"per":60,"alias":"Person %d","tags":["edge","team-%d"]}`, i+1, i, i%5))
	}
	steps := []struct {
		name string
		do   func(*testing.T, *browser, *sidekey)
	}{
		{"secret", pageSecret},
		{"list", pageList},
		{"create", pageCreate},
		{"problems", pageProblems},
		{"edit", pageEdit},
		{"json", pageJSON},
		{"texts", pageTexts},
		{"limits", pageLimits},
		{"policies", pagePolicies},
		{"delete", pageDelete},
		{"names", pageNames},
		{"inert", pageInert},
		{"apis", pageAPIs},
		{"explain", func(t *testing.T, b *browser, _ *sidekey) { pageExplain(t, b, &fake) }},
		{"decisions", pageDecisions},
		{"keyboard", pageKeyboard},
		{"phone", pagePhone},
		{"forget", pageForget},
	}
	for _, step := range steps {
		passed := t.Run(step.name, func(t *testing.T) {
			b.t = t
			step.do(t, b, s)
			b.check()
			if t.Failed() {
				b.failed()
			}
		})
		b.t = t
		if !passed {
			return // what follows builds on it
		}
	}
}

// fakeAnswers are given in the place of the program's where a test could not have them
// otherwise, or not in a moment.
type fakeAnswers struct {
	asked     atomic.Int64 // for decisions
	searched  atomic.Int64 // for somebody among many
	explained atomic.Value // the body
}

func (f *fakeAnswers) answer(w http.ResponseWriter, r *http.Request, secret string) bool {
	switch {
	case r.Header.Get("Authorization") != secret:
		return false
	case r.URL.Path == "/api/decisions":
		// Two seconds from one answer to the next, so that the picture is always the same.
		n := f.asked.Add(1)
		fmt.Fprintf(w, `{"at": %d, "decisions": {"pass": %d, "bad_credentials": %d, "rate": %d, "busy": 0, "a_later_reason": %d}}`,
			1_800_000_000_000+2000*n, 1000+80*n, 6*n, 10*n, 4*n)
	case r.URL.Path == "/api/users/search" && r.FormValue("q") == "needle":
		if f.searched.Add(1) == 10 {
			io.WriteString(w, `{"users":[{"org_id":"default","username":"needle in the hay","key_hash":"","state":"active","session":{}}],"next":null,"looked_at":10000}`)
		} else {
			io.WriteString(w, `{"users":[],"next":"x","looked_at":10000}`)
		}
	case r.URL.Path == "/api/explain":
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), "alice") {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"Status":"Error","Message":"Not found","Meta":null}`)
			return true
		}
		f.explained.Store(string(body))
		io.WriteString(w, `{"passed": false, "reason": "rate", "status": 429, "message": "Rate Limit Exceeded", "steps": [
			{"check": "bad_credentials", "passed": true, "value": "the password is right"},
			{"check": "rate", "passed": false, "value": "2 of 2 per 10s <b>", "hint": "1.5 s until the next"}]}`)
	default:
		return false
	}
	return true
}

// The secret is asked for, checked, and kept in the tab alone.
func pageSecret(t *testing.T, b *browser, s *sidekey) {
	b.do(chromedp.Navigate(b.url), chromedp.WaitVisible(chromedp.CSS("#secret")))
	b.look("secret")
	b.refusals(1)
	b.enter("#secret", "wrong")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.awaitText("#secret-problem", "Not authorised")
	if kept := eval[int](b, "sessionStorage.length"); kept != 0 {
		t.Errorf("%d things are kept after a wrong secret", kept)
	}
	b.enter("#secret", s.Secret)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.awaitText("main h1", "Users")
	if got := eval[string](b, `JSON.stringify([location.href.includes(sessionStorage.getItem("sidekey.secret")), localStorage.length, document.cookie, document.body.outerHTML.includes(sessionStorage.getItem("sidekey.secret"))])`); got != `[false,0,"",false]` {
		t.Errorf("the secret is in the address, in storage, in a cookie or in the page: %s", got)
	}
	b.awaitText("#users", "user00")
}

// Users are found as somebody types, and shown a page at a time.
func pageList(t *testing.T, b *browser, s *sidekey) {
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
	// Among many, it is not gone on searching unasked.
	b.enter("#search", "needle")
	b.awaitText("#search-status", "0 users among the 30,000 looked at so far")
	b.press("Search on")
	shows("1 user", "needle in the hay")
	b.enter("#search", "nobody")
	b.awaitText("#users", "Nobody is found.")
	b.enter("#search", "user05")
	shows("1 user", "user05")
	b.click("#users a")
	b.awaitText("main h1", "user05")
	b.do(chromedp.NavigateBack())
	b.awaitText("main h1", "Users")
	shows("1 user", "user05") // as it was left
	b.clearSearch()
	shows("25 users", names(0, 24))
}

// stored is a user as the store has it, without what changes from run to run.
func stored(t *testing.T, s *sidekey, user string) map[string]any {
	t.Helper()
	status, answer, _ := s.admin("GET", "/api/apis/keys/basic/"+user+"?raw=1", "")
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
func wantStored(t *testing.T, s *sidekey, user string, want map[string]string) {
	t.Helper()
	session := stored(t, s, user)
	for member, text := range want {
		if got, _ := json.Marshal(session[member]); string(got) != text {
			t.Errorf("%s.%s = %s, want %s", user, member, got, text)
		}
	}
}

// passes reports the status that a request of a user gets.
func passes(t *testing.T, s *sidekey, user, password, path string) int {
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

// A user is made with everything that the form has.
func pageCreate(t *testing.T, b *browser, s *sidekey) {
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

	// A name that is taken is not written over.
	b.open("#/users/new", "New user")
	b.enter(control("username"), "alice")
	b.refusals(1)
	b.press("Create")
	b.awaitText(`[data-path="username"] .problem`, `User "alice" exists in org_id "default"`)
	wantStored(t, s, "alice", map[string]string{"alias": `"Alice A."`})
}

// What the server refuses stands beside the field that it names, in the server's words.
func pageProblems(t *testing.T, b *browser, s *sidekey) {
	b.open("#/users/new", "New user")
	b.enter(control("username"), "al:ice")
	b.refusals(1)
	b.press("Create")
	b.awaitText(`[data-path="username"] .problem`, `username = "al:ice": a name without a colon is wanted`)

	b.enter(control("username"), "bob")
	b.enter(control("rate"), "many")
	b.refusals(1)
	b.press("Create")
	b.awaitText(`[data-path="rate"] .problem`, `rate = "many": a finite number is wanted, not a string`)
	if text := b.text(`[data-path="username"] .problem`); text != "" {
		t.Errorf("a problem that is gone is still shown: %s", text)
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
	b.awaitText(`[data-path="access_rights.orders.allowed_urls[2].url"] .problem`, `access_rights.orders.allowed_urls[2].url = "/orders/[0-9": `)
	b.awaitText(`[data-path="access_rights.orders.allowed_urls[1].methods"] .problem`, `at least one method is wanted, as GET`)
	b.awaitText(`[data-path="tags"] .problem`, `: at most 255 bytes are wanted, not 256`)
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

	// What needs no server is refused the same way.
	b.click(`[data-path="meta_data"] > button`)
	b.enter(`[data-path="meta_data"] .row input`, "n")
	b.enter(`[data-path="meta_data"] .row input:nth-of-type(2)`, `1, "x": 2`)
	b.choose(`[data-path="meta_data"] .row select`, "json")
	b.press("Create")
	b.awaitText(`[data-path="meta_data.n"] .problem`, "meta_data.n: JSON is wanted")
	if status, _, _ := s.admin("GET", "/api/apis/keys/basic/bob", ""); status != 404 {
		t.Errorf("bob was written: %d", status)
	}
}

// dateMembers are what every write changes.
var dateMembers = regexp.MustCompile(`"(date_created|last_updated)":"[^"]*",?`)

// keptMembers are as no JavaScript number or JSON.stringify would leave them.
const keptMembers = `"last_check":12345678901234567890e0,"allowance":1.50,"jwt_data":{ "secret" : "" },"oauth_keys":{"a\u0062":"c"},"max_query_depth":9007199254740993`

// An edit changes what was edited and nothing else, byte for byte.
func pageEdit(t *testing.T, b *browser, s *sidekey) {
	kept := strings.Replace(keptMembers, `"last_check":12345678901234567890e0,`, "", 1)
	s.putUser("carol", `{`+kept+`,"rate":2,"per":60,"quota_max":10,"expires":-1,"tags":["x"],"meta_data":{"big":9007199254740993,"text":"t"},
		"access_rights":{"rest":{"versions":[],"field_access_rights":[ ],"allowed_urls":[{"url":"/a","methods":["GET"]}]}},"basic_auth_data":{"password":"old"}}`)
	if status := passes(t, s, "carol", "old", "/a"); status != 200 {
		t.Fatalf("carol: %d", status)
	}
	_, before, _ := s.admin("GET", "/api/apis/keys/basic/carol?raw=1", "")

	b.open("#/users/default/carol", "carol")
	b.awaitText(".limits", "1 of 2 left")
	b.enter(control("alias"), "Caro")
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	_, after, _ := s.admin("GET", "/api/apis/keys/basic/carol?raw=1", "")
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
	// Used rate and quota were kept, and then not.
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

	// Rows are added and taken away, and JSON stays JSON.
	b.enter(`[data-path="meta_data.text"] input:nth-of-type(2)`, "T")
	b.click(`[data-path="access_rights.rest.allowed_urls[0].url"] ~ button`)
	b.press("never")
	b.click(control("is_inactive"))
	b.press("Save")
	b.awaitText(".head .badge", "inactive")
	_, after, _ = s.admin("GET", "/api/apis/keys/basic/carol?raw=1", "")
	for _, want := range []string{`"meta_data":{"big":9007199254740993,"text":"T"}`, `"is_inactive":true`, `"expires":-1`, `"field_access_rights":[ ]`, `"allowed_urls":[]`} {
		if !strings.Contains(after, want) {
			t.Errorf("%s is missing in %s", want, after)
		}
	}

	// Who was overtaken is told so before anything is overwritten.
	b.open("#/users/default/carol", "carol")
	s.putUser("carol", `{"alias":"meanwhile","basic_auth_data":{"password":"new"}}`)
	b.enter(control("alias"), "mine")
	b.press("Save")
	b.awaitText(".editor > .message", "Somebody has changed this user meanwhile.")
	wantStored(t, s, "carol", map[string]string{"alias": `"meanwhile"`})
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	wantStored(t, s, "carol", map[string]string{"alias": `"mine"`})
}

// All of a user can be edited as JSON; what is not changed stays byte for byte, and the
// two ways of editing agree.
func pageJSON(t *testing.T, b *browser, s *sidekey) {
	s.putUser("dora", `{"jwt_data":{ "secret" : "" },"max_query_depth":9007199254740993,"alias":"Dora","rate":1,"per":60,"basic_auth_data":{"password":"pw"}}`)
	b.open("#/users/default/dora", "dora")
	b.enter(control("alias"), "Dora D.")
	b.press("JSON")
	b.awaitText(".editor", "All that is stored")
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
	_, answer, _ := s.admin("GET", "/api/apis/keys/basic/dora?raw=1", "")
	for _, want := range []string{`"jwt_data":{ "secret" : "" }`, `"max_query_depth":9007199254740993`, `"rate":3`, `"alias":"Dora D."`, `"threshold":1`} {
		if !strings.Contains(answer, want) {
			t.Errorf("%s is missing in %s", want, answer)
		}
	}
}

// Members of an object keep their texts, whatever is in them.
func pageTexts(t *testing.T, b *browser, s *sidekey) {
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
		// Shown and not touched, or touched beside it.
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

// What is left of rate and quota is followed, and given back.
func pageLimits(t *testing.T, b *browser, s *sidekey) {
	s.putUser("erin", `{"alias":"Erin at the edge","rate":5,"per":3600,"quota_max":20,"quota_renewal_rate":86400,"basic_auth_data":{"password":"pw"},
		"access_rights":{"rest":{},"orders":{"limit":{"rate":3,"per":3600},"endpoints":[{"path":"/x","methods":[{"name":"GET","limit":{"rate":9,"per":60}}]}]}}}`)
	b.open("#/users/default/erin", "erin")
	b.awaitText(".limits", "period of 1 day, not begun")
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
	b.awaitText(".limits", "renews in 23 h")
	b.awaitText(".limits", "Rate for API orders\n2 of 3 left")
	b.awaitText(".limits", "Rate of GET /x\n9 of 9 left")
	if now := eval[string](b, `document.querySelector("[role=meter]").getAttribute("aria-valuenow")`); now != "1" {
		t.Errorf("a screen reader is told that %s are left", now)
	}
	b.size(1000, 620)
	b.look("user")
	b.size(1200, 900)
	b.press("Reset quota and rate")
	b.awaitText("#notice", "Quota and rate were given back.")
	b.awaitText(".limits", "5 of 5 left")
	b.awaitText(".limits", "20 of 20 left")
}

// Policies are made, given to a user, changed, and deleted once nobody is hurt unasked.
func pagePolicies(t *testing.T, b *browser, s *sidekey) {
	b.open("#/policies/new", "New policy")
	b.enter(control("id"), "gold")
	b.enter(control("name"), "Gold")
	b.enter(control("rate"), "100")
	b.enter(control("per"), "60")
	b.enter(control("tags"), "paying")
	b.choose(`[data-path="access_rights"] > .control > select`, "rest")
	b.press("Create")
	b.awaitText("#notice", "Created.")
	b.awaitText("main h1", "Gold")
	b.enter(control("quota_max"), "5000")
	b.choose(control("quota_renewal_rate"), "3600")
	b.press("Save")
	b.awaitText("#notice", "it acts on the next request")
	_, policy, _ := s.admin("GET", "/api/portal/policies/gold", "")
	for _, want := range []string{`"rate":100`, `"quota_max":5000`, `"quota_renewal_rate":3600`, `"tags":["paying"]`, `"access_rights":{"rest":`} {
		if !strings.Contains(policy, want) {
			t.Errorf("%s is missing in %s", want, policy)
		}
	}
	b.click(control("partitions.rate_limit"))
	b.click(control("partitions.per_api"))
	b.refusals(1)
	b.press("Save")
	b.awaitText(`[data-path="partitions.per_api"] .problem`, "per_api alone is wanted")

	// A user gets it, and the page tells what it makes of the user.
	b.open("#/users/default/user01", "user01")
	b.choose(`[data-path="apply_policies"] select`, "gold")
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	b.awaitText(".limits", "100 of 100 left")
	b.click(".inforce summary")
	b.awaitText(".inforce", "100 per minute")
	b.awaitText(".inforce", "5,000 per hour")
	b.awaitText(".inforce", "paying")
	b.look("inforce")
	wantStored(t, s, "user01", map[string]string{"apply_policies": `["gold"]`, "rate": "2", "tags": `["edge","team-1"]`}) // its own stay its own

	b.open("#/policies", "Policies")
	b.awaitText("main table", "Bronze bronze")
	b.awaitText("main table", "100 per minute")
	b.look("policies")
	b.click(`a[href="#/policies/of/bronze"]`)
	b.awaitText("main .message", "stands in the configuration file")
	if disabled := eval[bool](b, `document.querySelector(".savebar").hidden && document.querySelector(".editor input").matches(":disabled")`); !disabled {
		t.Error("a policy of the configuration file can be edited")
	}
	b.look("policy")

	b.open("#/policies/of/gold", "Gold")
	b.press("Delete")
	b.awaitText("dialog", "Delete the policy gold?")
	b.refusals(1)
	b.click("dialog .danger")
	b.awaitText("dialog", `1 users have policy "gold" and would be refused without it. Delete it all the same?`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.await(`!document.querySelector("dialog")`)
	b.open("#/users/default/user01", "user01")
	b.click(`[aria-label="Remove gold"]`)
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	wantStored(t, s, "user01", map[string]string{"apply_policies": `[]`, "apply_policy_id": `""`})
	b.open("#/policies/of/gold", "Gold")
	b.press("Delete")
	b.click("dialog .danger")
	b.awaitText("#notice", "Deleted: gold")
	if status, _, _ := s.admin("GET", "/api/portal/policies/gold", ""); status != 404 {
		t.Errorf("gold after its deletion: %d", status)
	}
}

func pageDelete(t *testing.T, b *browser, s *sidekey) {
	b.open("#/users/default/user59", "user59")
	b.press("Delete")
	b.awaitText("dialog", "Delete the user user59?")
	b.look("delete")
	b.press("Cancel")
	b.await(`!document.querySelector("dialog")`)
	b.press("Delete")
	b.do(chromedp.KeyEvent(kb.Enter)) // is no yes
	b.await(`!document.querySelector("dialog")`)
	wantStored(t, s, "user59", map[string]string{"rate": "60"})
	b.press("Delete")
	b.click("dialog .danger")
	b.awaitText("#notice", "Deleted: user59")
	b.awaitText("main h1", "Users")
	if status, _, _ := s.admin("GET", "/api/apis/keys/basic/user59", ""); status != 404 {
		t.Errorf("user59 after its deletion: %d", status)
	}
}

// Names that a path or a key id could take for something else are one user each.
func pageNames(t *testing.T, b *browser, s *sidekey) {
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
		b.awaitText("#notice", "given back")
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

// T-74: whatever is stored comes back as text, and cannot change how the text around it
// is read.
func pageInert(t *testing.T, b *browser, s *sidekey) {
	const attack = `"><img src=x onerror=alert(1)><script>alert(2)</script></script>javascript:alert(3)`
	session, err := json.Marshal(map[string]any{
		"alias": attack, "tags": []string{"<b>tag</b>", "javascript:alert(4)"}, "rate": 1, "per": 60,
		"meta_data":       map[string]any{attack: "</textarea><script>alert(5)</script>", "rtl": "abc\u202edef", "line": "a\u2028b", "object": map[string]any{"x": attack}},
		"basic_auth_data": map[string]any{"password": "pw"},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := "<img src=x onerror=alert(0)>"
	s.putUser("%3Cimg%20src%3Dx%20onerror%3Dalert%280%29%3E", string(session))
	if status, answer, _ := s.admin("POST", "/api/portal/policies", fmt.Sprintf(`{"id":"<i>evil</i>","name":%s,"tags":["<u>"],"meta_data":{"k":"\u202e"},"access_rights":{"rest":{"api_name":%[1]s}}}`, quote(attack))); status != 200 && status != 400 {
		t.Fatalf("%d %s", status, answer)
	}
	s.admin("POST", "/api/portal/policies", fmt.Sprintf(`{"id":"evil","name":%s,"tags":["<u>"],"meta_data":{"k":"\u202e"},"access_rights":{"rest":{"api_name":%[1]s}}}`, quote(attack)))

	inert := func(where string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			b.awaitText("main", text)
		}
		if got := eval[string](b, `[...document.querySelectorAll("main :is(img, script, b, u, i, iframe), main [onerror], main a[href^=javascript]")].map((e) => e.outerHTML).join()`); got != "" {
			t.Errorf("%s: what was stored has become %s", where, got)
		}
		if got := eval[bool](b, `/[\u202a-\u202e\u2066-\u2069\u2028]/.test(document.querySelector("main").innerText + [...document.querySelectorAll("main :is(input, textarea)")].map((e) => e.value).join())`); got {
			t.Errorf("%s: a character that misleads is shown as it is", where)
		}
	}
	b.open("#/users", "Users")
	b.enter("#search", "<img")
	inert("the list", name, attack, "<b>tag</b>")
	b.click("#users a")
	b.awaitText("main h1", name)
	inert("the user", "Metadata")
	b.look("inert")
	if got := eval[string](b, `[...document.querySelectorAll("[data-path=meta_data] .row")].map((row) => [...row.querySelectorAll("input, select")].map((c) => c.value).join("|")).join("\n")`); !strings.Contains(got, `rtl|"abc\u202edef"|json`) || !strings.Contains(got, `line|"a\u2028b"|json`) {
		t.Errorf("metadata: %s", got)
	}
	b.press("JSON")
	inert("the JSON")
	b.press("Form")
	b.enter(control("rate"), "2")
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	if text, _ := json.Marshal(stored(t, s, "%3Cimg%20src%3Dx%20onerror%3Dalert%280%29%3E")["meta_data"]); !strings.Contains(string(text), "</textarea>") && !strings.Contains(string(text), `\u003c/textarea\u003e`) {
		t.Errorf("meta_data after an edit: %s", text)
	}
	b.press("Delete")
	b.click("dialog .danger")
	b.awaitText("#notice", "Deleted: "+name)
	b.open("#/policies", "Policies")
	inert("the policies", attack, "<u>")
	b.open("#/policies/of/evil", attack)
	inert("the policy", "Metadata")
	b.open("#/users", "Users")
	b.clearSearch()
}

func pageAPIs(t *testing.T, b *browser, s *sidekey) {
	b.open("#/apis", "APIs")
	b.awaitText("main table", "Orders orders in default")
	b.awaitText("main table", "v1, v2")
	b.look("apis")
}

func pageExplain(t *testing.T, b *browser, fake *fakeAnswers) {
	b.open("#/explain", "Explain")
	b.refusals(1)
	b.click(".explain .primary")
	b.awaitText("main", "Explain is not available in this version of sidekey.")
	b.enter(control("user"), "alice")
	b.enter(control("password"), "test123")
	b.choose(control("api"), "orders")
	b.enter(control("path"), "/orders/7")
	b.enter(control("headers"), "X-Api-Version: v2")
	b.click(".explain .primary")
	b.awaitText(".verdict", "Refused with 429: Rate Limit Exceeded (rate)")
	b.awaitText("main table", "2 of 2 per 10s <b>")
	b.awaitText("main table", "✗ refused")
	want := `{"user":"alice","password":"test123","org":"","api":"orders","method":"GET","host":"","path":"/orders/7","dialect":"envoy","headers":{"X-Api-Version":"v2"}}`
	if got := fake.explained.Load(); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	b.look("explain")
}

// The picture shows what happened between two answers, and the table the same in numbers.
func pageDecisions(t *testing.T, b *browser, s *sidekey) {
	b.open("#/decisions", "Decisions")
	b.await(`document.querySelectorAll(".decisions rect").length >= 8`)
	b.awaitText("main table", "a_later_reason")
	if text := b.text("main table"); strings.Contains(text, "busy") {
		t.Errorf("a reason that never was is shown: %s", text)
	}
	b.awaitText(".decisions .scale", "50 per second")
	// 40, 3, 5 and 2 per second, one upon another.
	heights := eval[string](b, `[...document.querySelectorAll(".decisions rect")].slice(0, 4).map((r) => r.getAttribute("class") + " " + r.getAttribute("height")).join(", ")`)
	if want := "kind-pass 128.00, kind-who 9.60, kind-much 16.00, kind-load 6.40"; heights != want {
		t.Errorf("bars: %s, want %s", heights, want)
	}
	if label := eval[string](b, `document.querySelector("#pulse").getAttribute("aria-label")`); !strings.Contains(label, "decisions in the last minute") {
		t.Errorf("the picture in the frame says %q", label)
	}
	b.look("decisions")
}

// Everything is reached without a mouse.
func pageKeyboard(t *testing.T, b *browser, s *sidekey) {
	b.open("#/apis", "APIs")
	b.do(inPage(`document.activeElement.blur(); document.querySelector(".skip").focus()`))
	tab := func(want string) {
		t.Helper()
		b.do(chromedp.KeyEvent(kb.Tab))
		if got := b.focused(); got != want {
			t.Errorf("the focus is on %q, want %q", got, want)
		}
		if outline := eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`); outline != "solid" {
			t.Errorf("the focus on %q cannot be seen", want)
		}
	}
	tab("sidekey")
	tab("Users")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.awaitText("main h1", "Users")
	b.awaitText("#users", "user00")
	b.do(inPage(`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true }))`))
	if got := b.focused(); got != "Search" {
		t.Errorf("after /: the focus is on %q", got)
	}
	b.do(chromedp.KeyEvent("user42"))
	b.await(`document.querySelector("#search-status").innerText === "1 user"`)
	tab("user42")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.awaitText("main h1", "user42")
	b.awaitText(".limits", "left")
	for _, want := range []string{"Delete", "explain", "Reset quota and rate", "Form", "JSON", "Password", "Show", "Generate", "Alias"} {
		tab(want)
	}
	b.do(chromedp.KeyEvent("by hand"), chromedp.KeyEvent(kb.Enter))
	b.awaitText("#notice", "Saved.")
	wantStored(t, s, "user42", map[string]string{"alias": `"by hand"`})
	if unnamed := eval[string](b, `[...document.querySelectorAll("button, input, select, textarea, a")].filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.innerText.trim())).map((e) => e.outerHTML).join("\n")`); unnamed != "" {
		t.Errorf("controls without a name: %s", unnamed)
	}
	b.do(inPage(`document.querySelector("#search") ?? (location.hash = "#/users")`))
	b.awaitText("main h1", "Users")
	b.clearSearch()
}

// On a phone nothing is cut off, and the dark theme is one.
func pagePhone(t *testing.T, b *browser, s *sidekey) {
	s.putUser("frank", `{"alias":"A name that is rather long for a narrow screen","tags":["averylongtagwithoutanyplacetobreak-averylongtagwithoutanyplacetobreak"],
		"rate":1,"per":60,"access_rights":{"orders":{"allowed_urls":[{"url":"/orders/{id}","methods":["GET"]}]}},"meta_data":{"a":"b"}}`)
	b.size(360, 740)
	b.theme("dark")
	defer b.size(1200, 900)
	defer b.theme("light")
	for _, view := range []struct{ hash, heading, name string }{
		{"#/users", "Users", "users"}, {"#/users/new", "New user", "new"}, {"#/users/default/frank", "frank", "user"}, {"#/policies", "Policies", "policies"},
		{"#/policies/of/bronze", "Bronze", "policy"}, {"#/apis", "APIs", "apis"}, {"#/explain", "Explain", "explain"}, {"#/decisions", "Decisions", "decisions"},
	} {
		b.open(view.hash, view.heading)
		b.drawn()
		if width := eval[int](b, `document.documentElement.scrollWidth`); width > 360 {
			t.Errorf("%s is %d pixels wide: %s", view.hash, width, eval[string](b, `[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > 361).slice(0, 5).map((e) => e.outerHTML.slice(0, 120)).join("\n")`))
		}
		b.look("phone-" + view.name)
	}
	if ground := eval[string](b, `getComputedStyle(document.body).backgroundColor`); ground != "rgb(20, 25, 27)" {
		t.Errorf("in the dark, the ground is %s", ground)
	}
	b.size(1200, 900)
	b.open("#/users/default/frank", "frank")
	b.look("dark")
	b.open("#/users", "Users")
	b.look("dark-users")
}

// Once forgotten, the secret is nowhere, and one that has changed is asked for anew
// without losing what was typed.
func pageForget(t *testing.T, b *browser, s *sidekey) {
	b.open("#/users/default/user10", "user10")
	b.enter(control("alias"), "typed")
	b.do(inPage(`sessionStorage.setItem("sidekey.secret", "not the secret any more")`))
	b.refusals(4)
	b.press("Save")
	b.awaitText("#secret-problem", "Not authorised")
	b.enter("#secret", s.Secret)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.await(`!document.querySelector("dialog")`)
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	wantStored(t, s, "user10", map[string]string{"alias": `"typed"`})

	b.press("Forget secret")
	b.await(`document.querySelector("#secret-dialog") && !document.querySelector("#users")`)
	if kept := eval[int](b, "sessionStorage.length"); kept != 0 {
		t.Errorf("%d things are still kept", kept)
	}
	b.refusals(0)
}
