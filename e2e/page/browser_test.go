package page

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

var screenshots = flag.String("screenshots", "", "write what the web page looks like to this `folder`")

// browser is a tab of a headless Chromium with the web page of a running program. Any complaint of
// the page, and anything that its Content-Security-Policy forbids, fails the test.
type browser struct {
	t   *testing.T
	ctx context.Context
	url string // of the page

	mu       sync.Mutex
	expected int      // failed requests that the test causes on purpose and the console reports
	wrong    []string // complaints
}

// startBrowser opens a tab until the test ends. It calls sees for each request of the page.
func startBrowser(t *testing.T, s *sidekeytest.Sidekey, sees func(*http.Request)) *browser {
	t.Helper()
	path := testutil.NeedProgram(t, "chromium")
	target, err := url.Parse(s.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(target)
	through.Transport = sidekeytest.Comparing{Note: sidekeytest.Failing(t), Through: http.DefaultTransport}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sees(r)
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // tests may run as root
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1200, 960),
		chromedp.Flag("lang", "en"),
		chromedp.Env("TZ=UTC"),
	)
	bounded, endTime := context.WithTimeout(context.Background(), 2*time.Minute)
	allocator, endAllocator := chromedp.NewExecAllocator(bounded, options...)
	ctx, endTab := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: ctx, url: server.URL + "/"}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the browser did not end: %v", err)
		}
		endTab()
		endAllocator()
		endTime()
	})
	if err := chromedp.Listen(ctx, b.heard); err != nil { // starts the browser
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// heard records complaints of the tab.
func (b *browser) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
		b.wrong = append(b.wrong, text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelVerbose {
			return // advice
		}
		if e.Entry.Source == log.EntrySourceNetwork && b.expected > 0 {
			b.expected--
			return
		}
		b.wrong = append(b.wrong, e.Entry.Text)
	case *page.EventJavascriptDialogOpening:
		b.wrong = append(b.wrong, "a dialog: "+e.Message)
	}
}

// do runs actions, each with a timeout.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for i, action := range actions {
		ctx, cancel := context.WithTimeout(b.ctx, stepTime)
		err := chromedp.Do(ctx, action)
		cancel()
		if err != nil {
			b.failed()
			b.t.Fatalf("action %d: %v\n%s", i, err, b.text("body"))
		}
	}
}

// stepTime bounds one step, which normally takes milliseconds.
const stepTime = 10 * time.Second

// inPage runs JavaScript and ignores its value.
func inPage(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](text)
}

// refusals announces that the next n requests of the page are refused on purpose.
func (b *browser) refusals(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected += n
}

// check fails the test if the page has complained.
func (b *browser) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.wrong {
		b.t.Errorf("the page complained: %s", text)
	}
	b.wrong = nil
}

// eval evaluates JavaScript that the policy of the page forbids to the page itself.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.failed()
		b.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// text returns the visible text of the first element that matches a selector, or "".
func (b *browser) text(selector string) string {
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%s)?.innerText ?? ""`, quote(selector))))
	if err != nil {
		return err.Error()
	}
	return text
}

func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// await waits until an expression is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(stepTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if eval[bool](b, "Boolean("+expression+")") {
			return
		}
	}
	b.failed()
	b.t.Fatalf("never true: %s\n%s", expression, b.text("body"))
}

// awaitText waits until the element that matches a selector shows a text.
func (b *browser) awaitText(selector, text string) {
	b.t.Helper()
	b.await(fmt.Sprintf(`(document.querySelector(%s)?.innerText ?? "").includes(%s)`, quote(selector), quote(text)))
}

// open shows a view of the page and waits for its heading.
func (b *browser) open(view, heading string) {
	b.t.Helper()
	b.do(inPage(`document.querySelector("h1")?.remove(); location.hash === ` + quote(view) + ` ? dispatchEvent(new Event("hashchange")) : location.hash = ` + quote(view)))
	b.awaitText("main h1", heading)
}

// control returns a selector of the control with a label, beside which the page shows messages of
// the server.
func control(path string) string {
	return fmt.Sprintf(`[data-path=%s] :is(input, select, textarea)`, quote(path))
}

// enter replaces the text in a control, as if typed.
func (b *browser) enter(selector, text string) {
	b.t.Helper()
	b.do(chromedp.Focus(chromedp.CSS(selector)), inPage(`document.activeElement.select()`), chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(text))
}

// choose selects an option by its value.
func (b *browser) choose(selector, value string) {
	b.t.Helper()
	b.do(inPage(fmt.Sprintf(`(() => { const s = document.querySelector(%s); s.value = %s; if (s.value !== %[2]s) throw "no such option"; s.dispatchEvent(new Event("change")) })()`, quote(selector), quote(value))))
}

// click scrolls an element to the middle of the window and clicks on it: the bar at the bottom
// could cover it elsewhere.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.clickOn(fmt.Sprintf(`document.querySelector(%s)`, quote(selector)))
}

// press clicks on the button or the link with a text.
func (b *browser) press(text string) {
	b.t.Helper()
	b.clickOn(fmt.Sprintf(`[...document.querySelectorAll("button, a")].find((e) => e.innerText.trim() === %s && e.checkVisibility())`, quote(text)))
}

func (b *browser) clickOn(element string) {
	b.t.Helper()
	b.await(element)
	at := eval[struct{ X, Y float64 }](b, fmt.Sprintf(`(() => {
		const e = %s;
		e.scrollIntoView({ block: "center", behavior: "instant" });
		const box = e.getBoundingClientRect();
		return { X: box.x + box.width / 2, Y: box.y + box.height / 2 };
	})()`, element))
	b.do(chromedp.MouseClickXY(at.X, at.Y))
}

// clearSearch shows the whole list of users again.
func (b *browser) clearSearch() {
	b.t.Helper()
	b.enter("#search", " ")
	b.do(chromedp.KeyEvent(kb.Backspace))
	b.awaitText("#search-status", "25 users, and more")
}

// screenshot writes an image of the tab.
func (b *browser) screenshot(file string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("no screenshot: %v", err)
		return
	}
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("screenshot: %s", file)
}

// failed writes an image of the tab for a failed test.
func (b *browser) failed() {
	b.t.Helper()
	b.screenshot(filepath.Join(os.TempDir(), "sidekey-page-failed.png"))
}

// drawn waits until the browser has drawn all changes.
func (b *browser) drawn() {
	b.t.Helper()
	eval[bool](b, `window.drawn = false; requestAnimationFrame(() => requestAnimationFrame(() => { window.drawn = true })); true`)
	b.await("window.drawn")
}

// look writes an image of the tab if -screenshots is set.
func (b *browser) look(name string) {
	b.t.Helper()
	if *screenshots != "" {
		b.drawn()
		b.screenshot(filepath.Join(*screenshots, name+".png"))
	}
}

// size sets the size of the window.
func (b *browser) size(width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
}

func (b *browser) theme(name string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	}); err != nil {
		b.t.Fatal(err)
	}
}

// focused returns the label or the text of the element that has the focus.
func (b *browser) focused() string {
	b.t.Helper()
	return strings.TrimSpace(eval[string](b, `(() => { const a = document.activeElement; return a.labels?.[0]?.innerText ?? a.getAttribute("aria-label") ?? a.innerText ?? "" })()`))
}
