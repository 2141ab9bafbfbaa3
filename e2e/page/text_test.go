package page

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
)

// T-74: whatever is stored is shown as text and cannot change how the text around it is read.
func pageInert(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
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
	s.PutUser("%3Cimg%20src%3Dx%20onerror%3Dalert%280%29%3E", string(session))
	if status, answer, _ := s.Admin("POST", "/api/portal/policies", fmt.Sprintf(`{"id":"<i>evil</i>","name":%s,"tags":["<u>"],"meta_data":{"k":"\u202e"},"access_rights":{"rest":{"api_name":%[1]s}}}`, quote(attack))); status != 200 && status != 400 {
		t.Fatalf("%d %s", status, answer)
	}
	s.Admin("POST", "/api/portal/policies", fmt.Sprintf(`{"id":"evil","name":%s,"tags":["<u>"],"meta_data":{"k":"\u202e"},"access_rights":{"rest":{"api_name":%[1]s}}}`, quote(attack)))

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
