package proxies

import (
	"path"
	"strconv"
	"strings"
	"testing"

	"sidekey/e2e/internal/proxytest"
	"sidekey/e2e/internal/sidekeytest"
)

// The proxy, sidekey and the application each read a path in their own way. These tests show that no
// client can use the differences.

// pathTricks are request targets that lead to /orders for some reader of paths, or did so in some
// published vulnerability. /public is granted.
var pathTricks = []string{
	// Plain paths.
	"/orders", "/orders/", "/orders/1", "/orders?x", "/orders/1?x=/public/",

	// Dot segments, plain and escaped in all ways.
	"/public/../orders", "/public/../orders/1", "/public/x/../../orders", "/public/./../orders", "/public/../../orders", "/public/../../../../orders",
	"/public/%2e%2e/orders", "/public/%2E%2E/orders", "/public/%2e%2E/orders", "/public/.%2e/orders", "/public/%2e./orders", "/public/%2e/%2e%2e/orders",
	"/./orders", "/%2e/orders", "/orders/.", "/orders/./1", "/orders/%2e/1", "/../orders", "/%2e%2e/orders",
	"/public/.../orders", "/public/..../orders", "/public/..orders", "/public/.. /orders", "/public/..%20/orders", "/public/..", "/public/../",
	"/orders/../public", "/orders/%2e%2e/public", "/orders/x/../1", "/public/..%2e/orders",

	// Slashes: several, escaped, backslashes.
	"//orders", "///orders/1", "/public//../orders", "/public/..//orders", "/public//..//orders", "/orders//1", "//public/../orders",
	"/public/..%2forders", "/public/..%2Forders", "/public%2f..%2forders", "/public%2F../orders", "/%2forders", "/%2Forders", "/orders%2f1", "/orders%2F..%2Fpublic",
	`/public\..\orders`, `/public/..\orders`, `/public\../orders`, `/\orders`, `\orders`, `/orders\1`, `\\orders`,
	"/public/..%5corders", "/public%5c..%5corders", "/public%5C..%5Corders", "/%5corders", "/orders%5c1",
	"/public/%c0%ae%c0%ae/orders", "/public/..%c0%aforders", "/public/..%ef%bc%8forders", "/public/%u002e%u002e/orders",

	// T-102: two slashes, or an equivalent, followed by an authority.
	"//public/orders", "///public/orders/1", "////public//orders", "//x/orders", "//public:80/orders", "//u@public/orders", "//public?/orders", "//public%3f/orders", "//public%2forders",
	`/\public/orders`, `\\public/orders`, `/\/public/orders`, `//\public/orders`, ";//public/orders", "/;/public/orders", "/;a/public/orders", "/%3b/public/orders", "/.//public/orders", "/./%2fpublic/orders",
	"/%2fpublic/orders", "/%5cpublic/orders", "http://public/orders", "http:///public/orders", "http://localhost//public/orders", "http:/public/orders", "https://public/orders", "http://public@/orders",

	// Path parameters.
	"/public/..;/orders", "/public/..;x=1/orders", "/public/..;/..;/orders", "/public;/../orders", "/public;x/../orders", "/public/;/../orders", "/public/..%3b/orders",
	"/public/.;/../orders", "/public/%2e%2e;/orders", "/public/..;%2forders", "/;/orders", "/.;/orders", "/..;/orders", "/orders/..;/public",

	// Escaped letters, escaped percent signs, and invalid escapes.
	"/%6frders", "/%6Frders", "/%6f%72%64%65%72%73", "/o%72ders/1", "/%6frders/%31", "/public/../%6frders",
	"/%256frders", "/public/%252e%252e/orders", "/public/..%252forders", "/public/%25%32%65%25%32%65/orders", "/public/%%32%65%%32%65/orders", "/public/..%255corders",
	"/public/%zz/../../orders", "/orders%", "/orders%2", "/orders/%zz", "/public/%/../../orders", "/%zz/../orders", "/public/..%2/orders", "/public/..%/orders",

	// Ends of strings and of lines.
	"/orders%00", "/orders%00/1", "/%00/orders", "/public%00/../orders", "/public/..%00/orders", "/public/%00../orders", "/orders%0a", "/orders%0d%0a", "/public/..%0d/orders",
	"/orders%20", "/orders.", "/orders..", "/orders/..", "/orders%09", "/public/..%0a/orders", "/orders%7f", "/orders\x7f", "/\x01/../orders", "/orders\x80",

	// Ends of paths.
	"/public?/../orders", "/public?x=/../orders", "/public%3f/../../orders", "/orders?/../public", "/orders%3f/../public", "/?/../orders",
	"/public#/../orders", "/public#/../../orders", "/orders#/../public", "/public/../orders#", "/#/../orders", "/public%23/../../orders", "/orders%23/../public", "?/orders", "#/orders",

	// Other forms of a target.
	"http://localhost/orders", "http://localhost/public/../orders", "HTTP://LOCALHOST/orders/1", "http://localhost//orders", "http://localhost\\orders",
	"http://localhost/public/%2e%2e/orders", "http://localhost:80/orders", "http://user:pass@localhost/orders", "http:///orders", "http://localhost?/orders",
	"http://localhost/orders?http://localhost/public", "https://localhost/orders", "ftp://localhost/orders", "http:/orders", "http:orders",
	"//localhost/orders", "///localhost/../orders", "orders", "./orders", "../orders", "*", "*/orders", "@orders", "@public/orders", "@public/../orders", "/@public/../orders",
	"localhost:80", "/auth/envoy@public/orders", "/auth/nginx", "/_auth", "//_auth", "/%5fauth", "/_auth?/orders",

	// Long targets.
	"/public/" + strings.Repeat("a/../", 1500) + "../orders", "/public/" + strings.Repeat("../", 2500) + "orders", "/orders/" + strings.Repeat("a", 8000),
	"/" + strings.Repeat("/", 7000) + "orders", "/public/" + strings.Repeat("a", 9000) + "/../../orders", "/orders?" + strings.Repeat("a", 7900),
	"/public?" + strings.Repeat("a", 60_000), "/public/" + strings.Repeat("%2e%2e/", 1100) + "orders",
}

