package page

import (
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
)

// Explain decides like the next request and uses nothing up.
func pageExplain(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	s.PutUser("hugo", sidekeytest.Session("test123", `"rate": 2, "per": 3600`,
		`"access_rights": {"orders": {"versions": ["v2"], "allowed_urls": [{"url": "/orders/{id}", "methods": ["GET"]}]}}`))
	b.open("#/explain", "Explain")
	b.enter(control("user"), "hugo")
	b.enter(control("password"), "test123")
	b.choose(control("api"), "orders")
	b.enter(control("path"), "/orders/7")
	b.enter(control("headers"), "X-Api-Version: v2\nX-Other: a: b")
	for range 3 { // the rate is 2
		b.click(".explain .primary")
		b.awaitText(".verdict", "Passes")
		b.awaitText("main table", "2 of 2 per 1h0m0s left")
		b.do(inPage(`document.querySelector(".verdict").remove()`))
	}
	for range 2 {
		if status := passes(t, s, "hugo", "test123", "/orders/7"); status != 200 {
			t.Fatalf("hugo: %d", status)
		}
	}
	b.click(".explain .primary")
	b.awaitText(".verdict", "Refused with 429: Rate Limit Exceeded (rate)")
	b.awaitText("main table", "✗ refused")
	b.awaitText("main table", "one more may pass in ")
	b.look("explain")

	// The form sends each of its fields.
	f := func(field, value, verdict string) {
		t.Helper()
		if field == "api" || field == "dialect" {
			b.choose(control(field), value)
		} else {
			b.enter(control(field), value)
		}
		b.do(inPage(`document.querySelector(".verdict")?.remove()`))
		b.click(".explain .primary")
		b.awaitText(".verdict", verdict)
	}
	f("password", "another", "401: User not authorised (bad_credentials)")
	f("password", "test123", "(rate)")
	f("headers", "X-Api-Version: v1", "403: Access to this API has been disallowed (api_not_granted)")
	f("headers", "X-Api-Version: v2", "(rate)")
	f("path", "/orders/7/lines", "403: Access to this resource has been disallowed (url_not_granted)")
	f("path", "/orders/7", "(rate)")
	f("method", "DELETE", "(url_not_granted)")
	f("method", "GET", "(rate)")
	f("api", "rest", "(api_not_granted)")
	f("api", "", "(rate)")
	f("dialect", "nginx", "(rate)")
	b.awaitText("main table", "dialect nginx")
	f("host", "other.example", "(rate)")
	b.awaitText("main table", `found by host "other.example"`)
	f("org", "acme", "(rate)")
	b.awaitText("main table", `users of "acme" do not count there`)
	f("user", "<b>nina</b>", "(bad_credentials)")
	b.awaitText("main table", `user "<b>nina</b>"`)
}

// The chart shows what happened between two answers, and the table shows the same in numbers.
func pageDecisions(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	s.PutUser("gina", sidekeytest.Session("pw", `"rate": 8, "per": 3600`))
	if status := passes(t, s, "gina", "pw", "/"); status != 200 { // so that her password is hashed
		t.Fatalf("gina: %d", status)
	}
	b.open("#/decisions", "Decisions")
	counts := func() map[string]int {
		return eval[map[string]int](b, `Object.fromEntries([...document.querySelectorAll("main tbody tr")].map((row) => [row.cells[0].innerText.trim(), Number(row.cells[3].innerText.replaceAll(",", ""))]))`)
	}
	answered := func() { // waits until the next answer is drawn
		b.do(inPage(`performance.clearResourceTimings()`))
		b.await(`performance.getEntriesByType("resource").some((e) => e.name.endsWith("/api/decisions"))`)
		b.drawn()
	}
	answered()
	before := counts()
	for range 4 {
		passes(t, s, "gina", "pw", "/")
	}
	for range 2 {
		passes(t, s, "gina", "wrong", "/")
	}
	for range 4 {
		passes(t, s, "gina", "pw", "/")
	}
	answered()
	after := counts()
	for reason, want := range map[string]int{"pass": 7, "bad_credentials": 2, "rate": 1} {
		if got := after[reason] - before[reason]; got != want {
			t.Errorf("%s: %d more, want %d", reason, got, want)
		}
	}
	if _, is := after["quota"]; is {
		t.Errorf("a reason that never occurred is shown: %v", after)
	}
	// 7, 2 and 1, stacked in the bar of these two seconds.
	heights := eval[string](b, `(() => {
		const bars = [...document.querySelectorAll(".decisions rect")];
		const last = bars.filter((bar) => bar.getAttribute("x") === bars.at(-1).getAttribute("x"));
		const height = (bar) => Number(bar.getAttribute("height"));
		const unit = height(last.at(-1));
		return last.map((bar) => bar.getAttribute("class") + " " + (height(bar) / unit).toFixed(1)).join(", ");
	})()`)
	if want := "kind-pass 7.0, kind-who 2.0, kind-much 1.0"; heights != want {
		t.Errorf("bars: %s, want %s", heights, want)
	}
	if label := eval[string](b, `document.querySelector("#pulse").getAttribute("aria-label")`); !strings.Contains(label, "decisions in the last minute") {
		t.Errorf("the picture in the frame says %q", label)
	}
	b.awaitText("main .facts", "store ok")
	b.awaitText("main .facts", "configuration ok")
	b.look("decisions")
}
