package password

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"sidekey/internal/ipaddr"
)

// T-50: each client is counted as one, however its address is written.
func TestT50Origins(t *testing.T) {
	for _, same := range [][]string{
		{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:1234", "[::ffff:192.0.2.1]:1", "::ffff:c000:201", "64:ff9b::192.0.2.1", "[64:ff9b::c000:201]:80"},
		{"2001:db8::1", "2001:db8:0:0:1::1", "2001:db8::ffff:ffff:ffff:ffff", "[2001:db8::2]:80", "2001:DB8::3", "2001:db8::1%eth0"},
		{"", "unknown", "192.0.2", "192.0.2.256", "_hidden", "a.example.com", strings.Repeat("1", 100), "192.0.2.1, 192.0.2.2", "010.0.0.1", "0:ffff:c000:201::1", "0:0:0:1::", "0:0:0:2::"},
		{"192.0.2.2"}, {"2001:db8:0:1::1"}, {"64:ff9b::1:0:1", "64:ff9b:0:0:1::"}, {"::1", "::", "0:0:0:0:1::"},
	} {
		for _, s := range same {
			if got, want := originOf([]byte(s)), originOf([]byte(same[0])); got != want {
				t.Errorf("%q counts for %x, not %x", s, got, want)
			}
		}
	}
	seen := make(map[origin]string)
	for _, s := range []string{"192.0.2.1", "2001:db8::1", "", "192.0.2.2", "2001:db8:0:1::1", "::1", "64:ff9b::192.0.2.3", "64:ff9b::192.0.2.4", "64:ff9b::1:0:1"} {
		if other, taken := seen[originOf([]byte(s))]; taken {
			t.Errorf("%q and %q count together", s, other)
		}
		seen[originOf([]byte(s))] = s
	}
}

// The quick parsers agree with netip.
func TestOriginsLikeNetip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	quick := 0
	f := func(text string) {
		t.Helper()
		if got, want := originOf([]byte(text)), parseOrigin([]byte(text)); got != want {
			t.Fatalf("%q: %x, want %x", text, got, want)
		}
		addr, err := netip.ParseAddr(text)
		if _, ok := ipaddr.ParseIPv4([]byte(text)); ok {
			quick++
			if err != nil || !addr.Is4() {
				t.Fatalf("%q is no IPv4 address", text)
			}
		}
		if _, ok := ipaddr.ParseIPv6([]byte(text)); ok {
			quick++
			if err != nil || !addr.Is6() {
				t.Fatalf("%q is no IPv6 address", text)
			}
		}
	}
	for range 50_000 {
		var b [16]byte
		for i := range b {
			if random.IntN(2) == 0 {
				b[i] = byte(random.Uint32())
			}
		}
		six, four := netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[:]))
		text := six.String()
		f(text)
		f(six.StringExpanded())
		f(four.String())
		f(fmt.Sprintf("[%s]:80", text))
		// One character more, less or another.
		for _, text := range []string{text, four.String()} {
			i := random.IntN(len(text))
			c := string("0123456789abcdefABCDEFg:.%[]- \x00\xff"[random.IntN(32)])
			f(text[:i] + c + text[i:])
			f(text[:i] + text[i+1:])
			f(text[:i] + c + text[i+1:])
		}
	}
	for _, text := range []string{"", ":", "::", ":::", "1", "1:", ":1", "::1:", ":1::", "1::2::3", "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "1::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "00001::", "1.2.3.4.", ".1.2.3", "1..2.3"} {
		f(text)
	}
	if quick < 100_000 {
		t.Errorf("only %d were read quickly", quick)
	}
}

// The network of a user's client, and the prefixes that share turns.
func TestOriginPrefixes(t *testing.T) {
	same := func(a, b string) string {
		x, y := originOf([]byte(a)), originOf([]byte(b))
		text := ""
		for level := range prefixLevels {
			text += fmt.Sprint(x.prefix(level) == y.prefix(level), " ")
		}
		return text + fmt.Sprint(x.network() == y.network())
	}
	for _, c := range []struct{ a, b, want string }{
		{"2001:db8:1:201::1", "2001:db8:1:201::2", "true true true true true"},
		{"2001:db8:1:201::1", "2001:db8:1:202::1", "true true true false false"},
		{"2001:db8:1:201::1", "2001:db8:1:301::1", "true true false false false"},
		{"2001:db8:1:201::1", "2001:db8:2:201::1", "true false false false false"},
		{"2001:db8:1:201::1", "2001:db9:1:201::1", "false false false false false"},
		{"192.0.2.1", "192.0.2.1", "true true true true true"},
		{"192.0.2.1", "192.0.2.2", "true true false false true"},
		{"192.0.2.1", "192.0.3.1", "true false false false false"},
		{"192.0.2.1", "192.1.2.1", "false false false false false"},
		{"192.0.2.1", "", "false false false false false"},
	} {
		if got := same(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %s, want %s", c.a, c.b, got, c.want)
		}
	}
}

func BenchmarkOrigin(b *testing.B) {
	for _, text := range []string{"203.0.113.17", "2001:db8:1:2:3:4:5:6", "2001:db8::1"} {
		b.Run(text, func(b *testing.B) {
			client := []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				if originOf(client) == unknownOrigin {
					b.Fatal("unknown")
				}
			}
		})
	}
}
