package route

import (
	"bytes"
	"net/netip"
	"strings"

	"sidekey/internal/ipaddr"
	"sidekey/internal/problem"
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
// with at most one dot after a name or an IPv4 address, and at most one port, which is a colon and
// digits. This is less than RFC 9110 allows, because readers of a Host header disagree about the rest:
// some cut at the first colon and some at the last, some cut at an @ or a comma, some decode escapes,
// some take 127.1 for 127.0.0.1. Underscores are allowed because container platforms use them in names
// and no reader gives them a meaning.
//
// A host that is in that form already is returned without a copy. Other hosts are written to dst.
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
	if len(name) == 0 || len(name) > problem.MaxName {
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
	case isNumericLabel(name[label:]) && !ipaddr.IsIPv4(name):
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

// isNumericLabel reports whether browsers and Node.js take a label for a number. They take a host that
// ends in one for an IPv4 address, in one of many spellings (URL Standard, "ends in a number checker").
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

// normalIPv6 is normalHost for a host that begins with a bracket.
func normalIPv6(dst, host []byte) (name []byte, ok bool) {
	end := bytes.IndexByte(host, ']')
	if end < 0 || !isPort(host[end+1:]) {
		return nil, false
	}
	address, ok := ipaddr.ParseIPv6(host[1:end])
	if !ok {
		return nil, false
	}
	dst = append(dst[:0], '[')
	dst = netip.AddrFrom16(address).AppendTo(dst)
	return append(dst, ']'), true
}

// isHostPattern reports whether text may be one of an API's hosts: a host in normal form, or "*." and a
// registered name in that form.
func isHostPattern(text string) bool {
	name, wildcard := strings.CutPrefix(text, "*.")
	normal, ok := normalHost(nil, []byte(name))
	if !ok || string(normal) != name {
		return false
	}
	return !wildcard || name[0] != '[' && !ipaddr.IsIPv4([]byte(name))
}
