package story

import (
	"bytes"
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
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// With damaged files the program prints one line and exits with 1, or it names and refuses single
// users and serves all others.
func TestDamagedDatabase(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners)
	const users = 8
	for i := range users {
		s.PutUser(fmt.Sprintf("user%d", i), fmt.Sprintf(`{"alias": "alias-%d-%s", "basic_auth_data": {"password": "pw"}}`, i, strings.Repeat("x", 900)))
	}
	s.Stop()
	path := filepath.Join(s.DataDir, "sidekey.db")
	config := filepath.Join(filepath.Dir(s.DataDir), "sidecar.toml")
	whole := []byte(testutil.ReadFile(t, path))
	ask := &script{binary: s.Process.Cmd.Path, dir: filepath.Dir(s.DataDir), check: s.CheckAddr, admin: strings.TrimPrefix(s.AdminURL, "http://")}

	// sidekey check-db tells the same by its exit code.
	check := func(what string, want int) string {
		t.Helper()
		out, _ := exec.Command(ask.binary, "check-db", "-config", config).CombinedOutput()
		if got := bytes.Contains(out, []byte("damaged: ")); got != (want == 1) {
			t.Errorf("%s: check-db says %s", what, out)
		}
		return string(out)
	}
	const page = 4096
	broken := map[string]func(b []byte) []byte{
		"empty":     func(b []byte) []byte { return nil },
		"cut short": func(b []byte) []byte { return b[:3*page] },
		"meta":      func(b []byte) []byte { b[page+40] ^= 1; return b },
		"zeros":     func(b []byte) []byte { clear(b[2*page:]); return b },
		"moved":     func(b []byte) []byte { copy(b[2*page:], bytes.Clone(b[3*page:])); return b },
		"noise": func(b []byte) []byte {
			for i := range b {
				b[i] ^= byte(i * i >> 3)
			}
			return b
		},
	}
	for what, change := range broken {
		if err := os.WriteFile(path, change(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		serve := exec.Command(ask.binary, "serve", "-config", config)
		serve.Stderr = &said
		timer := time.AfterFunc(10*time.Second, func() { serve.Process.Kill() })
		serve.Run()
		timer.Stop()
		if code := serve.ProcessState.ExitCode(); code != 1 || strings.Count(said.String(), "\n") != 1 || !strings.HasPrefix(said.String(), "sidekey: verify ") {
			t.Errorf("%s: exit code %d: %s", what, code, said.String())
		}
		check(what, 1)
	}

	// Damage one record.
	b := bytes.Clone(whole)
	for at := 0; ; at++ { // the record, and copies that older states left in free pages
		next := bytes.Index(b[at:], []byte("alias-3-x"))
		if next < 0 {
			break
		}
		at += next
		b[at+20] ^= 4
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if text := check("one record", 1); !strings.Contains(text, `damaged: user "user3" of "default": checksum does not match`) {
		t.Errorf("check-db: %s", text)
	}
	again := testutil.Start(t, ask.binary, "serve", "-config", config)
	again.Await("ready", func() bool {
		a, err := ask.http("GET", "/readyz", nil)
		return err == nil && strings.Contains(a.text, `"damaged":["default/user3"]`)
	})
	if !strings.Contains(again.Output.String(), `a user's record is damaged: the user is refused until it is written again" org=default user=user3`) {
		t.Errorf("log: %s", again.Output.String())
	}
	for i := range users {
		want := map[bool]int{true: 200, false: 401}[i != 3]
		if a, err := ask.askCheck([]string{"-u", fmt.Sprintf("user%d:pw", i), "envoy", "/"}); err != nil || a.status != want {
			t.Errorf("user%d: %v %d, want %d", i, err, a.status, want)
		}
	}
	if out, err := exec.Command(ask.binary, "check-db", "-config", config, "-o", "json").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), `"damaged":[{"bucket":"users","org":"default","user":"user3","problem":"checksum does not match"}]`) {
		t.Errorf("check-db of the running program: %v %s", err, out)
	}
	if a, err := ask.http("POST", "/tyk/keys/user3", []byte(`{"basic_auth_data": {"password": "pw"}}`)); err != nil || a.status != 200 {
		t.Errorf("written again: %v %s", err, a.text)
	}
	if out, err := exec.Command(ask.binary, "check-db", "-config", config).CombinedOutput(); err != nil {
		t.Errorf("check-db after it was written again: %v %s", err, out)
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
	check("written again", 0)
}

// A client that reads its backup one byte at a time delays no writer, does not keep the space of
// deleted pages, and does not keep the program from ending.
func TestSlowBackupReader(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners)
	long := strings.Repeat("x", 100_000)
	for i := range 64 { // more than the buffers of a connection can hold
		s.PutUser(fmt.Sprintf("big%d", i), fmt.Sprintf(`{"meta_data": {"long": %q}, "basic_auth_data": {"password": "pw"}}`, long))
	}
	write := func(during time.Duration) (worst time.Duration, writes int64) {
		var longest, count atomic.Int64
		var group sync.WaitGroup
		end := time.Now().Add(during)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		defer client.CloseIdleConnections()
		for i := range 64 {
			group.Go(func() {
				for n := 0; time.Now().Before(end); n++ {
					r, _ := http.NewRequest("PUT", fmt.Sprintf("%s/tyk/policies/p%d", s.AdminURL, i), strings.NewReader(fmt.Sprintf(`{"id": "p%d", "org_id": "default", "rate": %d, "per": 1}`, i, n)))
					if n == 0 {
						r.Method = "POST"
						r.URL.Path = "/tyk/policies"
					}
					r.Header.Set("Authorization", s.Secret)
					began := time.Now()
					answer, err := client.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
					if took := int64(time.Since(began)); n > 0 {
						longest.Store(max(longest.Load(), took))
					}
					count.Add(1)
				}
			})
		}
		group.Wait()
		return time.Duration(longest.Load()), count.Load()
	}
	quiet, _ := write(time.Second)
	before, err := os.Stat(filepath.Join(s.DataDir, "sidekey.db"))
	if err != nil {
		t.Fatal(err)
	}

	var readers []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.AdminURL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /api/backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\n\r\n", s.Secret)
		readers = append(readers, c)
	}
	one := make([]byte, 1)
	for _, c := range readers {
		if _, err := c.Read(one); err != nil {
			t.Fatal(err)
		}
	}
	if status, answer, _ := s.Admin("GET", "/api/backup", ""); status != 429 {
		t.Errorf("a fifth backup: %d %.100s", status, answer)
	}
	busy, writes := write(3 * time.Second)
	for _, c := range readers {
		if _, err := c.Read(one); err != nil {
			t.Errorf("the slow reader: %v", err)
		}
	}
	after, err := os.Stat(filepath.Join(s.DataDir, "sidekey.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes; the longest took %v, without readers %v; the file grew by %d bytes", writes, busy, quiet, after.Size()-before.Size())
	// A writer that waits for readers would wait until after this.
	if busy > 2*time.Second {
		t.Errorf("a writer waited for %v, without readers for %v", busy, quiet)
	}
	if grown := after.Size() - before.Size(); grown > 20<<20 {
		t.Errorf("the file grew by %d bytes while %d writes replaced what was there", grown, writes)
	}
	began := time.Now()
	s.Stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %v while backups were being read", took)
	}
	left, err := filepath.Glob(filepath.Join(s.DataDir, "*.backup-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
