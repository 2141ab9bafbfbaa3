package route

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// pattern is the url of an allowed_urls entry or the path of an endpoint: a regular expression (RE2)
// over the path, anchored at both ends. As in Tyk, {name} stands for one segment, /* for the rest of the
// path, and /*/ for one segment. It is compared with the path in normal form, with and without the API's
// listen path.
type pattern struct {
	literal   string     // the path itself, if the pattern has no special characters
	automaton *automaton // nil for a literal
	steps     int        // of automaton
}

// maxPattern bounds a pattern: its compiled form is many times as large.
const maxPattern = 1024

// maxSteps bounds the steps that a pattern compiles to: matching takes memory in proportion to them,
// and time in proportion to them and to the length of the path, which the client chooses.
const maxSteps = 1000

// stepsOf returns roughly how many instructions a regular expression compiles to. It does not compile
// it, which would take memory in proportion to them.
func stepsOf(re *syntax.Regexp) int {
	steps := 1
	if re.Op == syntax.OpLiteral {
		steps = len(re.Rune)
	}
	for _, part := range re.Sub {
		steps += stepsOf(part)
	}
	if re.Op == syntax.OpRepeat {
		steps *= max(re.Min+1, re.Max)
	}
	return steps
}

// segmentName finds {name}, and the texts that a backslash protects: a class of characters (\p{Greek})
// or an escaped brace.
var segmentName = regexp.MustCompile(`\\[pP]\{[^{}]*\}|\\.|\{[A-Za-z_][A-Za-z0-9_-]*\}`)

// expand writes {name} and /* as regular expressions.
func expand(text string) string {
	text = segmentName.ReplaceAllStringFunc(text, func(found string) string {
		if found[0] == '\\' {
			return found
		}
		return `[^/]+`
	})
	for strings.Contains(text, `/*/`) { // of /*/*/ the second begins where the first ends
		text = strings.ReplaceAll(text, `/*/`, `/[^/]+/`)
	}
	return strings.ReplaceAll(text, `/*`, `/.*`)
}

// compilePattern returns the pattern. The error says what would be right.
func compilePattern(text string) (pattern, error) {
	parsed, steps, err := parsePattern(text)
	if err != nil {
		return pattern{}, err
	}
	if parsed == nil {
		return pattern{literal: "/" + strings.TrimPrefix(text, "/")}, nil
	}
	compiled, err := compileAutomaton(parsed)
	return pattern{automaton: compiled, steps: steps}, err
}

// CheckPattern returns the number of steps of a pattern. The error says what would be right. Matching
// takes memory in proportion to the steps, and time in proportion to them and to the length of the path.
// "/orders/7" has no steps, "/orders/{id}" has 11.
func CheckPattern(text string) (steps int, err error) {
	_, steps, err = parsePattern(text)
	return steps, err
}

// parsePattern returns the expression that a pattern stands for, nil for a literal path, and the number
// of its steps.
func parsePattern(text string) (parsed *syntax.Regexp, steps int, err error) {
	switch {
	case text == "":
		return nil, 0, errors.New("must be a path or a regular expression")
	case len(text) > maxPattern:
		return nil, 0, fmt.Errorf("must have at most %d bytes, not %d", maxPattern, len(text))
	case regexp.QuoteMeta(text) == text:
		return nil, 0, nil
	}
	expression := expand(text)
	// Parsed alone, before it is wrapped in a group: /a)|(?:/b would close the group.
	parsed, err = syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, 0, fmt.Errorf("must be a regular expression (RE2): %w", err)
	}
	steps = stepsOf(parsed)
	if steps > maxSteps {
		return nil, 0, fmt.Errorf("must have at most %d steps as a regular expression, not %d: repeat less", maxSteps, steps)
	}
	if strings.HasPrefix(text, "/") {
		return parsed, steps, nil
	}
	parsed, err = syntax.Parse(`/?(?:`+expression+`)`, syntax.Perl) // the first slash may be left out
	return parsed, steps, err
}

// match reports whether a path in normal form, which lies under the listen path, matches with or
// without the listen path.
func (p *pattern) match(m *matching, path []byte, listenPath string) bool {
	rest := path[len(strings.TrimSuffix(listenPath, "/")):]
	if p.automaton == nil {
		return m.spend(1) && (string(path) == p.literal || string(rest) == p.literal)
	}
	return m.spend(1) && p.automaton.matches(m, path) || len(rest) < len(path) && m.spend(1) && p.automaton.matches(m, rest)
}

// methods is a set of request methods, compared in any case. The empty set includes no method.
type methods []string

func (m methods) include(method []byte) bool {
	for _, name := range m {
		if len(name) == len(method) && strings.EqualFold(name, string(method)) {
			return true
		}
	}
	return false
}

// repetition finds the parts by which a pattern gets more steps than it has bytes.
var repetition = regexp.MustCompile(`\{[0-9]`)

// AtMostSteps returns an upper bound of the steps of a pattern, without compiling it.
func AtMostSteps(text string) int {
	if regexp.QuoteMeta(text) == text {
		return 0
	}
	if repetition.MatchString(text) {
		return maxSteps
	}
	// Each byte makes at most two steps; {x} and /* expand to longer texts.
	return min(maxSteps, 2*len(text)+12*strings.Count(text, "{")+10*strings.Count(text, "/*")+8)
}
