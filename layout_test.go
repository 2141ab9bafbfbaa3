package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestLayout keeps imports going one way: main → decisionlog, events → check → auth →
// limiter → standard library, and main → admin, store, command → config → auth (ARCHITECTURE.md).
func TestLayout(t *testing.T) {
	packages := listPackages(t)

	never := func(importer string, others ...string) {
		t.Helper()
		p, ok := packages[importer]
		if !ok {
			t.Errorf("there is no package %s", importer)
		}
		for _, other := range others {
			if slices.Contains(p.Deps, other) {
				t.Errorf("%s must not depend on %s", importer, other)
			}
		}
	}
	never("sidekey/auth", "sidekey/store", "sidekey/admin", "sidekey/check", "sidekey/config", "github.com/valyala/fasthttp", "net/http")
	never("sidekey/store", "sidekey/admin", "sidekey/check", "sidekey/config", "github.com/valyala/fasthttp")
	never("sidekey/admin", "sidekey/store", "sidekey/check", "sidekey/config")
	never("sidekey/check", "sidekey/store", "sidekey/admin", "sidekey/config", "sidekey/decisionlog", "sidekey/events")
	never("sidekey/decisionlog", "sidekey/store", "sidekey/admin", "sidekey/config", "sidekey/events")
	never("sidekey/events", "sidekey/store", "sidekey/admin", "sidekey/config", "sidekey/decisionlog")
	never("sidekey/vault", "sidekey/auth", "sidekey/store", "sidekey/admin", "sidekey/check", "sidekey/config", "github.com/valyala/fasthttp")
	never("sidekey/config", "sidekey/store", "sidekey/admin", "sidekey/check", "github.com/valyala/fasthttp")

	never("sidekey/command", "sidekey/store", "sidekey/admin", "sidekey/check", "github.com/valyala/fasthttp")

	for _, alone := range []string{"sidekey/limiter", "sidekey/proxy", "sidekey/internal/ownership", "sidekey/internal/proof"} {
		for _, dep := range packages[alone].Deps {
			if !packages[dep].Standard {
				t.Errorf("%s must depend on the standard library alone, not on %s", alone, dep)
			}
		}
	}

	onlyIn := func(module string, importers ...string) {
		t.Helper()
		for path, p := range packages {
			if !strings.HasPrefix(path, "sidekey") || path == "sidekey/bench" || strings.HasPrefix(path, "sidekey/bench/") || slices.Contains(importers, path) {
				continue
			}
			if i := slices.IndexFunc(p.Imports, func(i string) bool { return i == module || strings.HasPrefix(i, module+"/") }); i >= 0 {
				t.Errorf("%s must not import %s: only %s may", path, p.Imports[i], strings.Join(importers, ", "))
			}
		}
	}
	onlyIn("go.etcd.io/bbolt", "sidekey/store")
	onlyIn("golang.org/x/crypto", "sidekey/auth")
	onlyIn("github.com/BurntSushi/toml", "sidekey/config")
	onlyIn("github.com/tg123/go-htpasswd", "sidekey/auth")
	onlyIn("github.com/go-crypt/crypt", "sidekey/auth")
	onlyIn("github.com/spf13/cobra", "sidekey/command")
	onlyIn("sidekey/store", "sidekey")
	onlyIn("sidekey/vault", "sidekey")

	// For tests alone.
	onlyIn("github.com/getkin/kin-openapi", "sidekey/admin/tyktest", "sidekey/admin/openapitest")
	onlyIn("github.com/chromedp")
	never("sidekey", "sidekey/admin/tyktest", "sidekey/admin/openapitest")

	// No file is written, no process started, no address looked up by what decides.
	never("sidekey/limiter", "os", "net")
}

// listedPackage is what go list says of a package and its tests are no part of.
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
