package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"sidekey/config"
	"sidekey/internal/testutil"
)

func testConfig(t *testing.T, check, admin string) config.Config {
	t.Helper()
	dir := t.TempDir()
	file := testutil.WriteFile(t, dir, "sidecar.toml", fmt.Sprintf("data_dir = %q\ncheck.listen = %q\nadmin.listen = %q\npasswords.bcrypt_cost = 8\n",
		filepath.Join(dir, "data"), check, admin))
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// leaksNothing checks that the goroutines of a Server have ended, except two that fasthttp ends late
// or never.
func leaksNothing(t *testing.T) {
	options := []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	}
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if err := goleak.Find(options...); err != nil {
			t.Error(err)
		}
	})
}

func TestStartStop(t *testing.T) {
	leaksNothing(t)
	s, err := Start("", testConfig(t, "127.0.0.1:0", "127.0.0.1:0"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + s.AdminAddr() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %d", answer.StatusCode)
	}
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(stop, nil); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	for _, addr := range []string{s.CheckAddr(), s.AdminAddr()} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s still accepts connections", addr)
		}
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
}

// A start that fails in the middle leaves nothing behind: neither goroutines nor listeners, and the
// database is closed.
func TestStartFails(t *testing.T) {
	leaksNothing(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	check := testutil.FreeAddr(t)
	cfg := testConfig(t, check, taken.Addr().String())
	_, err = Start("", cfg, slog.New(slog.DiscardHandler))
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "admin.listen = ") {
		t.Fatalf("got %v", err)
	}
	l, err := net.Listen("tcp", check)
	if err != nil {
		t.Fatalf("the check listener is open: %v", err)
	}
	l.Close()
	taken.Close()
	s, err := Start("", cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("with the address free: %v", err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
