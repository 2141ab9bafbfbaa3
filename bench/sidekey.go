//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sidekey/auth/session"
)

// bcryptCost is the cost of the stored hashes and the configured cost. If they differed, sidekey
// would replace each hash after its login.
const bcryptCost = 8

// server is a process that answers on addr.
type server struct {
	*process
	addr string
}

func (s *server) url(path string) string { return "http://" + s.addr + path }

// build compiles the program like a release, once.
func (l *lab) build(ctx context.Context) error {
	if l.binary != "" {
		return nil
	}
	binary := filepath.Join(l.dir, "sidekey")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "sidekey")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build sidekey: %w", err)
	}
	l.binary = binary
	return nil
}

// sidekey starts the program with the database in dir. decisions is the value of log.decisions.
func (l *lab) sidekey(ctx context.Context, dir, decisions string) (*server, error) {
	if err := l.build(ctx); err != nil {
		return nil, err
	}
	checkAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	adminAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "sidecar.toml")
	text := fmt.Sprintf(`data_dir = %q
[check]
listen = %q
[admin]
listen = %q
[log]
level = "warn"
decisions = %q
file = %q
[passwords]
bcrypt_cost = %d
max_concurrent = 2
verified_ttl = "24h"
[limits]
quota_wait = "5s"
[[apis]]
id = "default"
[[apis]]
id = "orders"
listen_path = "/orders"
`, dir, checkAddr, adminAddr, decisions, filepath.Join(dir, "decisions.log"), bcryptCost) + policyTables()
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := start(ctx, dir, l.binary, "serve", "-config", config)
	if err != nil {
		return nil, err
	}
	return ready(ctx, &server{p, checkAddr})
}

// database returns the folder of a database of n users. It is made once and shared by all rows.
func (l *lab) database(ctx context.Context, n int) (dir string, err error) {
	dir = filepath.Join(l.dir, fmt.Sprintf("users%d", n))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	l.say("making a database of %d users", n)
	if err := fill(ctx, dir, n, benchSession); err != nil {
		return "", err
	}
	syscall.Sync() // so that the disk is idle during the measurement
	return dir, nil
}

// newDatabase makes a database of n users for one row and returns its folder.
func (l *lab) newDatabase(ctx context.Context, n int, session session.Session) (dir string, err error) {
	if dir, err = os.MkdirTemp(l.dir, "database"); err != nil {
		return "", err
	}
	return dir, fill(ctx, dir, n, session)
}

// ready waits for the server's first correct answer. If there is none in time, it stops the server.
func ready(ctx context.Context, s *server) (*server, error) {
	if err := awaitRight(ctx, s.url(envoyPath)); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// awaitRight sends requests as oneUser until the answer is 200.
func awaitRight(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		code, err := ask(ctx, url, oneUser)
		if err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer 200: status %d, %v", url, code, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, url, user string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.SetBasicAuth(user, userPassword)
	request.Header.Set("X-Forwarded-For", "127.0.0.1")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	return answer.StatusCode, nil
}

// activate logs in the first n users, as fast as possible.
func activate(ctx context.Context, s *server, n int) error { return activateAt(ctx, s, n, 0) }

// activateAt logs in the first n users, rate of them per second, or as fast as possible if rate is 0.
func activateAt(ctx context.Context, s *server, n int, rate float64) error {
	g := generator{addr: s.addr, requests: requests(n), order: inTurn(n), connections: 8, count: n, rate: rate}
	if _, err := g.run(ctx); err != nil {
		return fmt.Errorf("log in %d users: %w", n, err)
	}
	return nil
}
