package auth

import (
	"math"
	"net/netip"
)

// origin is where a request comes from, as far as that is counted: the client's IPv4
// address, or the /64 of its IPv6 address, which is what one customer gets. An IPv6
// origin is the first half of the address. An IPv4 address is the second half of the
// IPv4-mapped form, ::ffff:a.b.c.d, so it cannot be mistaken for an IPv6 origin: nothing in
// 0:ffff::/32 is assigned, and an address there counts as unknown. 0 is no origin.
type origin uint64

const (
	unknownOrigin  origin = 1 // the proxy reported no address, or text that is none
	loopbackOrigin origin = 2 // ::/64
	ipv4Origin     origin = 0xffff << 32
)

// originOf returns the origin of a client's address as the proxy reports it, with or
// without a port and a zone. It allocates nothing for the forms that proxies send.
func originOf(client []byte) origin {
	if addr, ok := parseIPv4(client); ok {
		return ipv4Origin | origin(addr)
	}
	if high, ok := parseIPv6(client); ok && high != 0 {
		return originOfHigh(high)
	}
	return parseOrigin(client)
}

// parseOrigin is originOf for every form.
func parseOrigin(client []byte) origin {
	if len(client) == 0 || len(client) > 64 || hexDigits[client[0]] > 15 && client[0] != ':' && client[0] != '[' {
		return unknownOrigin // as nginx says "unix:"
	}
	text := string(client)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return unknownOrigin
		}
		addr = with.Addr()
	}
	if addr = addr.Unmap(); addr.Is4() {
		b := addr.As4()
		return ipv4Origin | origin(b[0])<<24 | origin(b[1])<<16 | origin(b[2])<<8 | origin(b[3])
	}
	var high uint64
	b := addr.As16()
	for _, octet := range b[:8] {
		high = high<<8 | uint64(octet)
	}
	return originOfHigh(high)
}

func originOfHigh(high uint64) origin {
	switch {
	case high == 0:
		return loopbackOrigin
	case high <= uint64(loopbackOrigin), high>>32 == 0xffff:
		return unknownOrigin
	}
	return origin(high)
}

func (o origin) isIPv4() bool { return o>>32 == 0xffff }

// network returns what a user's client may move in from one request to the next: the /24 of
// an IPv4 address, the /64 of an IPv6 address.
func (o origin) network() network {
	if o.isIPv4() {
		return network(o &^ 0xff)
	}
	return network(o)
}

// network is the value of an [origin] that stands for its whole network.
type network uint64

// prefix is a part of the internet that shares what it is given: see [turns].
type prefix struct {
	bits  origin
	level uint8
}

// Masks of the prefixes that an origin is in, the widest first: what a provider, a
// customer, a site and a network get. An IPv4 origin is a whole address.
var (
	ipv6Masks = [...]origin{math.MaxUint64 &^ 0xffff_ffff, math.MaxUint64 &^ 0xffff, math.MaxUint64 &^ 0xff, math.MaxUint64}
	ipv4Masks = [...]origin{math.MaxUint64 &^ 0xffff, math.MaxUint64 &^ 0xff, math.MaxUint64, math.MaxUint64}
)

const prefixLevels = len(ipv6Masks)

// prefix returns the prefix of an origin at a level: /32, /48, /56 and /64 of IPv6; /16, /24
// and the address itself of IPv4.
func (o origin) prefix(level int) prefix {
	masks := &ipv6Masks
	if o.isIPv4() {
		masks = &ipv4Masks
	}
	return prefix{o & masks[level], uint8(level)}
}

// parseIPv4 parses the dotted form alone, as netip does.
func parseIPv4(text []byte) (addr uint32, ok bool) {
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

// parseIPv6 returns the first half of an IPv6 address in hexadecimal groups, without a port,
// a zone or an IPv4 address in it.
func parseIPv6(text []byte) (high uint64, ok bool) {
	var groups [8]uint16
	var group uint16
	n, digits, gap := 0, 0, -1 // gap: how many groups stand in front of "::"
	for i, c := range text {
		if digit := hexDigits[c]; digit < 16 {
			if digits == 4 || n == len(groups) {
				return 0, false
			}
			group = group<<4 | uint16(digit)
			digits++
			continue
		}
		switch {
		case c != ':':
			return 0, false
		case digits > 0:
			groups[n] = group
			group, digits = 0, 0
			n++
		case i > 0 && text[i-1] == ':' && gap < 0:
			gap = n
		case i > 0:
			return 0, false
		}
	}
	switch {
	case digits > 0:
		groups[n] = group
		n++
	case gap != n:
		return 0, false // a single colon at the end, or nothing
	}
	if len(text) > 1 && text[0] == ':' && text[1] != ':' {
		return 0, false
	}
	if gap < 0 && n != len(groups) || gap >= 0 && n == len(groups) {
		return 0, false
	}
	for i := range 4 {
		switch behind := i - (len(groups) - n); {
		case gap < 0 || i < gap:
			high = high<<16 | uint64(groups[i])
		case behind >= gap:
			high = high<<16 | uint64(groups[behind])
		default:
			high <<= 16
		}
	}
	return high, true
}

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
