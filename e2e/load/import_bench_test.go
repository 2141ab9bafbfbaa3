package load

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// BenchmarkImport imports 1,000,000 users with hashed passwords, unsorted, into an empty database:
// into the file, and into a running sidekey.
//
//	go test -run '^$' -bench Import -benchtime 1x -timeout 30m ./e2e/load
func BenchmarkImport(b *testing.B) {
	const users = 1_000_000
	path, err := sidekeytest.Binary()
	if err != nil {
		b.Fatal(err)
	}
	file := writeMillion(b, users)
	run := func(b *testing.B, dir string, args ...string) error {
		cmd := exec.Command(path, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w\n%s", args, err, out)
		}
		return nil
	}
	for _, where := range []string{"offline", "running"} {
		b.Run(where, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir()
				args := []string{"import", "htpasswd", file}
				if where == "offline" {
					args = append(args, "-offline")
				} else {
					check, admin := testutil.FreeAddr(b), testutil.FreeAddr(b)
					testutil.WriteFile(b, dir, "sidecar.toml", fmt.Sprintf("check.listen = %q\nadmin.listen = %q\n", check, admin))
					serve := exec.Command(path)
					serve.Dir = dir
					if err := serve.Start(); err != nil {
						b.Fatal(err)
					}
					defer serve.Wait()
					defer serve.Process.Signal(syscall.SIGTERM)
					for run(b, dir, "healthcheck") != nil {
						time.Sleep(10 * time.Millisecond)
					}
				}
				b.StartTimer()
				if err := run(b, dir, args...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(users*float64(b.N)/b.Elapsed().Seconds(), "users/s")
		})
	}
}

func writeMillion(b *testing.B, users int) (path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "users.htpasswd")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	const letters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	random := rand.New(rand.NewPCG(1, 2))
	w := bufio.NewWriter(f)
	hash := make([]byte, 53)
	for _, i := range random.Perm(users) {
		for j := range hash {
			hash[j] = letters[random.IntN(len(letters))]
		}
		fmt.Fprintf(w, "user%08d:$2y$10$%s\n", i, hash)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}
