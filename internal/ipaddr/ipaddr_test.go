package ipaddr

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// An IPv6 address is read as the standard library reads it.
func TestParseIPv6(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	pieces := []string{":", "::", "0", "1", "ffff", "1.2.3.4", "a:b:c", "::1", "12345", "0:0", "01", "1.2.3.400", "%x"}
	valid := 0
	for range 200_000 {
		var b strings.Builder
		for range 1 + random.IntN(12) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		text := b.String()
		want, err := netip.ParseAddr(text)
		isValid := err == nil && want.Is6() && want.Zone() == ""
		got, ok := ParseIPv6([]byte(text))
		if ok != isValid || ok && netip.AddrFrom16(got) != want {
			t.Fatalf("%q: %v, %v; want %v, %v", text, netip.AddrFrom16(got), ok, want, err)
		}
		if ok {
			valid++
		}
	}
	if valid < 1000 {
		t.Errorf("only %d addresses were valid", valid)
	}
}