// plainPaths must get through: a proxy that refuses everything proves nothing.
var plainPaths = []string{"/public", "/public/", "/public/1?x=2", "/public/%41", "/public/a%20b", "/public/x/../y", "/public//x", "/public/%C3%A4", "/public/...", "/public/a;b=c"}

// underOrders returns the reading by which a target is below /orders, or "".
func underOrders(target string) (reading string) {
	raw, _, _ := strings.Cut(target, "?")
	once := unescape(raw)
	twice := unescape(unescape(once))
	for _, r := range []struct{ name, path string }{
		{"raw", raw},
		{"cleaned", path.Clean(raw)},
		{"decoded", once},
		{"decoded and cleaned", path.Clean(once)},
		{"decoded until nothing is left to decode, and cleaned", path.Clean(twice)},
		{"decoded and cleaned, with a backslash as slash", path.Clean(strings.ReplaceAll(twice, `\`, "/"))},
		{"behind an authority", path.Clean(withoutAuthority(raw))},
		{"decoded, behind an authority", path.Clean(withoutAuthority(strings.ReplaceAll(twice, `\`, "/")))},
	} {
		if r.path == "/orders" || strings.HasPrefix(r.path, "/orders/") {
			return r.name
		}
	}
	return ""
}

// withoutAuthority returns the path that many readers see after a scheme, two slashes and an
// authority.
func withoutAuthority(target string) string {
	if scheme, rest, found := strings.Cut(target, ":"); found && !strings.Contains(scheme, "/") {
		target = "//" + rest
	}
	if !strings.HasPrefix(target, "//") {
		return target
	}
	_, path, _ := strings.Cut(strings.TrimLeft(target, "/"), "/")
	return "/" + path
}

// unescape decodes valid escapes and leaves the rest, as lenient readers do.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Through each proxy with its example configuration, no target that is below /orders for some reader
// reaches the application because of a right to the other API. T-102: targets with an authority.
func TestProxyPaths(t *testing.T) {
	for _, layout := range []struct{ name, apis string }{
		{"nothing else", `
[[apis]]
id = "public"
listen_path = "/public"

[[apis]]
id = "orders"
listen_path = "/orders"
`},
		{"all the rest is granted", `
[[apis]]
id = "public"
listen_path = "/"

[[apis]]
id = "orders"
listen_path = "/orders"
`},
	} {
		for _, p := range proxytest.Proxies {
			t.Run(layout.name+"/"+p.Name, func(t *testing.T) {
				s := sidekeytest.Start(t, sidekeytest.Listeners+layout.apis)
				s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("public")))
				application := sidekeytest.StartUpstream(t)
				addr := p.Start(t, application.Addr, s.CheckAddr)
				ann := sidekeytest.Basic("ann", "pw")
				try := func(target string) (sidekeytest.Answer, []sidekeytest.Message) {
					got, _ := sidekeytest.Send(t, addr, sidekeytest.Get(target, ann))
					return got, application.Take()
				}

				for _, target := range plainPaths {
					if got, seen := try(target); got.Status != 200 || len(seen) != 1 {
						t.Errorf("%s: has to get through: %v", target, got)
					}
				}
				reached := 0
				for _, target := range pathTricks {
					got, seen := try(target)
					if got.Status/100 == 2 && len(seen) == 0 {
						t.Errorf("%.200q: the client got %v, and the application was not reached", target, got)
					}
					if got.Status >= 500 {
						t.Errorf("%.200q: a client can cause %v", target, got)
					}
					for _, at := range seen {
						reached++
						if reading := underOrders(at.Target); reading != "" {
							t.Errorf("%.200q: the application got %.200q, which is under /orders (%s)", target, at.Target, reading)
						}
					}
				}
				t.Logf("%d tricks, %d reached the application", len(pathTricks), reached)
			})
		}
	}
}
