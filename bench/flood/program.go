package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sidekey/auth/session"
	"sidekey/store/bolt"
)

const (
	password = "correct horse battery staple"
	cost     = 10
	users    = 5000 // of each kind: regular%d always send requests, lapsed%d sometimes, newcomer%d once; user%d are guessed
)

// program is a running sidekey.
type program struct {
	cmd   *exec.Cmd
	dir   string
	addr  string // of the check listener
	admin *http.Client
}

// serve builds sidekey and runs it with a database of users. It remembers passwords for ttl.
func serve(ctx context.Context, o options, ttl string) (p *program, err error) {
	dir, err := os.MkdirTemp("", "sidekey-flood-")
	if err != nil {
		return nil, err
	}
	p = &program{dir: dir}
	if err := fill(filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "sidekey")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "sidekey")
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.addr = listener.Addr().String()
	listener.Close()
	admin := filepath.Join(dir, "admin.sock")
	p.admin = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", admin)
	}}}
	file := filepath.Join(dir, "sidecar.toml")
	config := fmt.Sprintf("data_dir = %q\n[check]\nlisten = %q\n[admin]\nlisten = %q\n[log]\nlevel = \"warn\"\n[passwords]\nbcrypt_cost = %d\nverified_ttl = %q\n",
		filepath.Join(dir, "data"), p.addr, "unix:"+admin, cost, ttl)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(ctx, binary, "serve", "-config", file)
	p.cmd.Stderr = os.Stderr
	if o.procs > 0 {
		p.cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(o.procs))
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for range 1000 {
		if response, err := p.admin.Get("http://localhost/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.stop()
	return nil, errors.New("sidekey is not ready")
}

func (p *program) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
	os.RemoveAll(p.dir)
}

// fill makes a database of users who all have the same password hash.
func fill(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s, err := bolt.Open(filepath.Join(dir, "sidekey.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return err
	}
	var names []session.Name
	for i := range users {
		for _, kind := range []string{"user", "regular", "newcomer", "lapsed"} {
			names = append(names, session.Name{Org: "default", User: kind + strconv.Itoa(i)})
		}
	}
	sess := session.Session{OrgID: "default", BasicAuth: session.BasicAuth{Password: string(hash), HashType: "bcrypt"}}
	return s.UpdateMany(names, func(i int, _ *session.Record) (*session.Record, error) {
		return &session.Record{Org: "default", User: names[i].User, Session: sess}, nil
	})
}

// counts are the numbers of logins so far, by result.
type counts struct {
	hashed, busy, tooMany int
}

// refused returns the number of logins that were refused without hashing.
func (c counts) refused() int { return c.busy + c.tooMany }

func (p *program) metrics() (c counts) {
	response, err := p.admin.Get("http://localhost/metrics")
	if err != nil {
		return c
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		n, _ := strconv.Atoi(value)
		switch {
		case strings.HasPrefix(name, "sidekey_password_hashes_total{"):
			c.hashed += n
		case strings.HasPrefix(name, "sidekey_decisions_total{") && strings.Contains(name, `reason="busy"`):
			c.busy += n
		case strings.HasPrefix(name, "sidekey_decisions_total{") && strings.Contains(name, `reason="too_many_failures"`):
			c.tooMany += n
		}
	}
	return c
}

// residentKiB returns VmRSS of the process, its resident memory.
func (p *program) residentKiB() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, _ := strconv.Atoi(strings.Fields(rest)[0])
	return n
}

// files lists the files in the data folder with their sizes and the beginnings of their checksums.
func (p *program) files() string {
	var list []string
	entries, err := os.ReadDir(filepath.Join(p.dir, "data"))
	if err != nil {
		return err.Error()
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(p.dir, "data", e.Name()))
		if err != nil {
			return err.Error()
		}
		list = append(list, fmt.Sprintf("%s %d bytes %x", e.Name(), len(text), sha256.Sum256(text))[:len(e.Name())+24])
	}
	return strings.Join(list, ", ")
}

// newcomer logs in as a user who has not logged in yet and returns how long that took.
func (p *program) newcomer(i int) (took time.Duration, err error) {
	return p.letIn(fmt.Sprintf("198.51.100.%d", i%256), "newcomer"+strconv.Itoa(i))
}

// letIn sends requests of a user until the answer is 200 and returns how long that took.
func (p *program) letIn(address, user string) (took time.Duration, err error) {
	c, err := dial(p.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	began := time.Now()
	for {
		code, err := c.ask(address, user, password)
		switch {
		case err != nil:
			return 0, err
		case code == http.StatusOK:
			return time.Since(began), nil
		case code != http.StatusTooManyRequests:
			return 0, fmt.Errorf("%s: %d", user, code)
		}
		time.Sleep(time.Second) // Retry-After
	}
}
