package problem

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Sizes that are refused when an input is written, so that no header, log line, or page grows
// without bound later.
const (
	MaxName   = 255  // bytes of a user name, an org id, or a tag
	MaxText   = 1024 // bytes of an alias or a value that goes into a header
	maxJoined = 4096 // bytes of all texts of a list together
)

// CheckName adds the problem of a user name, an org id, or the id of an API, if it has one: it
// could not be told apart, logged, or sent as a header.
func (ps *List) CheckName(field, name string) {
	switch {
	case name == "":
		*ps = append(*ps, Problem{Field: field, Value: `""`, Want: "must be a name of 1 to 255 bytes"})
	case len(name) > MaxName:
		ps.Add(field, name, "must be at most %d bytes, not %d", MaxName, len(name))
	case strings.TrimSpace(name) != name:
		ps.Add(field, name, "must not begin or end with white space")
	default:
		ps.CheckText(field, name, MaxName)
	}
}

// CheckText adds the problem of a text that is too long, cannot be the value of a header, or misleads
// a reader.
func (ps *List) CheckText(field, text string, maxBytes int) {
	if len(text) > maxBytes {
		ps.Add(field, text, "must be at most %d bytes, not %d", maxBytes, len(text))
		return
	}
	if !utf8.ValidString(text) {
		ps.Add(field, text, "must be valid UTF-8")
		return
	}
	if i := strings.IndexFunc(text, Misleading); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		kind := "invisible"
		if Control(r) {
			kind = "control"
		}
		ps.Add(field, text, "must not contain the %s character %U", kind, r)
	}
}

// CheckList adds the problems of a list of texts, none of which may be empty.
func (ps *List) CheckList(field string, list []string, maxBytes int) {
	total := 0
	for i, text := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if text == "" {
			*ps = append(*ps, Problem{Field: at, Value: `""`, Want: "must not be empty"})
		}
		ps.CheckText(at, text, maxBytes)
		total += len(text) + 1
	}
	if total > maxJoined {
		*ps = append(*ps, Problem{Field: field, Want: fmt.Sprintf("must be at most %d bytes in all, not %d", maxJoined, total)})
	}
}
