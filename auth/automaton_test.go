package auth

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// unbounded is a matching that never gives up.
func unbounded() *matching { return &matching{left: 1 << 60} }

// matches is match without a bound.
func (p pattern) matches(path []byte, listenPath string) bool {
	return p.match(unbounded(), path, listenPath)
}

// allowsURL is allows without a bound.
func (r *PathRules) allowsURL(path, method []byte, api *API) bool {
	return r.allows(unbounded(), path, method, api)
}

// byRegexp matches as package regexp does, between anchors.
func byRegexp(t *testing.T, text string) func(path []byte) bool {
	anchor := `^`
	if !strings.HasPrefix(text, "/") {
		anchor = `^/?`
	}
	re, err := regexp.Compile(anchor + `(?:` + expand(text) + `)$`)
	if err != nil {
		t.Fatal(err)
	}
	return re.Match
}

// An automaton matches what package regexp matches.
func TestAutomatonAgainstRegexp(t *testing.T) {
	pieces := []string{
		"a", "b", "/", "/a", "é", "(?i:aÉk)", "(?i)", ".", ".*", "/*", "{x}", "[^/]+", "[ab]", "[^a-cx-z0-35-8]", `\d`, `\w+`, `\pL`, `\b`, `\B`, "^", "$", "|", "(a|b/)*", "(?:a?b)+", "a{2,3}", "(|a)*", "(a*)*", "(?s:.)", "(?s:.*)", "(?m:^|$)", `\x{FFFD}`, "K", `[\x{10000}-\x{10FFFF}]`,
	}
	texts := []string{"", "/", "a", "b", "/a", "ab", "é", "É", "k", "\u212a", "5", "_", "\n", "\xff", "\U00010010", "aa", "//"}
	random := rand.New(rand.NewPCG(15, 6))
	join := func(from []string, most int) string {
		var b strings.Builder
		for range 1 + random.IntN(most) {
			b.WriteString(from[random.IntN(len(from))])
		}
		return b.String()
	}
	compiled, matched := 0, 0
	for range 3000 {
		text := join(pieces, 6)
		p, err := compilePattern(text)
		if err != nil {
			continue
		}
		compiled++
		if p.steps > atMostSteps(text) {
			t.Errorf("%q has %d steps, at most %d are expected", text, p.steps, atMostSteps(text))
		}
		if p.automaton == nil {
			continue
		}
		want, m := byRegexp(t, text), unbounded()
		for range 40 {
			path := []byte(join(texts, 7))
			if got := p.automaton.matches(m, path); got != want(path) {
				t.Fatalf("%q matches %q: %v, and in package regexp %v", text, path, got, !got)
			} else if got {
				matched++
			}
		}
	}
	t.Logf("%d patterns, %d texts that match", compiled, matched)
	if compiled < 2000 || matched < 2000 {
		t.Error("too few match: nothing is shown")
	}
}
