package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestLayout keeps imports going one way: main → admin, check, store, config → auth →
// limiter → standard library (ARCHITECTURE.md).
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
	never("sidekey/check", "sidekey/store", "sidekey/admin", "sidekey/config")
	never("sidekey/config", "sidekey/store", "sidekey/admin", "sidekey/check", "github.com/valyala/fasthttp")

	for _, dep := range packages["sidekey/limiter"].Deps {
		if !packages[dep].Standard {
			t.Errorf("sidekey/limiter must depend on the standard library alone, not on %s", dep)
		}
	}

	onlyIn := func(module string, importers ...string) {
		t.Helper()
		for path, p := range packages {
			if !strings.HasPrefix(path, "sidekey") || path == "sidekey/bench" || slices.Contains(importers, path) {
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
	onlyIn("sidekey/store", "sidekey")

	// For tests alone.
	onlyIn("github.com/getkin/kin-openapi", "sidekey/admin/tyktest")
	onlyIn("github.com/chromedp")
	never("sidekey", "sidekey/admin/tyktest")

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
