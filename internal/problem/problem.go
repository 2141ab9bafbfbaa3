// Package problem says what is wrong with an input: where, which value, what would be right.
package problem

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with an input. Its text is safe to show and to log:
//
//	access_rights.orders.per = -1: must be above 0
type Problem struct {
	Field string // access_rights.orders.allowed_urls[2].url; "" if it is the whole input
	Value string // as the input has it; "" if showing it would reveal a secret
	Want  string // what would be right: "must …", "missing …", "unknown …"
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(Escape(p.Field))
	if p.Value != "" {
		if b.Len() > 0 {
			b.WriteString(" = ")
		}
		b.WriteString(Escape(Clip(p.Value)))
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(p.Want)
	return b.String()
}

// List is an error made of all that is wrong with one input.
type List []Problem

// maxShown is how many problems of one input are shown; the rest are counted.
const maxShown = 20

func (ps List) Error() string {
	var texts []string
	for _, p := range ps[:min(len(ps), maxShown)] {
		texts = append(texts, p.String())
	}
	if more := len(ps) - maxShown; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// Add adds a problem with a text, which is shown in quotes unless it is empty.
func (ps *List) Add(field, value, want string, args ...any) {
	p := Problem{Field: field, Want: fmt.Sprintf(want, args...)}
	if value != "" {
		p.Value = fmt.Sprintf("%q", value)
	}
	*ps = append(*ps, p)
}

// AddNumber adds a problem with a value that is shown without quotes.
func (ps *List) AddNumber(field string, value any, want string, args ...any) {
	*ps = append(*ps, Problem{Field: field, Value: fmt.Sprint(value), Want: fmt.Sprintf(want, args...)})
}

// Sort puts the problems in the order of their fields.
func (ps List) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
}

// Err returns the problems as an error, or nil if there are none.
func (ps List) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// CheckLimit adds the problems of the numbers of a rate limit: the rate, the seconds that it is
// per, and the seconds between two tries of a request over it. path is the object that has
// them, or "". JSON has no NaN, but a configuration file has.
func (ps *List) CheckLimit(path string, rate, per, throttle float64) {
	for _, f := range []struct {
		name  string
		value float64
	}{{"rate", rate}, {"per", per}, {"throttle_interval", throttle}} {
		if math.IsNaN(f.value) || math.IsInf(f.value, 0) {
			ps.AddNumber(Join(path, f.name), f.value, "must be a finite number")
		}
	}
	if throttle > 0 && throttle < 0.001 {
		ps.AddNumber(Join(path, "throttle_interval"), throttle, "must be at least 0.001 seconds, or 0 to refuse at once")
	}
}

// Join returns the name of a member of the object at path, or the name alone if path is "".
func Join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
