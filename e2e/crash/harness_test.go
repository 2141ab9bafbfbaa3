package crash

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidekey/internal/openapitest"
	"sidekey/internal/testutil"
)

// full runs tests completely; without it go test runs a short form.
var full = flag.Bool("full", false, "run all of it: about an hour")

var seedFlag = flag.Uint64("seed", 0, "do again what a test did at random: the seed that it has logged")

// size returns how much of a test to run.
func size(short, all int) int {
	if *full {
		return all
	}
	return short
}

func newRandom(t testing.TB) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

var quiet = slog.New(slog.DiscardHandler)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// program is the program as released, or with the faults of a broken build if the tests are built
// with them.
var program = testutil.Builds{Flags: []string{"-tags", buildTags}}

func TestMain(m *testing.M) { os.Exit(program.Main(m)) }

// memoryDir returns a folder in memory, if there is one: after a kill only the page cache counts,
// which is the same for every file system.
func memoryDir(t testing.TB) string {
	t.Helper()
	parent := "/dev/shm"
	if info, err := os.Stat(parent); err != nil || !info.IsDir() {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "sidekey-crash-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// victim is the program, with a folder that outlives its processes.
type victim struct {
	t          testing.TB
	dir        string      // with the configuration, the sockets and data/
	supervise  supervision // of the next process
	supervisor *supervisor // of this one
	cmd        *exec.Cmd
	exited     chan struct{} // closed when the process has ended and the supervisor has no open call
	output     testutil.LockedBuffer
	secret     string
}

// newVictim returns a victim that is not started. options are further lines of its configuration.
func newVictim(t testing.TB, dir, options string) *victim {
	t.Helper()
	v := &victim{t: t, dir: dir}
	config := fmt.Sprintf("data_dir = %q\nshutdown_timeout = \"10s\"\ncheck.listen = %q\nadmin.listen = %q\npasswords.bcrypt_cost = 8\npasswords.max_concurrent = 2\npasswords.max_wait = \"20s\"\n%s\n",
		filepath.Join(dir, "data"), "unix:"+v.socket("check"), "unix:"+v.socket("admin"), options)
	must(t, os.WriteFile(filepath.Join(dir, "sidecar.toml"), []byte(config), 0o600))
	t.Cleanup(func() {
		v.kill()
		if t.Failed() {
			t.Logf("output of sidekey:\n%s", v.output.Tail(4000))
		}
	})
	return v
}

func (v *victim) socket(name string) string { return filepath.Join(v.dir, name+".sock") }
func (v *victim) database() string          { return filepath.Join(v.dir, "data", "sidekey.db") }

// start starts a process and returns when it is ready (true) or has ended (false).
func (v *victim) start() (ready bool) {
	v.t.Helper()
	v.launch()
	for deadline := time.Now().Add(testutil.Patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case <-v.exited:
			return false
		default:
		}
		conn, err := net.Dial("unix", v.socket("admin"))
		if err != nil {
			continue
		}
		conn.Close()
		if v.secret == "" {
			text, err := os.ReadFile(filepath.Join(v.dir, "data", "admin.secret"))
			must(v.t, err)
			v.secret = strings.TrimSpace(string(text))
		}
		return true
	}
	v.t.Fatalf("sidekey is not ready:\n%s", v.output.Tail(2000))
	return false
}

// launch starts a process.
func (v *victim) launch() {
	v.t.Helper()
	path, err := program.Binary()
	must(v.t, err)
	v.cmd = exec.Command(path, "serve", "-config", filepath.Join(v.dir, "sidecar.toml"))
	v.cmd.Stdout, v.cmd.Stderr = &v.output, &v.output
	s := &supervisor{supervision: v.supervise}
	v.supervisor = s
	must(v.t, s.start(v.t, v.cmd))
	v.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		cmd.Wait()
		s.stop()
		close(exited)
	}(v.cmd, v.exited)
}

// kill ends the process with SIGKILL, unless it has ended.
func (v *victim) kill() {
	if v.cmd != nil {
		v.cmd.Process.Kill()
		<-v.exited
	}
}

// stop ends the process as an operator does.
func (v *victim) stop() {
	v.t.Helper()
	v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.exited:
	case <-time.After(testutil.Patience):
		v.t.Errorf("sidekey does not end")
		v.kill()
	}
	if code := v.cmd.ProcessState.ExitCode(); code != 0 {
		v.t.Errorf("sidekey ended with %d", code)
	}
}

// connection is a client of one listener. Unlike the client of net/http it never repeats a request.
type connection struct {
	t              testing.TB
	socket, secret string
	conn           net.Conn
	reader         *bufio.Reader
}

func (v *victim) admin() *connection {
	return &connection{t: v.t, socket: v.socket("admin"), secret: v.secret}
}

func (v *victim) check() *connection { return &connection{t: v.t, socket: v.socket("check")} }

// errNotSent means that the request cannot have had any effect.
var errNotSent = errors.New("not sent")

// do sends one request and reads the answer. After an error other than errNotSent, it is unknown
// whether the request was carried out.
func (c *connection) do(method, target, body string, header ...string) (status int, text string, err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("unix", c.socket, testutil.Patience); err != nil {
			return 0, "", fmt.Errorf("%w: %w", errNotSent, err)
		}
		c.reader = bufio.NewReader(c.conn)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", method, target, len(body))
	if c.secret != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", c.secret)
	}
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	c.conn.SetDeadline(time.Now().Add(testutil.Patience))
	if _, err := c.conn.Write(b.Bytes()); err != nil {
		return 0, "", err
	}
	answer, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		return 0, "", err
	}
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, "", err
	}
	if answer.Close {
		c.close()
	}
	if c.secret != "" {
		x := openapitest.Exchange{Method: method, Target: target, Sent: []byte(body), Status: answer.StatusCode, Header: answer.Header, Body: read}
		if err := openapitest.Check(x); err != nil {
			c.t.Error(err)
		}
	}
	return answer.StatusCode, string(read), nil
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// password is the password of every user that logs in.
const password = "open sesame"

// ask returns the answer to a check of a user.
func (c *connection) ask(user, password string) (status int, text string, err error) {
	return c.do("GET", "/auth/envoy/orders", "", "X-Forwarded-For: 192.0.2.1",
		"Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}
