package docs

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layout lists the packages of the program and of its tests from the bottom to the top, each with
// all that it may import besides the standard library: modules, and packages of sidekey, which must
// stand above it. So no import runs backwards.
var layout = []struct {
	name string
	may  []string
}{
	{"limiter", nil},
	{"internal/problem", nil},
	{"auth/httpsig", []string{"limiter"}},
	{"internal/ipaddr", nil},
	{"auth/password", []string{"github.com/go-crypt/crypt", "github.com/tg123/go-htpasswd", "golang.org/x/crypto", "golang.org/x/sys", "internal/ipaddr", "internal/problem"}},
	{"auth/route", []string{"internal/ipaddr", "internal/problem", "limiter"}},
	{"auth/session", []string{jsonV2, "github.com/twmb/murmur3", "auth/password", "auth/route", "internal/problem", "limiter"}},
	{"auth", []string{jsonV2, "auth/httpsig", "auth/password", "auth/route", "auth/session", "internal/problem", "limiter"}},
	{"store", []string{"auth", "auth/session", "limiter"}},
	{"internal/broken", nil},
	{"internal/durable", []string{"internal/broken"}},
	{"store/bolt/boltfile", []string{"github.com/twmb/murmur3", "auth", "internal/broken"}},
	{"store/bolt", []string{jsonV2, "go.etcd.io/bbolt", "auth", "auth/session", "internal/broken", "internal/durable", "limiter", "store", "store/bolt/boltfile"}},
	{"check", []string{"auth", "auth/session", "limiter"}},
	{"check/http", []string{fastHTTP, "auth", "check", "internal/problem"}},
	{"internal/ownership", nil},
	{"internal/proof", nil},
	{"decisionlog", []string{"auth", "check", "internal/ownership"}},
	{"events", []string{"auth", "auth/session", "check", "limiter"}},
	{"config", []string{"github.com/BurntSushi/toml", "auth", "auth/password", "auth/route", "auth/session", "internal/problem"}},
	{"internal/version", nil},
	{"internal/listen", []string{"github.com/coreos/go-systemd/v22/activation"}},
	{"internal/memlimit", []string{"github.com/KimMachineGun/automemlimit"}},
	{"internal/secretfile", []string{"internal/durable", "internal/ownership"}},
	{"internal/vault", []string{"internal/secretfile"}},
	{"internal/devproxy", nil},
	{"admin/web", nil},
	{"admin/api", []string{jsonV2, "auth/session"}},
	{"admin", []string{jsonV2, fastHTTP, "admin/api", "admin/web", "auth", "auth/password", "auth/route", "auth/session", "internal/problem", "internal/proof", "internal/secretfile", "limiter", "store"}},
	{"command", []string{jsonV2, "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/sys", "golang.org/x/term", "admin/api", "auth", "auth/password", "auth/session", "config", "internal/devproxy", "internal/ownership", "internal/proof", "internal/secretfile"}},
	{"server", []string{
		"github.com/VictoriaMetrics/metrics", "github.com/fsnotify/fsnotify", fastHTTP,
		"admin", "admin/api", "auth", "auth/password", "auth/route", "auth/session", "auth/httpsig", "check", "check/http", "config", "decisionlog", "events", "internal/durable", "internal/listen", "internal/memlimit",
		"internal/secretfile", "internal/vault", "internal/version", "limiter", "store", "store/bolt", "store/bolt/boltfile",
	}},
	{".", []string{"command", "config", "internal/version", "server"}},

	// For tests alone: no package above may import them.
	{"store/memstore", []string{jsonV2, "auth", "auth/session", "limiter", "store"}},
	{"store/storetest", []string{"auth", "auth/session", "limiter", "store"}},
	{"internal/testutil", []string{"go.yaml.in/yaml/v3"}},
	{"internal/openapitest", []string{"github.com/getkin/kin-openapi", "admin/web"}},
	{"internal/tyktest", []string{"github.com/getkin/kin-openapi", "internal/openapitest"}},
	{"e2e/internal/sidekeytest", []string{"internal/openapitest", "internal/testutil", "internal/tyktest"}},
	{"e2e/internal/proxytest", []string{"e2e/internal/sidekeytest", "internal/testutil"}},
	{"e2e/crash", nil},
	{"e2e/docs", nil},
	{"e2e/load", nil},
	{"e2e/page", nil},
	{"e2e/proxies", nil},
	{"e2e/story", nil},
}

const (
	jsonV2   = "github.com/go-json-experiment/json"
	fastHTTP = "github.com/valyala/fasthttp"
)

// tools are programs beside sidekey, which may import anything. Nothing imports them.
var tools = []string{"bench", "bench/flood", "bench/timing", "release"}

// TestLayout compares the imports of every package with the list.
func TestLayout(t *testing.T) {
	packages := listPackages(t)
	below := make(map[string]bool)
	for _, row := range layout {
		path := strings.TrimSuffix("sidekey/"+row.name, "/.")
		p, ok := packages[path]
		if !ok {
			t.Errorf("%s is in the list, but does not exist", row.name)
		}
		for _, imported := range p.Imports {
			if packages[imported].Standard {
				continue
			}
			name, ours := strings.CutPrefix(imported, "sidekey/")
			may := func(allowed string) bool {
				return name == allowed || !ours && strings.HasPrefix(name, allowed+"/")
			}
			if !slices.ContainsFunc(row.may, may) {
				t.Errorf("%s must not import %s, unless the list says so", row.name, imported)
			} else if ours && !below[name] {
				t.Errorf("%s must not import %s, which is above it", row.name, imported)
			}
		}
		below[row.name] = true
	}
	for path := range packages {
		name := "."
		if path != "sidekey" {
			var ours bool
			if name, ours = strings.CutPrefix(path, "sidekey/"); !ours {
				continue
			}
		}
		if !below[name] && !slices.Contains(tools, name) {
			t.Errorf("%s is missing in the list", name)
		}
	}

	// Neither does any package that it imports.
	for name, others := range map[string][]string{
		"auth":    {"net/http", fastHTTP},
		"check":   {"net/http", fastHTTP},
		"limiter": {"os", "net"}, // what decides writes no file, starts no process, looks up no address
	} {
		for _, other := range others {
			if slices.Contains(packages["sidekey/"+name].Deps, other) {
				t.Errorf("%s must not depend on %s", name, other)
			}
		}
	}
}

// listedPackage is the output of go list about a package, without its tests.
type listedPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) map[string]listedPackage {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "./...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := make(map[string]listedPackage)
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p listedPackage
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
	return packages
}
