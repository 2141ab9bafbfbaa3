package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// process is one that is measured.
type process struct {
	cmd *exec.Cmd
}

func start(ctx context.Context, dir, path string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	return &process{cmd}, cmd.Start()
}

func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
}

// memoryKiB is a line of the process's status: RssAnon, what it holds besides pages of
// files, or VmRSS, both.
func (p *process) memoryKiB(line string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			value, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return value
		}
	}
	return 0
}

// build compiles sidekey as it is released.
func build(ctx context.Context, dir string) (binary string, err error) {
	binary = filepath.Join(dir, "sidekey")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "sidekey")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return binary, cmd.Run()
}

// writeConfig writes a configuration for a database that is in dir/data. decisions is
// log.decisions.
func writeConfig(dir, checkAddr, adminAddr, decisions string) (path string) {
	path = filepath.Join(dir, "sidecar.toml")
	// Nobody's password is to be hashed, and no request to be refused, while it is measured:
	// a cost other than that of the stored hashes would have each replaced after its login.
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
bcrypt_cost = 8
max_concurrent = 2
verified_ttl = "24h"
[limits]
quota_wait = "5s"
[[apis]]
id = "default"
[[apis]]
id = "orders"
listen_path = "/orders"
`, filepath.Join(dir, "data"), checkAddr, adminAddr, decisions, filepath.Join(dir, "decisions.log")) + policyTables()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
	return path
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// traffic is what wrk sends.
type traffic struct {
	headers []string
	script  string // file of a Lua script; "" = the same request each time
}

// wrk returns how many requests a second were answered 200. Any other answer is an
// error: a refusal costs something else.
func wrk(ctx context.Context, o options, url string, l traffic) (perSecond float64, err error) {
	args := []string{"-t1", "-c" + strconv.Itoa(o.connections), "-d" + strconv.Itoa(max(1, int(o.time.Seconds()))) + "s"}
	for _, h := range l.headers {
		args = append(args, "-H", h)
	}
	if l.script != "" {
		args = append(args, "-s", l.script)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, url)...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		return 0, fmt.Errorf("wrk %s: not all answers were right:\n%s", url, out)
	}
	_, rest, found := strings.Cut(string(out), "Requests/sec:")
	if !found {
		return 0, fmt.Errorf("wrk: no figure in its output:\n%s", out)
	}
	return strconv.ParseFloat(strings.Fields(rest)[0], 64)
}
