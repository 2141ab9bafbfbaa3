package testutil

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Builds builds the program once for all tests of a package, which call [Builds.Main] in TestMain.
// Packages share what is compiled through the build cache; only linking is repeated.
type Builds struct {
	Flags []string // of go build

	once sync.Once
	dir  string
	path string
	err  error
}

// Binary returns the path of the program.
func (b *Builds) Binary() (path string, err error) {
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "sidekey-test-"); b.err != nil {
			return
		}
		b.path = filepath.Join(b.dir, "sidekey")
		build := exec.Command("go", append(append([]string{"build"}, b.Flags...), "-o", b.path, "sidekey")...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	return b.path, b.err
}

// Main runs the tests, removes the program, and returns the exit code.
func (b *Builds) Main(m *testing.M) int {
	code := m.Run()
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
	return code
}
