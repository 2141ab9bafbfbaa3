package proxytest

import (
	"cmp"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// proxy is one program that asks sidekey.
type Proxy struct {
	Name    string
	Find    func() string // the program; "" = not here
	example string        // its configuration
	beside  []string      // further files of it, which stay as they are
	ask     string        // the text in it that ends with the path that sidekey is asked on

	// places says what in the example becomes which address.
	places func(client, application, check string) map[string]string
	Args   func(dir, file, client string) []string

	ends   syscall.Signal // on what it ends with exit code 0; 0 = SIGTERM
	Silent bool           // it cannot show the client what is left, with the application's answer
}

var Proxies = []Proxy{NGINX, envoy, caddy, haproxy, Traefik}

// start runs the proxy and returns where clients reach it. edits are further changes
// of the example, what stands there to what is wanted.
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
	cmd := exec.Command(path, p.Args(dir, file, addr)...)
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

// naming is the edit that names the API outright, as the example explains.
func (p Proxy) Naming(api string) map[string]string {
	end := p.ask[len(p.ask)-1:]
	return map[string]string{p.ask: strings.TrimSuffix(p.ask, end) + "@" + api + end}
}
