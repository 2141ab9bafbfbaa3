package story

import (
	"bytes"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

var updateStories = flag.Bool("update", false, "write what e2e/story/testdata/script and e2e/story/testdata/golden compare with")

// TestStories runs e2e/story/testdata/script: one story for each promise, told to the real program
// in a process of its own. In the *.toml files of a story, the test replaces CHECK and ADMIN by the
// addresses of the listeners, WEBHOOK by that of a receiver of events, and WORK by the folder of the
// story. Its commands, besides those of testscript:
//
//	serve [CONFIG]              start the program and wait until it is ready
//	quit                        SIGTERM; it must end with exit code 0; its log is then in stderr
//	crash                       SIGKILL
//	signal NAME                 HUP or TERM, and go on
//	log REGEXP                  wait until the log of the running program matches
//	exits CODE ARG... [<FILE]   run sidekey; it must end with that code
//	admin METHOD PATH [FILE]    send a request with the secret to the admin listener
//	ask [flags] DIALECT URI     ask the check listener as a proxy does
//	until REGEXP COMMAND ARG... repeat admin or ask until the answer matches
//	times N COMMAND ARG...      repeat admin or ask, and count the statuses
//	begin ask ...               ask for a login, and return while it is in progress
//	answered                    print the answer to the request that begin sent
//	again                       repeat the last request of ask byte for byte
//	newer FILE                  mark a database as written by a later version
//	lines N FILE                wait until a file has N lines, and print them
//	webhook STATUS              the answer of the receiver of events from now on
//	received N                  wait for exactly N events, and print them
//	asked N                     wait for N requests to the receiver, and print their headers
//
// Requests of its commands to the admin listener pass a proxy that compares them and their answers
// with openapi.json (see between), as admin does.
//
// At the end, everything that the program wrote is searched for the passwords, hashes and secret of
// the story (T-75, see leaks).
//
// An answer is printed as status, sorted headers and body. Words replace what differs between runs
// (see scriptWords).
func TestStories(t *testing.T) {
	path, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "e2e/story/testdata/script",
		UpdateScripts: *updateStories,
		Setup: func(env *testscript.Env) error {
			s := &script{binary: path, dir: env.WorkDir, check: testutil.FreeAddr(t), admin: testutil.FreeAddr(t)}
			s.webhook = startWebhook()
			env.Values[scriptKey{}] = s
			env.Defer(s.webhook.Close)
			s.between = startBetween(func() string { return s.admin }, func() []string {
				text, _ := os.ReadFile(filepath.Join(s.dir, "data", "admin.secret"))
				return strings.Fields(string(text))
			})
			env.Defer(s.between.Close)
			// for exec in stories that type on a terminal
			env.Setenv("SIDEKEY", filepath.Join(env.WorkDir, "sidekey"))
			env.Defer(func() {
				s.kill()
				if _, err := s.between.take(); err != nil {
					env.T().Fatal(err)
				}
				if err := s.leaks.find(s.dir); err != nil {
					env.T().Fatal(err)
				}
			})
			return s.fillIn()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":    scriptCommand((*script).serve),
			"quit":     scriptCommand((*script).quit),
			"crash":    scriptCommand((*script).crash),
			"signal":   scriptCommand((*script).signal),
			"log":      scriptCommand((*script).awaitLog),
			"exits":    scriptCommand((*script).exits),
			"admin":    scriptCommand(func(s *script, args []string) error { return s.print(s.askAdmin(args)) }),
			"ask":      scriptCommand(func(s *script, args []string) error { return s.print(s.askCheck(args)) }),
			"until":    scriptCommand((*script).until),
			"times":    scriptCommand((*script).times),
			"begin":    scriptCommand((*script).begin),
			"answered": scriptCommand((*script).answered),
			"again":    scriptCommand(func(s *script, _ []string) error { return s.print(s.exchange(s.check, s.asked)) }),
			"newer":    scriptCommand((*script).newer),
			"lines":    scriptCommand((*script).lines),
			"webhook":  scriptCommand((*script).webhookAnswers),
			"received": scriptCommand((*script).received),
			"asked":    scriptCommand((*script).webhookAsked),
		},
	})
}

// script is a running story.
type script struct {
	binary, dir  string
	check, admin string // addresses: HOST:PORT, or the path of a unix socket

	running *exec.Cmd
	logged  testutil.LockedBuffer
	ended   chan error

	begun chan scriptAnswer
	asked string // the last request to the check listener

	generated string // the last hmac_string in an answer

	webhook *webhook // nil outside of TestStories
	between *between // nil outside of TestStories

	leaks leaks

	out, err io.Writer // of the running command
	secret   string    // SIDEKEY_ADMIN_SECRET, which the story sets with env
}

type scriptKey struct{}

func scriptCommand(run func(*script, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		s := ts.Value(scriptKey{}).(*script)
		s.out, s.err, s.secret = ts.Stdout(), ts.Stderr(), ts.Getenv("SIDEKEY_ADMIN_SECRET")
		err := run(s, args)
		switch {
		case neg:
			ts.Fatalf("! is not for this command")
		case err != nil:
			ts.Fatalf("%v\nlog:\n%s", err, s.logged.String())
		}
	}
}

