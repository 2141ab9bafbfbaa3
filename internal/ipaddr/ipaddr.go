// Package ipaddr parses IP addresses out of bytes, without allocating. net/netip takes strings.
package ipaddr

import (
	"bytes"
	"encoding/binary"
)

// ParseIPv4 parses four decimal numbers from 0 to 255, without leading zeros, which some readers
// take for octal. Like [ParseIPv6] it takes bytes, so it allocates nothing.
func ParseIPv4(text []byte) (addr uint32, ok bool) {
	var octet uint32
	digits, dots := 0, 0
	for _, c := range text {
		digit := c - '0'
		switch {
		case digit <= 9:
			if digits > 0 && octet == 0 {
				return 0, false
			}
			if octet = octet*10 + uint32(digit); octet > 255 {
				return 0, false
			}
			digits++
		case c == '.' && digits > 0 && dots < 3:
			addr = addr<<8 | octet
			octet, digits = 0, 0
			dots++
		default:
			return 0, false
		}
	}
	return addr<<8 | octet, dots == 3 && digits > 0
}

// IsIPv4 reports whether text is what ParseIPv4 parses.
func IsIPv4(text []byte) bool {
	_, ok := ParseIPv4(text)
	return ok
}

// ParseIPv6 reads an IPv6 address as RFC 4291, section 2.2, writes it. Unlike
// [netip.ParseAddr] it takes bytes, and so allocates nothing.
func ParseIPv6(text []byte) (address [16]byte, ok bool) {
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
		case end < 0 && filled <= 12 && bytes.IndexByte(group, '.') >= 0:
			value, valid := ParseIPv4(group)
			if !valid {
				return address, false
			}
			binary.BigEndian.PutUint32(address[filled:], value)
			filled += 4
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
		digit := hexDigits[c]
		if digit > 15 {
			return 0, false
		}
		value = value<<4 | int(digit)
	}
	return value, true
}

// IsHex reports whether c is a hexadecimal digit.
func IsHex(c byte) bool { return hexDigits[c] < 16 }

// hexDigits are the values of hexadecimal digits, and 0xff for any other character.
var hexDigits = func() (values [256]byte) {
	for c := range values {
		values[c] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		values[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		values[c] = byte(10 + i)
	}
	return values
}()
