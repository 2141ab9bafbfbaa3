package story

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// Decisions go on when the reader of the decision log on stdout has ended, and when the disk is
// full.
func TestDecisionLogCannotBeWritten(t *testing.T) {
	f := func(name, config string) {
		t.Run(name, func(t *testing.T) {
			path, err := sidekeytest.Binary()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			s := &script{binary: path, dir: dir, check: testutil.FreeAddr(t), admin: testutil.FreeAddr(t)}
			config := strings.NewReplacer("CHECK", s.check, "ADMIN", s.admin, `"DATA"`, `"data"`).Replace(sidekeytest.Listeners + config)
			testutil.WriteFile(t, dir, "sidecar.toml", config)
			gone, stdout, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			gone.Close()
			s.running = exec.Command(path, "serve", "-config", filepath.Join(dir, "sidecar.toml"))
			s.running.Dir, s.running.Stdout, s.running.Stderr = dir, stdout, &s.logged
			if err := s.running.Start(); err != nil {
				t.Fatal(err)
			}
			stdout.Close()
			s.ended = make(chan error, 1)
			go func() { s.ended <- s.running.Wait() }()
			defer s.kill()
			ask := func() bool {
				a, err := s.askCheck([]string{"envoy", "/"})
				return err == nil && a.status == http.StatusUnauthorized
			}
			if err := s.patiently("an answer", ask); err != nil {
				t.Fatalf("%v\n%s", err, s.logged.String())
			}
			s.out, s.err = io.Discard, io.Discard
			if err := s.awaitLog([]string{"cannot write the decision log"}); err != nil {
				t.Fatal(err)
			}
			if !ask() {
				t.Error("no decision without the log")
			}
			if err := s.running.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-s.ended:
				s.running = nil
				if err != nil || strings.Count(s.logged.String(), "cannot write the decision log") != 1 {
					t.Errorf("%v\n%s", err, s.logged.String())
				}
			case <-time.After(testutil.Patience):
				t.Error("does not end")
			}
		})
	}
	f("broken pipe", "log.decisions = 'all'\n")
	f("full disk", "log = { decisions = 'all', file = '/dev/full' }\n")
}
