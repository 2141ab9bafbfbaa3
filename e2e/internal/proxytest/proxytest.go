// Package proxytest runs the proxies with the configurations in examples/. It changes only the
// addresses and the texts that a test names.
package proxytest

import (
	"cmp"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// Proxy is a program that asks sidekey.
type Proxy struct {
	Name      string   // of the program
	inPackage string   // where the Python package of that name has it; "" = there is none
	example   string   // its configuration
	beside    []string // further files of the configuration, which are not changed
	ask       string   // the text of the configuration that ends with the path of the check

	// places maps texts of the example to the addresses that replace them.
	places func(client, application, check string) map[string]string
	// Args returns the arguments of the program, with the configuration in a file of the folder
	// dir and the address of clients.
	Args func(dir, file, client string) []string

	Through []string // a command that runs the program, whose path is added to it; nil = none

	ends   syscall.Signal // ends it with exit code 0; 0 = SIGTERM
	Silent bool           // it cannot add the headers about remaining limits to the application's answer
}

// Find returns the path of the program, or "".
func (p Proxy) Find() string {
	if p.inPackage == "" {
		return testutil.FindProgram(p.Name)
	}
	return testutil.FindProgram(p.Name, p.inPackage)
}

// Proxies are all proxies that the tests run.
var Proxies = []Proxy{NGINX, Envoy, caddy, haproxy, Traefik}

// Start starts the proxy and returns the address for clients. edits are further changes of the
// example: the texts to replace and their replacements.
func (p Proxy) Start(t *testing.T, application, check string, edits ...map[string]string) (addr string) {
	t.Helper()
	path := p.Find()
	if path == "" {
		testutil.CannotRun(t, p.Name+" is not installed")
	}
	text, err := os.ReadFile(p.example)
	if err != nil {
		t.Fatal(err)
	}
	config, addr := string(text), testutil.FreeAddr(t)
	for _, edit := range append(edits, p.places(addr, application, check)) {
		for old, wanted := range edit {
			if !strings.Contains(config, old) {
				t.Fatalf("%s has no %q", p.example, old)
			}
			config = strings.ReplaceAll(config, old, wanted)
		}
	}
	dir := t.TempDir()
	file := testutil.WriteFile(t, dir, filepath.Base(p.example), config)
	for _, name := range p.beside {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		testutil.WriteFile(t, dir, filepath.Base(name), string(text))
	}
	command := append(slices.Clone(p.Through), path)
	cmd := exec.Command(command[0], append(command[1:], p.Args(dir, file, addr)...)...)
	home := filepath.Join(dir, "home") // where Caddy writes, and Traefik looks for a configuration
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	process := testutil.StartCommand(t, cmd)
	process.Ends = cmp.Or(p.ends, syscall.SIGTERM)
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(dir, "error.log")); err == nil && t.Failed() {
			t.Logf("error.log of %s:\n%s", p.Name, log)
		}
	})
	process.AwaitPort(addr)
	process.Await("it knows its routes", func() bool { // Traefik listens before it does
		got, _ := sidekeytest.Send(t, addr, sidekeytest.Get("/"))
		return got.Status != http.StatusNotFound
	})
	return addr
}

// Naming returns the edit that makes the check name the API, as the example explains.
func (p Proxy) Naming(api string) map[string]string {
	end := p.ask[len(p.ask)-1:]
	return map[string]string{p.ask: strings.TrimSuffix(p.ask, end) + "@" + api + end}
}
