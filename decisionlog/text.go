package decisionlog

import "unicode/utf8"

// maxField is how many bytes of one text are written; a longer text ends in "…". So one header
// cannot fill the disk.
const maxField = 1024

const hex = "0123456789abcdef"

// appendText appends a text as a JSON string of printable ASCII, whatever its bytes are: no
// control character, line separator, or bidirectional mark reaches a terminal, and a line stays
// one line. A byte that is not UTF-8 becomes U+FFFD.
func appendText[T ~string | ~[]byte](dst []byte, text T) []byte {
	cut := len(text) > maxField
	if cut {
		n := maxField
		for n > maxField-utf8.UTFMax && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	dst = append(dst, '"')
	start := 0 // of the bytes that are copied unchanged
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, text[start:i]...)
		switch {
		case c == '"', c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c < utf8.RuneSelf:
			dst = appendUnit(dst, rune(c))
			i++
		default:
			r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if r > 0xffff {
				dst = appendUnit(dst, 0xd800+(r-0x10000)>>10)
				dst = appendUnit(dst, 0xdc00+(r-0x10000)&0x3ff)
			} else {
				dst = appendUnit(dst, r)
			}
			i += size
		}
		start = i
	}
	dst = append(dst, text[start:]...)
	if cut {
		dst = append(dst, `\u2026`...)
	}
	return append(dst, '"')
}

// appendUnit appends a UTF-16 code unit as \uXXXX (RFC 8259, section 7).
func appendUnit(dst []byte, unit rune) []byte {
	return append(dst, '\\', 'u', hex[unit>>12&0xf], hex[unit>>8&0xf], hex[unit>>4&0xf], hex[unit&0xf])
}

func appendTexts(dst []byte, texts []string) []byte {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, text)
	}
	return append(dst, ']')
}
