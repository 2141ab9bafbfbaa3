package config

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

// Address is the address of a listener. In the configuration it is "HOST:PORT" or "unix:/PATH". The
// host 0.0.0.0 means all IPv4 addresses of the machine; [::] or no host means all IPv4 and IPv6
// addresses. Port 0 means any free port.
type Address struct {
	Network string // "tcp", "tcp4" (0.0.0.0 alone) or "unix", for [net.Listen]
	Where   string // "HOST:PORT" or "/PATH", for [net.Listen]

	ip   netip.Addr // invalid for "unix" and for names other than localhost
	port uint64
}

// maxSocketPath is the maximum length of the path of a unix socket on Linux, in bytes.
const maxSocketPath = 107

var (
	errAddress = errors.New(`must be "HOST:PORT" with a port from 0 to 65535 ("[::1]:80" for IPv6), or "unix:/PATH"`)
	errSocket  = errors.New(`must be "unix:" and an absolute path of at most 107 bytes`)
)

// ParseAddress parses an address. The error says what it must be.
func ParseAddress(text string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(path) || len(path) > maxSocketPath || strings.ContainsFunc(path, unicode.IsControl) {
			return Address{}, errSocket
		}
		return Address{Network: "unix", Where: filepath.Clean(path)}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, errAddress
	}
	a := Address{Network: "tcp", Where: text}
	if a.port, err = strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, errAddress
	}
	switch {
	case host == "":
		a.ip = netip.IPv6Unspecified()
	case strings.EqualFold(host, "localhost"):
		a.ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		// A name is not resolved: its address may have changed at the next start.
		if a.ip, err = netip.ParseAddr(host); err != nil && !isHostName(host) {
			return Address{}, errAddress
		}
	}
	a.ip = a.ip.Unmap()
	if a.ip == netip.IPv4Unspecified() {
		a.Network = "tcp4" // with "tcp", [net.Listen] takes 0.0.0.0 for [::]
	}
	return a, nil
}

// isLoopback reports whether only this machine can reach the address. Of a name other than localhost,
// it assumes the opposite.
func (a Address) isLoopback() bool { return a.Network == "unix" || a.ip.IsLoopback() }

// isEverywhere reports whether the address means all addresses of the machine.
func (a Address) isEverywhere() bool { return a.ip.IsUnspecified() }

// meets reports whether two listeners cannot use these addresses at the same time.
func (a Address) meets(b Address) bool {
	if a.Network == "unix" || b.Network == "unix" {
		return a.Network == b.Network && a.Where == b.Where
	}
	sameHost := a.covers(b) || b.covers(a) || a.ip.IsValid() && a.ip == b.ip
	return a.port == b.port && a.port != 0 && (sameHost || strings.EqualFold(a.Where, b.Where))
}

// covers reports whether a means all addresses of the kind, IPv4 or IPv6, that b is. A name may be of
// either kind.
func (a Address) covers(b Address) bool {
	return a.isEverywhere() && (a.Network != "tcp4" || !b.ip.Is6() || b.ip == netip.IPv6Unspecified())
}

// isHostName reports whether text can be the name of a host or an IPv4 address. Names in the DNS have
// no underscores, but names in container networks do.
func isHostName(text string) bool {
	return text != "" && len(text) <= 253 && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r))
	})
}

// FileMode parses the permissions of a unix socket in octal, such as "0660".
func FileMode(text string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > 0o777 || mode&0o600 != 0o600 {
		return 0, errors.New(`must be permissions in octal, with those of the owner: "0600", "0660" or "0666"`)
	}
	return fs.FileMode(mode), nil
}
