package web

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// Stored text cannot become code: the page never parses text as HTML, evaluates nothing, and
// uses nothing that its Content-Security-Policy forbids.
func TestNothingIsParsed(t *testing.T) {
	never := func(kind, what string) {
		t.Helper()
		pattern := regexp.MustCompile(what)
		for name, file := range Files {
			if path.Ext(name) != kind && !(kind == ".html" && name == "/") {
				continue
			}
			if found := pattern.FindString(string(file.Body)); found != "" {
				t.Errorf("%s has %q", name, found)
			}
		}
	}
	never(".js", `\b(innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|createContextualFragment|DOMParser|srcdoc)\b`)
	never(".js", `\bdocument\s*\.\s*write`)
	never(".js", `\beval\b|\bnew\s+Function\b|\bFunction\s*\(`)
	never(".js", `\bset(Timeout|Interval)\s*\(\s*["'\x60]`)
	never(".js", `\bimport\s*\(`)
	never(".js", `\bjavascript:`)
	never(".js", `\b(localStorage|indexedDB|document\.cookie)\b`)
	never(".html", `(?i)<[^>]*\s(on[a-z]+|style)\s*=`)
	never(".html", `(?i)<style`)
	never(".html", `(?is)<script[^>]*>[^<]`)
	never(".css", `(?i)@import|url\(`)
}

// Every file that another file names exists, every file is used, and nothing is loaded from
// another server.
func TestFilesAreComplete(t *testing.T) {
	named := map[string]bool{"/": true}
	reference := regexp.MustCompile(`(?:src|href)="(/[^"]*)"|from "\./([^"]*)"`)
	for name, file := range Files {
		if file.Type == "" || len(file.Body) == 0 {
			t.Errorf("%s: type %q, %d bytes", name, file.Type, len(file.Body))
		}
		text := string(file.Body)
		for _, found := range reference.FindAllStringSubmatch(text, -1) {
			at := found[1]
			if found[2] != "" {
				at = "/page/" + found[2]
			}
			named[at] = true
			if _, ok := Files[at]; !ok {
				t.Errorf("%s names %s, which is not there", name, at)
			}
		}
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")
		if found := regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]+`).FindString(text); found != "" {
			t.Errorf("%s names an address elsewhere: %s", name, found)
		}
	}
	for name := range Files {
		if !named[name] {
			t.Errorf("nothing uses %s", name)
		}
	}
}
