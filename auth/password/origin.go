package password

import (
	"math"
	"net/netip"

	"sidekey/internal/ipaddr"
)

// origin is where a request comes from, as far as that is counted: the client's IPv4
// address, or the /64 of its IPv6 address, which one customer gets. An IPv6
// origin is the first half of the address. An IPv4 address is the second half of the
// IPv4-mapped form, ::ffff:a.b.c.d, so it cannot be mistaken for an IPv6 origin: nothing in
// 0:ffff::/32 is assigned, and an address there counts as unknown. 0 is no origin.
type origin uint64

const (
	unknownOrigin  origin = 1 // the proxy reported no address, or a text that is not one
	loopbackOrigin origin = 2 // ::/64
	ipv4Origin     origin = 0xffff << 32
)

// originOf returns the origin of a client's address as the proxy reports it, with or
// without a port and a zone. It allocates nothing for the forms that proxies send.
func originOf(client []byte) origin {
	if addr, ok := ipaddr.ParseIPv4(client); ok {
		return ipv4Origin | origin(addr)
	}
	if addr, ok := ipaddr.ParseIPv6(client); ok {
		return originOfAddr(netip.AddrFrom16(addr))
	}
	return parseOrigin(client)
}

// parseOrigin is originOf for all forms.
func parseOrigin(client []byte) origin {
	if len(client) == 0 || len(client) > 64 || !ipaddr.IsHex(client[0]) && client[0] != ':' && client[0] != '[' {
		return unknownOrigin // such as "unix:", which nginx reports
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
	return originOfAddr(addr)
}

func originOfAddr(addr netip.Addr) origin {
	if addr = addr.Unmap(); addr.Is4() {
		return originOfIPv4(addr.As4())
	}
	var high uint64
	b := addr.As16()
	for _, octet := range b[:8] {
		high = high<<8 | uint64(octet)
	}
	if high == nat64 && b[8]|b[9]|b[10]|b[11] == 0 {
		return originOfIPv4([4]byte(b[12:]))
	}
	return originOfHigh(high)
}

func originOfIPv4(b [4]byte) origin {
	return ipv4Origin | origin(b[0])<<24 | origin(b[1])<<16 | origin(b[2])<<8 | origin(b[3])
}

// nat64 is the first half of the addresses by which IPv4 clients are known in a network that
// speaks IPv6 alone: 64:ff9b::/96 (RFC 6052). As one /64, they would share their failures.
const nat64 = 0x0064_ff9b << 32

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

// network returns the network that a user's client may move in from one request to the next: the /24
// of an IPv4 address, the /64 of an IPv6 address.
func (o origin) network() network {
	if o.isIPv4() {
		return network(o &^ 0xff)
	}
	return network(o)
}

// network is the value of an [origin] that stands for its whole network.
type network uint64

// prefix is a part of the internet that shares its turns: see [turns].
type prefix struct {
	bits  origin
	level uint8
}

// Masks of the prefixes of an origin, the widest first: those of a provider, a customer, a site and a
// network. An IPv4 origin is a whole address.
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
