package page

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/openapitest"
	"sidekey/internal/testutil"
)

// The API reference shows every operation of openapi.json completely, and neither has nor sends the
// secret. Its shell commands work.
func TestReference(t *testing.T) {
	testutil.NeedProgram(t, "curl")
	program, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	s := sidekeytest.Start(t, pageConfig)
	var secretSent atomic.Bool
	b := startBrowser(t, s, func(r *http.Request) {
		if r.Header.Get("Sec-Fetch-Site") != "" && r.Header.Get("Authorization") != "" { // curl never sends the former
			secretSent.Store(true)
		}
	})
	b.do(chromedp.Navigate(b.url))
	b.await(`document.querySelector("#secret-dialog")`)
	if link := eval[string](b, `document.querySelector("footer a").href`); link != b.url+"page/reference.html" {
		t.Errorf("the web page leads to %s", link)
	}
	b.do(chromedp.Navigate(b.url + "page/reference.html"))
	b.awaitText("main h1", "API reference")
	b.look("reference")

	// Open all of it, level by level, and read it at once.
	open := func(under string) {
		t.Helper()
		closed := fmt.Sprintf(`document.querySelectorAll(%s)`, quote(under+"details:not([open])"))
		b.await(`(() => { const closed = ` + closed + `; closed.forEach((d) => { d.open = true }); return closed.length === 0 })()`)
	}
	open("")
	shown := eval[map[string]string](b, `Object.fromEntries([...document.querySelectorAll(".operation")].map((o) => [o.id, o.innerText]))`)
	typed := eval[map[string]string](b, `Object.fromEntries([...document.querySelectorAll(".operation")].map((o) => [o.id, o.querySelector(".typed pre").innerText]))`)
	document := openapitest.Sidekey()
	count := 0
	for path, item := range document.Paths.Map() {
		for method, o := range item.Operations() {
			count++
			text, origin := shown[o.OperationID], strings.TrimSuffix(b.url, "/")
			wants := []string{method + " " + path + " " + o.Summary, "curl", origin}
			for _, p := range o.Parameters {
				wants = append(wants, p.Value.Name, p.Value.Description)
			}
			for status, response := range o.Responses.Map() {
				wants = append(wants, status, *response.Value.Description)
				for _, media := range response.Value.Content {
					wants = append(wants, slices.Collect(maps.Keys(media.Schema.Value.Properties))...)
				}
			}
			if o.RequestBody != nil {
				for _, media := range o.RequestBody.Value.Content {
					wants = append(wants, slices.Collect(maps.Keys(media.Schema.Value.Properties))...)
				}
			}
			for _, want := range wants {
				if !strings.Contains(text, strings.ReplaceAll(want, "`", "")) {
					t.Errorf("%s %s does not show %q", method, path, want)
				}
			}
			if strings.Contains(text, "undefined") || strings.Contains(text, "[object") {
				t.Errorf("%s %s: %s", method, path, text)
			}
		}
	}
	if len(shown) != count {
		t.Errorf("%d operations are shown, of %d", len(shown), count)
	}
	if text := shown["createUser"]; !strings.Contains(text, "Requests that the allowed rate starts at") || !strings.Contains(text, "/orders/{id}") {
		t.Errorf("what is deep inside of a body is not shown: %s", text)
	}
	b.do(chromedp.Reload())
	b.awaitText("main h1", "API reference")
	b.check()

	for id, line := range typed {
		s.PutUser("alice", `{"basic_auth_data":{"password":"pw"}}`)
		s.Admin("POST", "/tyk/policies", `{"id":"gold","access_rights":{"orders":{}}}`)
		s.Admin("DELETE", "/tyk/policies/silver", "")
		shell := exec.Command("bash", "-c", line+` -sS -w '\n%{http_code}'`)
		shell.Dir = t.TempDir()
		shell.Env = append(os.Environ(), "SIDEKEY_ADMIN_SECRET="+s.Secret, "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
		if out, err := shell.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "\n200") {
			t.Errorf("%s: %s\n%v %s", id, line, err, out)
		}
	}

	// By keyboard, from the filter to a result.
	b.do(chromedp.Focus(chromedp.CSS("#filter")), chromedp.KeyEvent("BASIC put"))
	b.awaitText(".search", fmt.Sprintf("1 of %d requests", count))
	b.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	b.await(`document.querySelector("#replaceUser").open`)
	b.look("reference-put")
	b.enter("#filter", "nothing of the kind")
	b.awaitText(".search", fmt.Sprintf("0 of %d requests", count))

	// An address leads to one operation.
	b.do(chromedp.Navigate(b.url + "page/reference.html#createUser"))
	b.do(chromedp.Reload())
	b.await(`document.querySelector("#createUser")?.open && document.querySelector("#createUser").getBoundingClientRect().top < 200`)
	b.do(inPage(`[...document.querySelectorAll("#createUser .members summary")].find((e) => e.innerText.startsWith("access_rights")).click()`))
	b.look("reference-post")

	b.do(inPage(`document.querySelectorAll("#createUser .answer").forEach((d, i) => { d.open = i < 2; if (i === 0) d.scrollIntoView() })`))
	b.look("reference-answers")
	b.theme("dark")
	b.look("reference-dark")
	b.size(375, 740)
	b.drawn()
	open("#createUser ")
	b.drawn()
	if width := eval[int](b, `document.documentElement.scrollWidth`); width > 375 {
		t.Errorf("the reference is %d pixels wide: %s", width, eval[string](b, `[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > 376).slice(0, 5).map((e) => e.outerHTML.slice(0, 120)).join("\n")`))
	}
	b.do(inPage(`document.querySelector("#createUser").scrollIntoView()`))
	b.look("reference-phone")
	b.do(inPage(`document.querySelector("#createUser .members").scrollIntoView()`))
	b.look("reference-phone-body")
	b.do(inPage(`document.querySelector("#createUser .typed").scrollIntoView()`))
	b.look("reference-phone-example")
	if unnamed := eval[string](b, `[...document.querySelectorAll("button, input, a, summary")].filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())).map((e) => e.outerHTML).join("\n")`); unnamed != "" {
		t.Errorf("controls without a name: %s", unnamed)
	}
	if secretSent.Load() {
		t.Error("the reference sends a secret")
	}
	b.check()
}
