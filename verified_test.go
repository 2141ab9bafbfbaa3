package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
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

	"sidekey/store/bolt"
)

// verifyVariable tells the child of a test that verifies a database how to end.
const verifyVariable = "SIDEKEY_VERIFY"

// verifyAsTold is the test's own binary as the child that verifies a database.
func verifyAsTold(args []string) int {
	switch os.Getenv(verifyVariable) {
	case "panic":
		panic("unexpected fault address")
	case "killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hangs":
		select {}
	}
	return verifyDatabase(args, os.Stdout, os.Stderr)
}

// Whatever a file does to the process that opens it first, the program says one line.
func TestVerifyInChild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sidekey.db")
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f := func(how, want string) {
		t.Helper()
		t.Setenv(verifyVariable, how)
		began := time.Now()
		limit := patience
		if how == "hangs" {
			limit = time.Second
		}
		_, err := verifyInChild(path, limit)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", how, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %v is not one line with the file's name", how, err)
		}
		if took := time.Since(began); took > limit+patience {
			t.Errorf("%s: took %v", how, took)
		}
	}
	f("a file that is not there", "")
	s, err := bolt.Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f("a file that is open", "in use by another process (pid ")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f("a good one", "")
	f("panic", "the file ends whoever opens it (exit status 2)")
	f("killed", "the file ends whoever opens it (signal: killed")
	f("hangs", "not done within 1s")
	if err := os.WriteFile(path, bytes.Repeat([]byte("noise"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	f("noise", "the database is damaged: page 0: not a valid meta page; sidekey check-db names all")
}

// The real program on damaged files: it says one line and ends with 1, or it refuses
// single users, whom it names, and nobody else.
func TestDamagedDatabase(t *testing.T) {
	s := startSidekey(t, listeners)
	const users = 8
	for i := range users {
		s.putUser(fmt.Sprintf("user%d", i), fmt.Sprintf(`{"alias": "alias-%d-%s", "basic_auth_data": {"password": "pw"}}`, i, strings.Repeat("x", 900)))
	}
	s.stop()
	path := filepath.Join(s.DataDir, "sidekey.db")
	config := filepath.Join(filepath.Dir(s.DataDir), "sidecar.toml")
	whole := []byte(mustReadFile(t, path))
	ask := &script{binary: s.process.cmd.Path, dir: filepath.Dir(s.DataDir), check: s.CheckAddr, admin: strings.TrimPrefix(s.AdminURL, "http://")}

	// sidekey check-db says the same with its exit code.
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

	// One record.
	b := bytes.Clone(whole)
	for at := 0; ; at++ { // the record, and what older states left in free pages
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
	again := start(t, ask.binary, "serve", "-config", config)
	again.await("ready", func() bool {
		a, err := ask.http("GET", "/readyz", nil)
		return err == nil && strings.Contains(a.text, `"damaged":["default/user3"]`)
	})
	if !strings.Contains(again.output.String(), `a user's record is damaged: the user is refused until it is written again" org=default user=user3`) {
		t.Errorf("log: %s", again.output.String())
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
		t.Errorf("written anew: %v %s", err, a.text)
	}
	if out, err := exec.Command(ask.binary, "check-db", "-config", config).CombinedOutput(); err != nil {
		t.Errorf("check-db after it was written anew: %v %s", err, out)
	}
	if err := again.stop(); err != nil {
		t.Error(err)
	}
	check("written anew", 0)
}

// A client who reads its backup a byte at a time holds up no writer, nor the room of
// deleted pages, nor the end of the program.
func TestSlowBackupReader(t *testing.T) {
	s := startSidekey(t, listeners)
	long := strings.Repeat("x", 100_000)
	for i := range 64 { // more than the buffers of a connection hold
		s.putUser(fmt.Sprintf("big%d", i), fmt.Sprintf(`{"meta_data": {"long": %q}, "basic_auth_data": {"password": "pw"}}`, long))
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
	if status, answer, _ := s.admin("GET", "/api/backup", ""); status != 429 {
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
	// A writer that waits for readers waits until they are done, which is after this.
	if busy > 2*time.Second {
		t.Errorf("a writer waited for %v, without readers for %v", busy, quiet)
	}
	if grown := after.Size() - before.Size(); grown > 20<<20 {
		t.Errorf("the file grew by %d bytes while %d writes replaced what was there", grown, writes)
	}
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %v while backups were being read", took)
	}
	left, err := filepath.Glob(filepath.Join(s.DataDir, "*.backup-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
