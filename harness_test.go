package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sidekey/internal/openapitest"
	"sidekey/internal/tyktest"
)

// What tests of the whole program share: the real binary in a process of its own, and
// the few ways of talking to it. Everything listens on free loopback ports, everything
// is ended by its own process id.

// patience is how long anything may take that normally takes milliseconds.
const patience = 20 * time.Second

// binary is the program, built once for all tests. TestMain removes it.
var binary = sync.OnceValues(func() (path string, err error) {
	buildDir, err = os.MkdirTemp("", "sidekey-test-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "sidekey")
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".") // as make build, which then need not compile again
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var buildDir string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == verifyCommand {
		os.Exit(verifyAsTold(os.Args[2:]))
	}
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// listeners begins the configuration of every test. startSidekey fills in what stands
// in capitals; tables and [[apis]] can follow.
const listeners = `
data_dir = "DATA"
check.listen = "CHECK"
admin.listen = "ADMIN"
passwords.bcrypt_cost = 8
limits.quota_wait = "10s" # the disk may be slow
`

// sidekey is a running program.
type sidekey struct {
	AdminURL  string // http://HOST:PORT
	CheckAddr string // HOST:PORT
	DataDir   string
	Secret    string

	t       *testing.T
	process *process
}

// startSidekey runs the program with config, in which the words DATA, CHECK and ADMIN
// stand for a fresh folder and free addresses, and returns when it is ready.
// files is how many files it may have open, where it is not many.
func startSidekey(t *testing.T, config string, files ...string) *sidekey {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &sidekey{t: t, CheckAddr: freeAddr(t), DataDir: filepath.Join(dir, "data")}
	admin := freeAddr(t)
	s.AdminURL = "http://" + admin
	config = strings.NewReplacer(`"DATA"`, fmt.Sprintf("%q", s.DataDir), "CHECK", s.CheckAddr, "ADMIN", admin).Replace(config)
	file := writeFile(t, dir, "sidecar.toml", config)

	if args := []string{"serve", "-config", file}; len(files) == 0 {
		s.process = start(t, path, args...)
	} else {
		s.process = start(t, "sh", append([]string{"-c", "ulimit -n " + files[0] + ` && exec "$0" "$@"`, path}, args...)...)
	}
	s.process.await("GET /readyz answers 200", func() bool {
		answer, err := compared(t, http.DefaultTransport).Get(s.AdminURL + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	secret, err := os.ReadFile(filepath.Join(s.DataDir, "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	s.Secret = strings.TrimSpace(string(secret))
	return s
}

// stop ends the program as an operator does, and wants it to end well.
func (s *sidekey) stop() {
	s.t.Helper()
	if err := s.process.stop(); err != nil {
		s.t.Errorf("sidekey after SIGTERM: %v", err)
	}
}

// admin asks the admin listener, with the secret.
func (s *sidekey) admin(method, path, body string) (status int, answer string, header http.Header) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.AdminURL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", s.Secret)
	response, err := compared(s.t, http.DefaultTransport).Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

// compare compares an exchange with the admin listener with sidekey's description of its
// API, and with Tyk's.
func compare(x openapitest.Exchange) error {
	return errors.Join(openapitest.Check(x), tyktest.Check(x))
}

// compared is a client of the admin listener whose every exchange is compared.
func compared(t testing.TB, through http.RoundTripper) *http.Client {
	return &http.Client{Transport: comparing{failing(t), through}}
}

// failing fails the test with an error.
func failing(t testing.TB) func(error) {
	return func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
}

// comparing tells note of each exchange what is wrong with it, or nil.
type comparing struct {
	note    func(error)
	through http.RoundTripper
}

func (c comparing) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	answer, err := c.through.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	c.note(compare(openapitest.Exchange{Method: r.Method, Target: r.URL.RequestURI(), Sent: sent, Status: answer.StatusCode, Header: answer.Header, Body: body}))
	return answer, nil
}

// putUser creates or overwrites a user from the members of a session object.
func (s *sidekey) putUser(name, session string) {
	s.t.Helper()
	if status, answer, _ := s.admin("POST", "/api/apis/keys/basic/"+name, session); status != http.StatusOK {
		s.t.Fatalf("POST user %s %s: %d %s", name, session, status, answer)
	}
}

// deleteUser removes a user.
func (s *sidekey) deleteUser(name string) {
	s.t.Helper()
	if status, answer, _ := s.admin("DELETE", "/api/apis/keys/basic/"+name, ""); status != http.StatusOK {
		s.t.Fatalf("DELETE user %s: %d %s", name, status, answer)
	}
}

// cannotRun skips a test that this machine has not what it needs for. Where everything has
// to be tested, that is a failure.
func cannotRun(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// basic is a request header with credentials.
func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// process is a program that a test started.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	ends   syscall.Signal // on what it ends well
	output lockedBuffer
	done   chan struct{} // closed when it has ended
	err    error         // how, once done is closed
}

// start runs a program until the test ends. Its output is shown when the test fails.
func start(t *testing.T, path string, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(path, args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: filepath.Base(cmd.Path), cmd: cmd, ends: syscall.SIGTERM, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		if err := p.stop(); err != nil && p.ends != syscall.SIGKILL {
			t.Errorf("%s after %v: %v", p.name, p.ends, err)
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.output.String())
		}
	})
	return p
}

// stop ends the process, where it has not ended before, and returns how it ended.
func (p *process) stop() error {
	p.cmd.Process.Signal(p.ends) // an error means that it has ended
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.done
		return errors.New("had to be killed")
	}
}

// await looks until there is what is wanted, and fails the test when there is not.
func (p *process) await(what string, there func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if there() {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("%s ended before %s: %v\n%s", p.name, what, p.err, p.output.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.t.Fatalf("%s: not within %v: %s\n%s", p.name, patience, what, p.output.String())
}

// awaitPort waits until somebody listens on addr.
func (p *process) awaitPort(addr string) {
	p.t.Helper()
	p.await(addr+" is listened on", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// lockedBuffer takes the output of a process while a test may read it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// ports counts the addresses that were given out.
var ports atomic.Uint32

// freeAddr returns a loopback address that nobody listens on, never one twice. Its
// port is below those that the system takes for outgoing connections.
func freeAddr(t testing.TB) string {
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

func writeFile(t testing.TB, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustReadFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
