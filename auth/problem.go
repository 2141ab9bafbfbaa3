package auth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is one thing wrong with an input: where it is, what stands there and what
// would be right. Its text is safe to show and to log.
type Problem struct {
	Field string // access_rights.orders.allowed_urls[2].url
	Value string // as it stands in the input; "" where showing it would tell a secret
	Want  string // what would be right
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(shown(p.Field))
	if p.Value != "" {
		if b.Len() > 0 {
			b.WriteString(" = ")
		}
		b.WriteString(shown(clip(p.Value)))
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(p.Want)
	return b.String()
}

// shown escapes what would change how the text around it is read.
func shown(s string) string {
	if !strings.ContainsFunc(s, misleading) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if misleading(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// clip shortens what a caller sent so that an error stays readable.
func clip(s string) string { return clipTo(s, 80) }

func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// Problems is an error made of all that is wrong with one input.
type Problems []Problem

// mostProblems are shown of one input; the rest are counted.
const mostProblems = 20

func (ps Problems) Error() string {
	var texts []string
	for _, p := range ps[:min(len(ps), mostProblems)] {
		texts = append(texts, p.String())
	}
	if more := len(ps) - mostProblems; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// add notes a problem; value is quoted with %q unless it is empty.
func (ps *Problems) add(field, value, want string, args ...any) {
	p := Problem{Field: field, Want: fmt.Sprintf(want, args...)}
	if value != "" {
		p.Value = fmt.Sprintf("%q", value)
	}
	*ps = append(*ps, p)
}

// addNumber notes a problem with a number.
func (ps *Problems) addNumber(field string, value any, want string, args ...any) {
	*ps = append(*ps, Problem{Field: field, Value: fmt.Sprint(value), Want: fmt.Sprintf(want, args...)})
}

// sort puts the problems in the order of their fields.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
}

// err returns the problems as an error, or nil where there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
