package problem

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape escapes what would change how the text around s is read.
func Escape(s string) string {
	if !strings.ContainsFunc(s, Misleading) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if Misleading(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Clip shortens what a caller sent to 80 bytes, so that an error stays readable.
func Clip(s string) string { return ClipTo(s, 80) }

// ClipTo shortens s to at most maxBytes and a "…". It cuts no character in two.
func ClipTo(s string, maxBytes int) string {
	if len(s) <= maxBytes {
		return s
	}
	cut := maxBytes
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// Misleading reports whether a reader of a name, a log line, or a page does not see r, or
// reads the text around it differently: two names that differ only in r look the same.
func Misleading(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	return Control(r) || invisible(r)
}

// Control reports whether r is a control character, ends a line, or turns the direction of the
// text after it (Trojan Source, CVE-2021-42574).
func Control(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// invisible reports whether r is drawn as nothing: zero-width space and joiners, soft hyphen,
// fillers, tags, variation selectors. Arabic number signs are drawn, although Unicode counts
// them as format characters.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) &&
		!unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
