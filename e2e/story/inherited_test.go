package story

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// withSockets returns a command that runs the program with passed sockets, as systemd does.
func withSockets(t *testing.T, program, config string, sockets ...net.Listener) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", fmt.Sprintf(`LISTEN_FDS=%d LISTEN_PID=$$ exec "$0" serve -config "$1"`, len(sockets)), program, config)
	for _, l := range sockets {
		file, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	return cmd
}

// While the program restarts, requests wait in the passed socket: none is refused, and a quota
// counts every one.
func TestRestartRefusesNobody(t *testing.T) {
	program, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	admin, dir := testutil.FreeAddr(t), t.TempDir()
	file := testutil.WriteFile(t, dir, "sidecar.toml", strings.NewReplacer(
		`"DATA"`, fmt.Sprintf("%q", filepath.Join(dir, "data")), "CHECK", held.Addr().String(), "ADMIN", admin).Replace(sidekeytest.Listeners))
	begin := func() *testutil.Process {
		t.Helper()
		p := testutil.StartCommand(t, withSockets(t, program, file, held))
		p.Await("GET /readyz answers 200", func() bool {
			answer, err := http.Get("http://" + admin + "/readyz")
			if err == nil {
				answer.Body.Close()
			}
			return err == nil && answer.StatusCode == http.StatusOK
		})
		return p
	}
	running := begin()
	s := &sidekeytest.Sidekey{T: t, AdminURL: "http://" + admin, CheckAddr: held.Addr().String(), Process: running}
	s.Secret = strings.TrimSpace(testutil.ReadFile(t, filepath.Join(dir, "data", "admin.secret")))
	s.PutUser("ann", sidekeytest.Session("pw", `"quota_max": 1000000`))

	var passed atomic.Int64
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testutil.Patience}
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			request, err := http.NewRequest("GET", "http://"+held.Addr().String()+"/auth/envoy/", nil)
			if err == nil {
				request.SetBasicAuth("ann", "pw")
				request.Header.Set("X-Forwarded-For", "192.0.2.1")
				var answer *http.Response
				if answer, err = client.Do(request); err == nil {
					answer.Body.Close()
					if answer.StatusCode != http.StatusOK {
						err = fmt.Errorf("status %d", answer.StatusCode)
					}
				}
			}
			if err != nil {
				stopped <- err
				return
			}
			passed.Add(1)
		}
	}()
	for range 3 {
		before := passed.Load()
		running.Await("requests pass", func() bool { return passed.Load() > before+20 })
		if err := running.Stop(); err != nil {
			t.Fatal(err)
		}
		running = begin()
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Errorf("after %d requests: %v", passed.Load(), err)
	}
	s.Process = running
	_, answer, _ := s.Admin("GET", "/api/apis/keys/basic/ann", "")
	if want := fmt.Sprintf(`"quota_remaining":%d`, 1_000_000-passed.Load()); !strings.Contains(answer, want) {
		t.Errorf("want %s in %s", want, answer)
	}
}

// A passed socket without a configured listener keeps the program from starting: its clients would
// get no answer.
func TestInheritedNotConfigured(t *testing.T) {
	program, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	dir := t.TempDir()
	file := testutil.WriteFile(t, dir, "sidecar.toml", strings.NewReplacer(
		`"DATA"`, fmt.Sprintf("%q", filepath.Join(dir, "data")), "CHECK", testutil.FreeAddr(t), "ADMIN", testutil.FreeAddr(t)).Replace(sidekeytest.Listeners))
	var said bytes.Buffer
	cmd := withSockets(t, program, file, other)
	cmd.Stderr = &said
	cmd.Run()
	if want := "no listener is configured for: tcp " + other.Addr().String(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), want) {
		t.Errorf("exit code %d, %s", cmd.ProcessState.ExitCode(), said.String())
	}
}
