package story

import (
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"

	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"sidekey/command"
)

// asksAdmin are the command lines that ask the admin listener.
var asksAdmin = []string{
	"user add bob -password-stdin", "user set bob -alias Bob", "user list", "user show bob", "user del bob",
	"user reset bob", "user passwd bob -password-stdin", "user verify bob -password-stdin",
	"policy list", "policy show gold", "policy set gold -file json", "policy del gold",
	"api list", "explain -user bob -password-stdin", "import htpasswd htpasswd", "import tyk tyk", "import json json",
	"export tyk", "export json", "backup copy.db", "check-db", "compact",
}

// asksNot are the commands that send no secret to a listener.
var asksNot = []string{
	"serve", "check-config", "version", "hash-password", "secret", "dev", "manual", "restore", "export htpasswd",
	"healthcheck", // tested below
}

// Every command is in one of the two lists.
func TestImpostorCommands(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, below := range cmd.Commands() {
			walk(below)
		}
		name := strings.TrimPrefix(cmd.CommandPath(), "sidekey ")
		if cmd.HasSubCommands() || strings.HasPrefix(name, "completion") || name == "help" {
			return
		}
		known := false
		for _, line := range append(asksAdmin, asksNot...) {
			known = known || line == name || strings.HasPrefix(line, name+" ")
		}
		if !known {
			t.Errorf("%s: does it send the secret? Add it to asksAdmin or asksNot", name)
		}
	}
	walk(command.New(command.Program{}))
}

// impostor listens instead of sidekey, records what it gets, and gives each request
// the same answer.
type impostor struct {
	net.Listener
	mu  sync.Mutex
	got strings.Builder
}

func startImpostor(t *testing.T, network, where, answer string) *impostor {
	t.Helper()
	l, err := net.Listen(network, where)
	if err != nil {
		t.Fatal(err)
	}
	return serveImpostor(t, l, answer)
}

func serveImpostor(t *testing.T, l net.Listener, answer string) *impostor {
	t.Helper()
	i := &impostor{Listener: l}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { i.serve(c, answer) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return i
}

func (i *impostor) serve(c net.Conn, answer string) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Patience))
	read := bufio.NewReader(io.TeeReader(c, i))
	for {
		request, err := http.ReadRequest(read)
		if err != nil {
			return
		}
		io.Copy(io.Discard, request.Body)
		io.WriteString(c, answer)
	}
}

func (i *impostor) Write(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.got.Write(p)
}

// take returns the bytes that the impostor received since the last call.
func (i *impostor) take() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	defer i.got.Reset()
	return i.got.String()
}

// impostorFolder is a folder with the configuration and the secret of a sidekey that does not
// run.
func impostorFolder(t *testing.T, listen string) (dir, secret string) {
	t.Helper()
	dir, secret = t.TempDir(), "the-secret-of-this-test"
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	testutil.WriteFile(t, filepath.Join(dir, "data"), "admin.secret", secret+"\n")
	testutil.WriteFile(t, dir, "sidecar.toml", fmt.Sprintf("check.listen = %q\nadmin.listen = %q\n", testutil.FreeAddr(t), listen))
	testutil.WriteFile(t, dir, "json", `{"username": "bob"}`)
	testutil.WriteFile(t, dir, "htpasswd", "bob:{SHA}syXLcnHQzjJw4wkzdPf2s6oVlws=\n")
	testutil.WriteFile(t, dir, "tyk", `apikey-92ac0f0f241412ec {"org_id": "default", "rate": 3, "per": 1, "basic_auth_data": {"user": "alice"}}`+"\n")
	return dir, secret
}

