package auth

import (
	"bytes"
	"net/netip"
	"strings"
)

// normalHost returns the one form in which hosts are compared: lower case, without port
// and trailing dot, an IPv6 address in brackets as RFC 5952 writes it.
//
// ok is false for anything that is not exactly
//
//   - a registered name: labels of ASCII letters, digits, hyphens and underscores, between
//     single dots, at most 255 bytes, whose last label is not a number,
//   - an IPv4 address in dotted decimal, or
//   - an IPv6 address in brackets, without a zone,
//
// with at most one trailing dot behind a name or an IPv4 address, and at most one port,
// which is a colon and digits. This is less than RFC 9110 allows, because readers of a Host
// header disagree on the rest: some cut at the first colon and some at the last, some cut at
// an @ or a comma, some decode escapes, some take 127.1 for 127.0.0.1. Underscores are
// allowed because container platforms use them in names and no reader gives them a meaning.
//
// A host that is in that form already is returned where it lies. Anything else is written to
// dst.
func normalHost(dst, host []byte) (name []byte, ok bool) {
	if len(host) > 0 && host[0] == '[' {
		return normalIPv6(dst, host)
	}
	name = host
	if i := bytes.IndexByte(host, ':'); i >= 0 {
		if name = host[:i]; !isPort(host[i:]) {
			return nil, false
		}
	}
	name = bytes.TrimSuffix(name, []byte{'.'})
	if len(name) == 0 || len(name) > maxName {
		return nil, false
	}
	upper := false
	label := 0 // where the last label starts
	for i, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		case c >= 'A' && c <= 'Z':
			upper = true
		case c == '.' && i > label:
			label = i + 1
		default:
			return nil, false
		}
	}
	switch {
	case label == len(name):
		return nil, false
	case isNumericLabel(name[label:]) && !isIPv4(name):
		return nil, false
	case !upper:
		return name, true
	}
	dst = dst[:0]
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, true
}

// isPort reports whether text is empty, or a colon and digits.
func isPort(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	return text[0] == ':' && len(text) > 1 && isDigits(text[1:])
}

func isDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// isNumericLabel reports whether browsers and Node.js take a label for a number. A host that ends
// in one is an IPv4 address for them, in one of many spellings (URL Standard, "ends in a
// number checker").
func isNumericLabel(label []byte) bool {
	if isDigits(label) {
		return true
	}
	if len(label) < 2 || label[0] != '0' || label[1] != 'x' && label[1] != 'X' {
		return false
	}
	for _, c := range label[2:] {
		if unhex(c) < 0 {
			return false
		}
	}
	return true
}

// isIPv4 reports whether name is four decimal numbers from 0 to 255 without leading zeros,
// which some readers take for octal.
func isIPv4(name []byte) bool {
	parts := 0
	for more := true; more; parts++ {
		var part []byte
		part, name, more = bytes.Cut(name, []byte{'.'})
		if len(part) == 0 || len(part) > 3 || !isDigits(part) || len(part) > 1 && part[0] == '0' {
			return false
		}
		if len(part) == 3 && string(part) > "255" {
			return false
		}
	}
	return parts == 4
}

// normalIPv6 is normalHost for a host that begins with a bracket.
func normalIPv6(dst, host []byte) (name []byte, ok bool) {
	end := bytes.IndexByte(host, ']')
	if end < 0 || !isPort(host[end+1:]) {
		return nil, false
	}
	address, ok := parseIPv6(host[1:end])
	if !ok {
		return nil, false
	}
	dst = append(dst[:0], '[')
	dst = netip.AddrFrom16(address).AppendTo(dst)
	return append(dst, ']'), true
}

// parseIPv6 reads an IPv6 address as RFC 4291, section 2.2, writes it. Unlike
// [netip.ParseAddr] it takes bytes, and so allocates nothing.
func parseIPv6(text []byte) (address [16]byte, ok bool) {
	filled, gap := 0, -1 // bytes of address that are set, and how many of them stand before ::
	if rest, found := bytes.CutPrefix(text, []byte("::")); found {
		gap, text = 0, rest
		if len(text) == 0 {
			return address, true
		}
	}
	for {
		group := text
		end := bytes.IndexByte(text, ':')
		if end >= 0 {
			group = text[:end]
		}
		switch {
		case filled == 16:
			return address, false
		case end < 0 && filled <= 12 && isIPv4(group):
			for part := range bytes.SplitSeq(group, []byte{'.'}) {
				value := 0
				for _, c := range part {
					value = value*10 + int(c-'0')
				}
				address[filled] = byte(value)
				filled++
			}
		default:
			value, valid := parseGroup(group)
			if !valid {
				return address, false
			}
			address[filled], address[filled+1] = byte(value>>8), byte(value)
			filled += 2
		}
		if end < 0 {
			break
		}
		text = text[end+1:]
		if len(text) > 0 && text[0] == ':' {
			if gap >= 0 {
				return address, false
			}
			gap, text = filled, text[1:]
			if len(text) == 0 {
				break
			}
		}
	}
	switch {
	case gap < 0:
		return address, filled == 16
	case filled == 16:
		return address, false // :: stands for at least one group
	}
	tail := filled - gap
	copy(address[16-tail:], address[gap:filled])
	clear(address[gap : 16-tail])
	return address, true
}

// parseGroup reads one to four hexadecimal digits.
func parseGroup(digits []byte) (value int, ok bool) {
	if len(digits) == 0 || len(digits) > 4 {
		return 0, false
	}
	for _, c := range digits {
		digit := unhex(c)
		if digit < 0 {
			return 0, false
		}
		value = value<<4 | digit
	}
	return value, true
}

// isHostPattern reports whether an API may be found by text: a host in normal form, or "*."
// and a registered name in that form.
func isHostPattern(text string) bool {
	name, wildcard := strings.CutPrefix(text, "*.")
	normal, ok := normalHost(nil, []byte(name))
	if !ok || string(normal) != name {
		return false
	}
	return !wildcard || name[0] != '[' && !isIPv4([]byte(name))
}
