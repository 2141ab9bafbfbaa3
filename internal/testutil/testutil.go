package testutil

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.yaml.in/yaml/v3"
)

// cannotRun skips a test that this machine has not what it needs for. Where everything has
// to be tested, that is a failure.
func CannotRun(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// lockedBuffer takes the output of a process while a test may read it.
type LockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *LockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *LockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// ports counts the addresses that were given out.
var ports atomic.Uint32

// freeAddr returns a loopback address that nobody listens on, never one twice. Its
// port is below those that the system takes for outgoing connections.
func FreeAddr(t testing.TB) string {
	t.Helper()
	const first, count = 10_000, 20_000
	for range count {
		port := first + (uint32(os.Getpid())*97+ports.Add(1))%count
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

func WriteFile(t testing.TB, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ReadFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ReadYAML(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(ReadFile(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func Glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	return files
}

// findTool returns the program of that name: one that is installed, or the one in the Python
// package that .ci/tools installs; "" = neither is there.
func FindTool(name, inPackage string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob(filepath.Join(".tools", name, inPackage))
	if len(found) > 0 {
		return found[0]
	}
	return ""
}