func runIn(t *testing.T, dir string, env []string, args ...string) (status int, said string) {
	t.Helper()
	path, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader("test123\n")
	cmd.WaitDelay = testutil.Patience
	timer := time.AfterFunc(testutil.Patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// T-107: no command sends the secret to a program that listens on the admin port while sidekey is
// down, whatever that program answers.
func TestT107Impostor(t *testing.T) {
	where := testutil.FreeAddr(t)
	dir, secret := impostorFolder(t, where)
	const body = `{"address": "%s", "proofs": ["%s"]}`
	proofs := fmt.Sprintf(body, where, strings.Repeat("0", 64))
	for what, answer := range map[string]string{
		"a page":             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"an older sidekey":   "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}",
		"a redirect":         "HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
		"a wrong proof":      fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(proofs), proofs),
		"another protocol":   "220 ready\r\n",
		"continue, for long": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			i := startImpostor(t, "tcp", where, answer)
			lines := asksAdmin
			if what != "a page" {
				lines = []string{"user list", "check-db"}
			}
			for _, line := range lines {
				status, said := runIn(t, dir, nil, strings.Fields(line)...)
				got := i.take()
				if status != 1 || !strings.HasSuffix(said, "; the secret was not sent\n") || strings.Count(said, "\n") != 1 {
					t.Errorf("sidekey %s: exit code %d, said\n%s", line, status, said)
				}
				if strings.Contains(got, secret) || !strings.HasPrefix(got, "GET /api/proof/") {
					t.Errorf("sidekey %s sends\n%s", line, got)
				}
				status, said = runIn(t, dir, []string{"SIDEKEY_ADMIN_SECRET=" + secret}, append(strings.Fields(line), "-admin", "http://"+where)...)
				if got := i.take(); status != 1 || strings.Contains(got, secret) {
					t.Errorf("sidekey %s -admin: exit code %d, sends\n%s\nsaid\n%s", line, status, got, said)
				}
			}
			runIn(t, dir, nil, "healthcheck")
			if got := i.take(); strings.Contains(got, secret) || !strings.HasPrefix(got, "GET /readyz ") {
				t.Errorf("healthcheck sends\n%s", got)
			}
			if _, err := os.Stat(filepath.Join(dir, "copy.db")); err == nil {
				t.Error("a backup was written")
			}
		})
	}
}

// T-107: a program that passes requests on to a sidekey with the same secret is recognised by its
// address. Requests to the sidekey itself are sent.
func TestT107Relay(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners)
	to, err := url.Parse(s.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	relay := httputil.NewSingleHostReverseProxy(to)
	listener, err := net.Listen("tcp", testutil.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(&seen, r.URL.Path, r.Header)
		relay.ServeHTTP(w, r)
	})}
	go server.Serve(listener)
	defer server.Close()
	config := func(listen string) string {
		return testutil.WriteFile(t, t.TempDir(), "other.toml", fmt.Sprintf("data_dir = %q\ncheck.listen = %q\nadmin.listen = %q\n", s.DataDir, testutil.FreeAddr(t), listen))
	}
	status, said := runIn(t, t.TempDir(), nil, "user", "list", "-config", config(listener.Addr().String()))
	want := fmt.Sprintf("sidekey: the listener at %s passes requests on to a sidekey at %s: name a forwarded port with -admin; the secret was not sent\n", listener.Addr(), to.Host)
	if status != 1 || said != want || strings.Contains(seen.String(), s.Secret) {
		t.Errorf("exit code %d, said\n%swant\n%ssent\n%s", status, said, want, seen.String())
	}
	status, said = runIn(t, t.TempDir(), []string{"SIDEKEY_ADMIN_SECRET=" + s.Secret}, "user", "list", "-admin", "http://"+listener.Addr().String())
	if status != 0 || !strings.Contains(seen.String(), s.Secret) {
		t.Errorf("a forwarded port that is named: exit code %d, said\n%s", status, said)
	}
	if status, said = runIn(t, t.TempDir(), nil, "user", "list", "-config", config(to.Host)); status != 0 {
		t.Errorf("the listener itself: exit code %d, said\n%s", status, said)
	}
}
