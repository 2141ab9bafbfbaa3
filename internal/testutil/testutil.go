// Package testutil holds what tests of several packages share: files, addresses, processes, and
// the program itself.
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

// CannotRun skips a test because this machine lacks what it needs. With CI=true, where everything
// must be tested, the test fails instead.
func CannotRun(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// LockedBuffer is a buffer that several goroutines, or a process and its test, may use at once.
type LockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements [io.Writer].
func (b *LockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns everything that was written.
func (b *LockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Tail returns the last n bytes that were written, or fewer.
func (b *LockedBuffer) Tail(n int) string {
	text := b.String()
	return text[max(0, len(text)-n):]
}

// ports counts the addresses that FreeAddr returned.
var ports atomic.Uint32

// FreeAddr returns a loopback address on which no process listens, never the same twice. Its port
// is below those that Linux uses for outgoing connections. Tests of several packages run at the
// same time, so the process id decides where each begins to look.
func FreeAddr(t testing.TB) string {
	t.Helper()
	const first, count = 10_000, 20_000
	for range count {
		port := first + (uint32(os.Getpid())*7919+ports.Add(1))%count
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// WriteFile writes a file that only its owner can read, and returns its path.
func WriteFile(t testing.TB, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ReadFile returns the content of a file.
func ReadFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ReadYAML decodes a file into a value.
func ReadYAML(t testing.TB, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(ReadFile(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Glob returns the files that match a pattern. If there are none, the test fails.
func Glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	return files
}

// FindProgram returns the path of an installed program, or "". It looks in PATH, in the folders of
// system programs, and for inPackage (a pattern) in the Python package of that name that .ci/tools
// installs below the working directory.
func FindProgram(name string, inPackage ...string) string {
	for _, file := range []string{name, filepath.Join("/usr/sbin", name), filepath.Join("/usr/local/sbin", name)} {
		if path, err := exec.LookPath(file); err == nil {
			return path
		}
	}
	for _, pattern := range inPackage {
		if found, _ := filepath.Glob(filepath.Join(".tools", name, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// NeedProgram is [FindProgram] for a test that cannot run without the program.
func NeedProgram(t testing.TB, name string, inPackage ...string) (path string) {
	t.Helper()
	if path = FindProgram(name, inPackage...); path == "" {
		CannotRun(t, name+" is not installed")
	}
	return path
}