// fillIn writes the addresses into the configurations.
func (s *script) fillIn() error {
	files, err := filepath.Glob(filepath.Join(s.dir, "*.toml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		filled := strings.NewReplacer("CHECK", s.check, "ADMIN", s.admin, "WORK", s.dir, "WEBHOOK", s.webhook.Listener.Addr().String()).Replace(string(text))
		if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) serve(args []string) error {
	config := "sidecar.toml"
	if len(args) > 0 {
		config = args[0]
	}
	text, err := os.ReadFile(filepath.Join(s.dir, config))
	if err != nil {
		return err
	}
	if sockets := regexp.MustCompile(`unix:([^"]+)`).FindAllSubmatch(text, -1); len(sockets) == 2 {
		s.check, s.admin = string(sockets[0][1]), string(sockets[1][1])
	}
	s.logged = testutil.LockedBuffer{}
	s.running = exec.Command(s.binary, "serve", "-config", config)
	s.running.Dir = s.dir
	s.running.Stdout, s.running.Stderr = &s.logged, &s.logged
	if err := s.running.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(s.running, s.ended)
	if copied, err := s.copyConfig(config); err == nil {
		wrapper := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\" -config '%s'\n", s.binary, copied)
		if err := os.WriteFile(filepath.Join(s.dir, "sidekey"), []byte(wrapper), 0o700); err != nil {
			return err
		}
	}
	return s.patiently("ready", func() bool {
		ready, err := s.http("GET", "/readyz", nil)
		return err == nil && ready.status == http.StatusOK
	})
}

func (s *script) quit([]string) error {
	if err := s.signal([]string{"TERM"}); err != nil {
		return err
	}
	select {
	case err := <-s.ended:
		s.running = nil
		io.WriteString(&s.leaks.said, s.logged.String())
		io.WriteString(s.err, s.logged.String())
		if err != nil {
			return fmt.Errorf("after SIGTERM: %w", err)
		}
		return nil
	case <-time.After(testutil.Patience):
		return fmt.Errorf("not ended %v after SIGTERM", testutil.Patience)
	}
}

func (s *script) crash([]string) error {
	s.kill()
	return nil
}

func (s *script) kill() {
	if s.running == nil {
		return
	}
	s.running.Process.Kill()
	<-s.ended
	s.running = nil
	io.WriteString(&s.leaks.said, s.logged.String())
}

func (s *script) signal(args []string) error {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}
	return s.running.Process.Signal(signals[args[0]])
}

func (s *script) awaitLog(args []string) error {
	want, err := regexp.Compile(args[0])
	if err != nil {
		return err
	}
	return s.patiently("a log that matches "+args[0], func() bool { return want.MatchString(s.logged.String()) })
}

// patiently waits until a condition holds, at most testutil.Patience.
func (s *script) patiently(what string, there func() bool) error {
	for deadline := time.Now().Add(testutil.Patience); time.Now().Before(deadline); {
		if there() {
			return nil
		}
		select {
		case err := <-s.ended:
			s.running = nil
			return fmt.Errorf("the program ended (%v) before: %s", err, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("not within %v: %s", testutil.Patience, what)
}

func (s *script) exits(args []string) error {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	args = args[1:]
	var input []byte
	if file, found := strings.CutPrefix(args[len(args)-1], "<"); found {
		args = args[:len(args)-1]
		if input, err = os.ReadFile(filepath.Join(s.dir, file)); err != nil {
			return err
		}
	}
	led, proxied := s.proxied(args)
	cmd := exec.Command(s.binary, led...)
	cmd.Dir, cmd.WaitDelay = s.dir, testutil.Patience
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "SIDEKEY_ADMIN_SECRET="+s.secret)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	began := time.Now()
	timer := time.AfterFunc(testutil.Patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Run()
	io.WriteString(s.out, s.words(out.String()))
	io.WriteString(s.err, s.words(stderr.String()))
	if args[0] != "export" && args[0] != "hash-password" { // these print hashes on purpose
		io.WriteString(&s.leaks.said, out.String()+stderr.String())
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("sidekey %s: exit code %d, want %d", strings.Join(args, " "), got, want)
	}
	switch passed, err := s.between.take(); {
	case err != nil:
		return fmt.Errorf("sidekey %s: %w", strings.Join(args, " "), err)
	case proxied && want == 0 && passed == 0:
		return fmt.Errorf("sidekey %s: nothing passed the proxy between", strings.Join(args, " "))
	}
	if took := time.Since(began); took > 2*time.Second {
		return fmt.Errorf("sidekey %s took %v", strings.Join(args, " "), took)
	}
	return nil
}

// newer rewrites the format version of a database that no process has open, with the checksum of
// store's envelope.
func (s *script) newer(args []string) error {
	db, err := bbolt.Open(filepath.Join(s.dir, args[0]), 0o600, &bbolt.Options{Timeout: testutil.Patience})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		bucket, key, payload := []byte("meta"), []byte("format"), []byte("999")
		var covered []byte
		covered = append(covered, 1)
		for _, part := range [][]byte{bucket, key, payload} {
			covered = binary32(covered, len(part))
		}
		covered = append(append(append(covered, bucket...), key...), payload...)
		value := binary32([]byte{1}, int(crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli))))
		return tx.Bucket(bucket).Put(key, append(value, payload...))
	})
}

func binary32(dst []byte, n int) []byte {
	return append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
