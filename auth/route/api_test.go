package route

import (
	"math"
	"strings"
	"testing"

	"sidekey/internal/problem"
	"sidekey/limiter"
)

// api is an active API of the org "default" at a path on hosts.
func api(id, path string, hosts ...string) API {
	return API{ID: id, Name: id, Org: "default", ListenPath: path, Hosts: hosts, DefaultVersion: "Default", Realm: "sidekey", Active: true}
}

func mustAPIs(t testing.TB, list ...API) *APIs {
	t.Helper()
	apis, err := NewAPIs(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	return apis
}

// A host of its own beats a wildcard, which beats any host; then the longest path wins.
func TestAPIsFind(t *testing.T) {
	apis := mustAPIs(t,
		api("any", "/"),
		api("any-orders", "/orders"),
		api("shop", "/", "shop.example.com", "store.example.com"),
		api("shop-orders", "/orders/", "shop.example.com"),
		api("shop-orders-new", "/orders/new", "shop.example.com"),
		api("below", "/", "*.example.com"),
		api("below-admin", "/admin", "*.example.com"),
		api("bare", "/bare", "example.com"),
	)
	f := func(host, path, want string) {
		t.Helper()
		name, ok := apis.host(nil, []byte(host))
		got, _ := apis.find(name, []byte(path))
		if !ok || got == nil || got.ID != want {
			t.Errorf("%s%s: %v, %v, want %s", host, path, got, ok, want)
		}
	}
	// Hosts.
	f("shop.example.com", "/", "shop")
	f("store.example.com", "/", "shop")
	f("other.example.com", "/", "below")
	f("a.b.example.com", "/", "below")
	f("example.com", "/", "any") // the wildcard is for hosts below
	f("example.org", "/", "any")
	f("notexample.com", "/", "any")
	f("shop.example.com.evil.org", "/", "any")
	f("evilshop.example.com", "/", "below")
	// Case, port, trailing dot, and all of them.
	f("SHOP.Example.COM", "/", "shop")
	f("shop.example.com:443", "/", "shop")
	f("shop.example.com.", "/", "shop")
	f("Shop.Example.com.:8080", "/", "shop")
	f("X.EXAMPLE.COM:1", "/", "below")
	// No API has this host.
	f("[::1]", "/", "any")
	f("[::1]:443", "/", "any")
	f("127.0.0.1", "/", "any")
	f(strings.Repeat("a", 243)+".example.com", "/", "below")
	// Paths, by whole segments.
	f("example.org", "/orders", "any-orders")
	f("example.org", "/orders/", "any-orders")
	f("example.org", "/orders/1", "any-orders")
	f("example.org", "/orders2", "any")
	f("example.org", "/order", "any")
	f("example.org", "/Orders", "any")
	f("example.org", "/x/orders", "any")
	// A path with a slash at its end is also there without it.
	f("shop.example.com", "/orders", "shop-orders")
	f("shop.example.com", "/orders/", "shop-orders")
	f("shop.example.com", "/orders/1", "shop-orders")
	f("shop.example.com", "/orders/new", "shop-orders-new")
	f("shop.example.com", "/orders/new/", "shop-orders-new")
	f("shop.example.com", "/orders/newer", "shop-orders")
	f("shop.example.com", "/orders2", "shop")
	// The host counts more than the path: another host's longer path is not asked.
	f("store.example.com", "/orders", "shop")
	f("store.example.com", "/admin", "shop")
	f("x.example.com", "/admin/1", "below-admin")
	f("x.example.com", "/orders", "below")
	// Where the host's own APIs do not have the path, the others are asked.
	f("example.com", "/bare/1", "bare")
	f("example.com", "/orders", "any-orders")
}

// The longest wildcard is the closest, in whatever order they stand.
func TestAPIsClosestWildcard(t *testing.T) {
	long, short := api("long", "/", "*.api.example.com", "*.x.org"), api("short", "/", "*.org", "*.example.com", "*.com")
	own := api("own", "/", "a.api.example.com")
	for _, list := range [][]API{{long, short, own}, {own, short, long}, {short, own, long}} {
		apis := mustAPIs(t, list...)
		for host, want := range map[string]string{
			"a.api.example.com": "own", "b.api.example.com": "long", "a.b.api.example.com": "long", "api.example.com": "short",
			"a.com": "short", "a.x.org": "long", "x.org": "short", "y.org": "short",
		} {
			if got, _ := apis.find([]byte(host), []byte("/")); got == nil || got.ID != want {
				t.Errorf("%s: %v, want %s", host, got, want)
			}
		}
	}
	// All paths of the closer wildcard are one API's: the other's do not matter there.
	apis := mustAPIs(t, api("long", "/", "*.api.example.com"), api("short", "/orders", "*.example.com"))
	if _, depends := apis.find([]byte("a.api.example.com"), []byte("/orders")); depends {
		t.Error("the path matters where one API has them all")
	}
}

func TestAPIsFindNothing(t *testing.T) {
	apis := mustAPIs(t, api("orders", "/orders", "shop.example.com"), api("below", "/x", "*.example.com"))
	f := func(host, path string, wantDepends bool) {
		t.Helper()
		got, depends := apis.find([]byte(host), []byte(path))
		if got != nil || depends != wantDepends {
			t.Errorf("%s%s: %v, depends on the path: %v, want %v", host, path, got, depends, wantDepends)
		}
	}
	f("example.org", "/orders", false)
	f("example.com", "/orders", false)
	f("", "/orders", false)
	f("shop.example.com", "/", true)
	f("shop.example.com", "/order", true)
	f("a.example.com", "/orders", true)
}

// The path does not matter if all paths lead to the same API.
func TestAPIsDepends(t *testing.T) {
	f := func(host string, want bool, list ...API) {
		t.Helper()
		apis := mustAPIs(t, list...)
		for _, path := range [][]byte{nil, []byte("/"), []byte("/orders"), []byte("/x")} {
			if _, depends := apis.find([]byte(host), path); depends != want {
				t.Errorf("%s%s: depends on the path: %v, want %v", host, path, depends, want)
			}
		}
	}
	f("a.org", false)
	f("a.org", false, api("one", "/"))
	f("a.org", true, api("one", "/orders"))
	f("a.org", true, api("one", "/"), api("two", "/orders"))
	f("a.org", false, api("one", "/"), api("two", "/orders", "b.org"))
	f("b.org", true, api("one", "/"), api("two", "/orders", "b.org"))
	f("a.org", false, api("one", "/", "a.org"), api("two", "/", "*.org"), api("three", "/"))
	// All paths of the host are one API's, so no other API's path can matter.
	f("a.org", false, api("one", "/", "a.org"), api("two", "/orders"))
	f("x.a.org", false, api("one", "/", "*.a.org"), api("two", "/orders"))
}

// Paths that could be read in two ways are refused only if that matters.
func TestAPIsAmbiguousPath(t *testing.T) {
	f := func(apis *APIs, uri string, want Outcome, wantID string) {
		t.Helper()
		got, outcome := apis.Find(Target{Host: []byte("a.org"), URI: []byte(uri)})
		if outcome != want || (got == nil) != (wantID == "") || got != nil && got.ID != wantID {
			t.Errorf("%q: %v, %v; want %v, %q", uri, outcome, got, want, wantID)
		}
	}
	// One API for everything: whatever the path is, it is its.
	one := mustAPIs(t, api("one", "/"))
	for _, uri := range []string{"/a", "/a%2fb", "/a/..;/b", "/%zz", "*", "http://a.org/", "", "/a;b", "/a/../b", "/\xff"} {
		f(one, uri, Found, "one")
	}
	// Two: the path decides, and has to be clear.
	two := mustAPIs(t, api("root", "/"), api("orders", "/orders"))
	f(two, "/", Found, "root")
	f(two, "/orders", Found, "orders")
	f(two, "/orders?/../x", Found, "orders")
	f(two, "/x/y", Found, "root")
	f(two, "/x;y=z", Found, "root")
	f(two, "/x/../y", Found, "root")
	f(two, "/orders/1;v=2", Found, "orders")
	f(two, "/orders//1", Found, "orders")
	f(two, "/orders/%31", Found, "orders")
	f(two, "/orders/./1/../2", Found, "orders")
	// Escapes that need not be there are read alike by all, and so are doubled slashes below a
	// listen path.
	f(two, "/%6frders", Found, "orders")
	f(two, "/orders//1", Found, "orders")
	// T-102: at the beginning, doubled slashes are followed by a host for some.
	f(two, "//orders", Ambiguous, "")
	f(two, "///orders/x", Ambiguous, "")
	f(two, "//x/orders/1", Ambiguous, "")
	f(two, "//orders/orders/1", Ambiguous, "") // with empty segments kept, it is not below /orders
	f(two, "//x/y", Found, "root")
	f(two, "//x", Found, "root")
	f(two, "//", Found, "root")
	f(two, "/;v/x/orders/1", Ambiguous, "")
	f(two, "/%3b/x/orders/1", Ambiguous, "")
	f(two, "//x%3f/y", Found, "root")
	f(two, "//orders%3f/orders", Ambiguous, "")
	f(two, `/\x/orders/1`, Ambiguous, "")
	f(two, `\\x/orders/1`, Ambiguous, "")
	f(two, ";//x/orders/1", Ambiguous, "")
	f(two, "/%2fx/orders/1", Ambiguous, "")
	f(two, "/%5cx/orders/1", Ambiguous, "")
	f(two, "/./%2fx/orders/1", Ambiguous, "")
	// Parameters dropped before the end is looked for: ///orders, then /orders.
	f(two, "/;%3f/orders%3fx", Ambiguous, "")
	// Escaped slashes, backslashes and percent signs where nothing depends on them.
	f(two, "/orders/group%2fproject", Found, "orders")
	f(two, "/orders/@scope%2Fname/1", Found, "orders")
	f(two, "/orders/100%25", Found, "orders")
	f(two, "/orders/100%25/x", Found, "orders")
	f(two, "/orders/a%5cb", Found, "orders")
	f(two, "/orders/a%252fb", Found, "orders")
	f(two, "/x/a%2fb", Found, "root")
	f(two, "/orders%2fx", Ambiguous, "")
	f(two, "/orders%5cx", Ambiguous, "")
	f(two, "/orders%252fx", Ambiguous, "")
	f(two, "/%256frders", Ambiguous, "")
	f(two, "/orders/..%2fx", Ambiguous, "")
	f(two, "/orders/%252e%252e/x", Ambiguous, "")
	f(two, "/orders/%25252e", Ambiguous, "")
	f(two, "/orders/a%2f%25", Ambiguous, "") // several kinds
	f(two, "/orders/a%2f;b", Ambiguous, "")
	f(two, "/orders/a%2f/b", Ambiguous, "")
	f(two, "/orders/a%2f%00", Ambiguous, "")
	f(two, "/orders/a%253fb", Ambiguous, "")
	f(two, "/orders/a%2f%zz", Ambiguous, "")
	f(two, "/orders/a%2f%ff", Ambiguous, "")
	// Dotted, with parameters: another API for some reader.
	f(two, "/x/../orders", Ambiguous, "")
	f(two, "/orders/../x", Ambiguous, "")
	f(two, "/./orders", Ambiguous, "")
	f(two, "/orders;v=2", Ambiguous, "")
	f(two, "/orders;v=2/1", Ambiguous, "")
	f(two, "/orders%3bv=2/1", Ambiguous, "")
	f(two, "/;/orders", Ambiguous, "")
	f(two, "/x%2forders", Found, "root")
	f(two, "/x/..%2forders", Ambiguous, "")
	f(two, "/..;/orders", Ambiguous, "")
	f(two, "/orders#/../x", Ambiguous, "")
	f(two, "/orders%00", Ambiguous, "")
	f(two, "*", Ambiguous, "")
	f(two, "http://a.org/orders", Ambiguous, "")
	f(two, "", Ambiguous, "")
	f(two, "/"+strings.Repeat("x", MaxPath), Ambiguous, "")
	// Readers that decode before they look for the end.
	f(two, "/orders%3f/../x", Ambiguous, "")
	f(two, "/orders%3fx", Ambiguous, "")
	f(two, "/orders%23", Ambiguous, "")
	f(two, "/orders%3Fx/y", Ambiguous, "")
	f(two, "/orders;x%3fy", Ambiguous, "")
	f(two, "/orders/what%3f", Found, "orders")
	f(two, "/orders/what%3f/x;y", Found, "orders")
	f(two, "/orders/a%23b", Found, "orders")
	f(two, "/orders/a%23b/c;d", Found, "orders")
	f(two, "/what%3f/orders", Found, "root")
	f(two, "/what%23", Found, "root")
	// Readers for whom .. leaves an empty segment: /orders for them, /x for others.
	f(two, "/x//../../orders//../x", Ambiguous, "")
	f(two, "/x//../y", Ambiguous, "")
	f(two, "/x/../y/", Found, "root")
	// Readers that resolve dots before they decode.
	f(two, "/x/../orders/%2e%2e/x", Ambiguous, "")
	f(two, "/x/%2e/y", Ambiguous, "")
	f(two, "/x/.%2e/y", Ambiguous, "")
	f(two, "/x/..%3f/y", Ambiguous, "")
	f(two, "/x/./y;z", Ambiguous, "")
	// A path without an API stays without one.
	orders := mustAPIs(t, api("orders", "/orders"))
	f(orders, "/x", Unknown, "")
	f(orders, "/x/%79", Unknown, "")
	f(orders, "/orders/../x", Ambiguous, "")
}

func TestAPIsFindByID(t *testing.T) {
	inactive := api("off", "/off")
	inactive.Active = false
	apis := mustAPIs(t, api("root", "/"), api("orders", "/orders", "b.org"), inactive)
	f := func(id string, want Outcome) {
		t.Helper()
		// The name comes from the proxy's configuration: host and path are not asked.
		got, outcome := apis.Find(Target{Named: []byte(id), Host: []byte("a.org"), URI: []byte("/%2f/../x")})
		if outcome != want || want == Found && got.ID != id || want != Found && got != nil {
			t.Errorf("%q: %v, %v", id, got, outcome)
		}
	}
	f("root", Found)
	f("orders", Found)
	f("off", Unknown)
	f("Orders", Unknown)
	f("orders ", Unknown)
	f("", Unknown)
	// One that is switched off is not there, and what it hides stays hidden.
	if got, outcome := apis.Find(Target{Host: []byte("a.org"), URI: []byte("/off/1")}); outcome != Unknown || got != nil {
		t.Errorf("an inactive API: %v, %v", got, outcome)
	}
}

func TestAPIsBad(t *testing.T) {
	f := func(change func(a *API), want string) {
		t.Helper()
		a := api("orders", "/orders")
		change(&a)
		_, err := NewAPIs([]API{api("first", "/first", "a.org"), a}, nil)
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(func(a *API) { a.ID = "" }, `apis[1].id = "": must be a name of 1 to 255 bytes`)
	f(func(a *API) { a.ID = "a/b" }, `apis[1].id = "a/b": must not contain / ? # @: it is part of the proxy's path`)
	f(func(a *API) { a.ID = "first" }, `apis[1].id = "first": must be unique: another API has this id`)
	f(func(a *API) { a.ID = " a" }, `apis[1].id = " a": must not begin or end with white space`)
	f(func(a *API) { a.Org = "" }, `apis[1].org_id = "": must be a name of 1 to 255 bytes`)
	f(func(a *API) { a.Name = "a\nb" }, `apis[1].name = "a\nb": must not contain the control character U+000A`)
	f(func(a *API) { a.Realm = "a\x00" }, `apis[1].realm = "a\x00": must not contain the control character U+0000`)
	f(func(a *API) { a.Versions, a.VersionHeader = []string{""}, "v" }, `apis[1].versions[0] = "": must not be empty`)
	f(func(a *API) { a.Versions = []string{"v1"} }, `apis[1].version_header: must be the name of a request header`)
	f(func(a *API) { a.Versions, a.VersionHeader = []string{"v1"}, "x y" }, `apis[1].version_header = "x y": must be the name of a request header`)
	f(func(a *API) { a.Rate = math.NaN() }, `apis[1].rate = NaN: must be a finite number`)
	f(func(a *API) { a.Per = math.Inf(1) }, `apis[1].per = +Inf: must be a finite number`)
	const path = ": must be a path in plain form: a slash first, no escapes, no dot segments, no //"
	f(func(a *API) { a.ListenPath = "" }, `apis[1].listen_path`+path)
	f(func(a *API) { a.ListenPath = "orders" }, `apis[1].listen_path = "orders"`+path)
	f(func(a *API) { a.ListenPath = "/a/../b" }, `apis[1].listen_path = "/a/../b"`+path)
	f(func(a *API) { a.ListenPath = "/a//b" }, `apis[1].listen_path = "/a//b"`+path)
	f(func(a *API) { a.ListenPath = "/a%20b" }, `apis[1].listen_path = "/a%20b"`+path)
	f(func(a *API) { a.ListenPath = "/a?b" }, `apis[1].listen_path = "/a?b"`+path)
	f(func(a *API) { a.ListenPath, a.Hosts = "/first", []string{"a.org"} },
		`apis[1].listen_path = "/first": must differ from the listen_path of API "first" on the same host`)
	// With a slash at its end it is the same place: one of the two could never be reached.
	f(func(a *API) { a.ListenPath, a.Hosts = "/first/", []string{"a.org"} },
		`apis[1].listen_path = "/first/": must differ from the listen_path of API "first" on the same host`)
	const host = `: must be a host name in lower case, an IPv4 or an [IPv6] address, without port and trailing dot, or "*.example.com"`
	for _, name := range []string{
		"A.org", "a.org:80", "a.org/x", "*", "a.*.org", "a b", "x@a.org", "*.*.org", "a.org.", "a..org", ".a.org", "a,b", "münchen.de", "a%2eorg", "*.", "*.*",
		"127.1", "127.0.0.01", "1.2.3.256", "*.127.0.0.1", "*.0.0.1", "::1", "[::1", "[::1]:80", "[0:0::1]", "[::FFFF]", "[fe80::1%eth0]", "*.[::1]", strings.Repeat("a", 256),
	} {
		f(func(a *API) { a.Hosts = []string{name} }, "apis[1].hosts[0] = "+problem.Clip(`"`+name+`"`)+host)
	}
	f(func(a *API) { a.Hosts = []string{"b.org", ""} }, `apis[1].hosts[1]`+host)
	// All problems at once.
	f(func(a *API) { a.ID, a.Rate, a.ListenPath = "a@b", math.Inf(-1), "x" },
		`apis[1].id = "a@b": must not contain / ? # @: it is part of the proxy's path; `+
			`apis[1].listen_path = "x"`+path+`; apis[1].rate = -Inf: must be a finite number`)
}

func TestAPIChallenge(t *testing.T) {
	f := func(realm, want string) {
		t.Helper()
		a := api("orders", "/")
		a.Realm = realm
		if got := string(mustAPIs(t, a).ByID("orders").Challenge()); got != want {
			t.Errorf("realm %q: %s, want %s", realm, got, want)
		}
	}
	f("sidekey", `Basic realm="sidekey", charset="UTF-8"`)
	f("", `Basic realm="", charset="UTF-8"`)
	f(`Ann's "shop"`, `Basic realm="Ann's \"shop\"", charset="UTF-8"`)
	f(`a\b", x="y`, `Basic realm="a\\b\", x=\"y", charset="UTF-8"`)
	f("Äpfel", `Basic realm="Äpfel", charset="UTF-8"`)
}

// A reload keeps what was used of the API-wide limits that it leaves alone.
func TestAPIsKeepTheirLimits(t *testing.T) {
	limited := api("orders", "/orders")
	limited.Rate, limited.Per = 3, 60
	before := mustAPIs(t, limited)
	limiter.Admit(limiter.Now{}, limiter.Limits{API: before.ByID("orders").Limit})

	same := limited
	same.Name = "renamed"
	after, err := NewAPIs([]API{same}, before)
	if err != nil {
		t.Fatal(err)
	}
	if got := after.ByID("orders").Limit.State(limiter.Now{}).Remaining; got != 2 {
		t.Errorf("%d remain after a reload", got)
	}
	for _, id := range []string{"orders", "other"} {
		if got := mustAPIs(t, limited).ByID(id); (got == nil) != (id == "other") {
			t.Errorf("%s: %v", id, got)
		}
	}
	if new(APIs).ByID("x") != nil || (*APIs)(nil).ByID("x") != nil {
		t.Error("an API out of nothing")
	}
}
