package page

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sidekey/e2e/internal/sidekeytest"
)

const pageConfig = sidekeytest.Listeners + `
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

// The test uses every function of the web page once, in a real browser and with the real program.
// It reads over the API what the page writes. Stored text stays text (T-74).
func TestPage(t *testing.T) {
	s := sidekeytest.Start(t, pageConfig)
	b := startBrowser(t, s, func(*http.Request) {})
	for i := range 60 {
		s.PutUser(fmt.Sprintf("user%02d", i), fmt.Sprintf(`{"rate":%d,"per":60,"alias":"Person %d","tags":["edge","team-%d"]}`, i+1, i, i%5))
	}
	steps := []struct {
		name string
		do   func(*testing.T, *browser, *sidekeytest.Sidekey)
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
		{"credentials", pageCredentials},
		{"names", pageNames},
		{"inert", pageInert},
		{"apis", pageAPIs},
		{"explain", pageExplain},
		{"decisions", pageDecisions},
		{"keyboard", pageKeyboard},
		{"phone", pagePhone},
		{"many", pageMany},
		{"sign out", pageSignOut},
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
			return // the following steps build on it
		}
	}
}

// The page asks for the secret, checks it, and keeps it only in the tab.
func pageSecret(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.do(chromedp.Navigate(b.url), chromedp.WaitVisible(chromedp.CSS("#secret")))
	b.look("secret")
	b.refusals(1)
	b.enter("#secret", "wrong")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.awaitText("#secret-problem", "Wrong secret")
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

// Everything can be reached by keyboard.
func pageKeyboard(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
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

// On a phone nothing is cut off, and there is a dark theme.
func pagePhone(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	s.PutUser("frank", `{"alias":"A name that is rather long for a narrow screen","tags":["averylongtagwithoutanyplacetobreak-averylongtagwithoutanyplacetobreak"],
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

// If the secret has changed, the page asks for it again and keeps the user's entries. After the user
// signs out, the tab no longer has the secret.
func pageSignOut(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.open("#/users/default/user10", "user10")
	b.enter(control("alias"), "typed")
	b.do(inPage(`sessionStorage.setItem("sidekey.secret", "not the secret any more")`))
	b.refusals(4)
	b.press("Save")
	b.awaitText("#secret-problem", "Wrong secret")
	b.enter("#secret", s.Secret)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.await(`!document.querySelector("dialog")`)
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	wantStored(t, s, "user10", map[string]string{"alias": `"typed"`})

	// An answer to the old secret does not remove the new one.
	b.refusals(1)
	b.do(inPage(fmt.Sprintf(`import("/page/api.js").then(async ({ ask, secret }) => {
		secret.set("not the secret");
		const refused = ask("GET", "/api/apis").catch((error) => error.message);
		secret.set(%q);
		window.late = [await refused, secret.get() === %[1]q, document.querySelector("dialog") === null].join();
	})`, s.Secret)))
	b.await(`window.late !== undefined`)
	if got := eval[string](b, "window.late"); got != "Not authorised,true,true" {
		t.Errorf("an answer that comes late: %s", got)
	}

	b.press("Sign out")
	b.await(`document.querySelector("#secret-dialog") && !document.querySelector("#users")`)
	if kept := eval[int](b, "sessionStorage.length"); kept != 0 {
		t.Errorf("%d things are still kept", kept)
	}
	b.refusals(0)
}
