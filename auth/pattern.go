package auth

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// pattern is the url of an allowed_urls entry or the path of an endpoint: a regular
// expression (RE2) over the path, anchored at both ends, in which {name} stands for
// one segment and /* for the rest, or with more behind it (/*/) for one segment, as in
// Tyk. It is compared with the path in normal form, with and without the API's listen
// path.
type pattern struct {
	literal string         // the path itself, where the pattern holds nothing special
	re      *regexp.Regexp // nil for a literal
	steps   int            // of re
}

// maxPattern bounds a pattern: its compiled form is many times as large.
const maxPattern = 1024

// maxSteps bounds what a pattern compiles to. Matching takes time by its steps and by the
// length of the path, which the client chooses: 90 times .{0,1000} would take a minute.
const (
	maxSteps      = 1000
	maxRightSteps = 20_000 // of all patterns of one right
)

// stepsOf returns about how many instructions a regular expression compiles to, without
// compiling it: that alone would take memory by their number.
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

// segmentName finds {name}, and what is to be left alone because of the backslash before
// it: a class of characters (\p{Greek}) or an escaped brace.
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

// compilePattern returns the pattern, or what is wrong with it.
func compilePattern(text string) (pattern, error) {
	switch {
	case text == "":
		return pattern{}, fmt.Errorf("must be a path or a regular expression")
	case len(text) > maxPattern:
		return pattern{}, fmt.Errorf("must be at most %d bytes, not %d", maxPattern, len(text))
	}
	// The first slash may be left out.
	slash := strings.HasPrefix(text, "/")
	if regexp.QuoteMeta(text) == text {
		if !slash {
			text = "/" + text
		}
		return pattern{literal: text}, nil
	}
	expression := expand(text)
	// By itself first: /a)|(?:/b would break out of the anchors.
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return pattern{}, fmt.Errorf("must be a regular expression (RE2): %w", err)
	}
	steps := stepsOf(parsed)
	if steps > maxSteps {
		return pattern{}, fmt.Errorf("must be a regular expression of at most %d steps, not %d: repeat less", maxSteps, steps)
	}
	anchor := `^`
	if !slash {
		anchor = `^/?`
	}
	re, err := regexp.Compile(anchor + `(?:` + expression + `)$`)
	return pattern{re: re, steps: steps}, err
}

// matches reports whether a path in normal form, which lies under the listen path,
// matches as it is or without the listen path.
func (p pattern) matches(path []byte, listenPath string) bool {
	rest := path[len(strings.TrimSuffix(listenPath, "/")):]
	if p.re == nil {
		return string(path) == p.literal || string(rest) == p.literal
	}
	return p.re.Match(path) || p.re.Match(rest)
}

// methods is a set of request methods, compared in any case. None is no method.
type methods []string

func (m methods) include(method []byte) bool {
	for _, name := range m {
		if len(name) == len(method) && strings.EqualFold(name, string(method)) {
			return true
		}
	}
	return false
}

// urlRule is a compiled [AllowedURL].
type urlRule struct {
	pattern pattern
	methods methods
}

// endpointRule is one method of a compiled [Endpoint].
type endpointRule struct {
	pattern pattern
	method  string
	scope   string // of its bucket
	rate    float64
	per     float64
}
