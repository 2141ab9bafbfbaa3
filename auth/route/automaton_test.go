package route

import (
	"fmt"
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
func (r *Rules) allowsURL(path, method []byte, api *API) bool {
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

// An automaton agrees with package regexp.
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
		if p.steps > AtMostSteps(text) {
			t.Errorf("%q has %d steps, at most %d are expected", text, p.steps, AtMostSteps(text))
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

// A path against patterns that begin alike, so that all of them have to be followed; and
// the same by package regexp, for comparison.
func BenchmarkPatternsAlike(b *testing.B) {
	var texts []string
	for i := range 10 {
		texts = append(texts, fmt.Sprintf("/orders/{id}/part%d", i))
	}
	path := []byte("/orders/8f3b2c1a-4d5e/part9")
	b.Run("automaton", func(b *testing.B) {
		var patterns []pattern
		for _, text := range texts {
			p, err := compilePattern(text)
			if err != nil {
				b.Fatal(err)
			}
			patterns = append(patterns, p)
		}
		m := new(matching)
		for b.Loop() {
			m.left = MaxCheckSteps
			n := 0
			for i := range patterns {
				if patterns[i].match(m, path, "/") {
					n++
				}
			}
			if n != 1 {
				b.Fatal(n)
			}
		}
	})
	b.Run("regexp", func(b *testing.B) {
		var patterns []*regexp.Regexp
		for _, text := range texts {
			patterns = append(patterns, regexp.MustCompile("^(?:"+expand(text)+")$"))
		}
		for b.Loop() {
			n := 0
			for _, re := range patterns {
				if re.Match(path) {
					n++
				}
			}
			if n != 1 {
				b.Fatal(n)
			}
		}
	})
}
