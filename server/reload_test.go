package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/config"
	"sidekey/internal/testutil"
)

// reloadable is a Server with a configuration file that is not watched.
type reloadable struct {
	*Server
	t    testing.TB
	file string
	base string
	log  testutil.LockedBuffer
}

func newReloadable(t testing.TB) *reloadable {
	t.Helper()
	dir := t.TempDir()
	r := &reloadable{t: t, base: fmt.Sprintf("data_dir = %q\ncheck.listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\npasswords.bcrypt_cost = 8\nlog.decisions = \"none\"\n", filepath.Join(dir, "data"))}
	r.file = testutil.WriteFile(t, dir, "sidecar.toml", r.base)
	cfg, err := config.Load(r.file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Server, err = Start("", cfg, slog.New(slog.NewTextHandler(&r.log, nil))); err != nil {
		t.Fatal(err)
	}
	r.path = r.file
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// write writes the file: the first configuration and more.
func (r *reloadable) write(more string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(r.base+more), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// While a reload is under way, checks, /readyz, metrics and what an edit needs wait for nothing.
func TestReloadHoldsNoReader(t *testing.T) {
	s := newReloadable(t)
	s.reloading.Lock()
	defer s.reloading.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, url := range []string{"http://" + s.AdminAddr() + "/readyz", "http://" + s.AdminAddr() + "/metrics", "http://" + s.CheckAddr() + "/nginx/"} {
			answer, err := http.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
		}
		s.rules()
		s.policies()
		s.health()
		s.writeMetrics(io.Discard, true)
		if _, err := s.store.Update("default", "ann", func(*session.Record) (*session.Record, error) {
			return &session.Record{Org: "default", User: "ann"}, nil
		}); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-done:
	case <-time.After(testutil.Patience):
		t.Fatal("waits for the reload")
	}
}

// Accounts stay unless something changes that they are made of.
func TestReloadKeepsCompiler(t *testing.T) {
	s := newReloadable(t)
	const policy = "[[policies]]\nid = \"gold\"\nrate = %d\nper = 60\naccess_rights.rest = {}\n[[apis]]\nid = \"rest\"\nlisten_path = \"/\"\n"
	f := func(more string, same bool) *auth.Settings {
		t.Helper()
		before := s.checker.Settings()
		s.write(more)
		if err := s.reload(); err != nil {
			t.Fatal(err)
		}
		after := s.checker.Settings()
		if (before.Compiler == after.Compiler) != same {
			t.Errorf("%q: the same compiler: %v", more, !same)
		}
		return after
	}
	f("", true)
	f("check.realm = \"r\"\nlimits.quota_exceeded_status = 429\nlimits.max_active = 5000\n", true)
	f("rights.allow_empty_rights = false\n", true)
	f("check.meta_headers = { plan = \"X-Plan\" }\n", false)
	f("check.meta_headers = { plan = \"X-Plan\" }\n", true)
	f("rights.policy_tags = \"merge\"\n", false)
	one := f(fmt.Sprintf(policy, 5), false)
	if got := s.policies().Get("gold"); got == nil || got.Rate != 5 || one.Compiler.Policies != s.policies() || s.rules().Policies != s.policies() {
		t.Errorf("policy %v", got)
	}
	f("# a comment\n"+fmt.Sprintf(policy, 5), true)
	f(fmt.Sprintf(policy, 6), false)
	f("", false)

	// A file that is not valid changes nothing but what is reported.
	before := s.checker.Settings()
	s.write("nonsense = 1\n")
	if err := s.reload(); err == nil || s.health().Reload == nil || s.checker.Settings() != before {
		t.Errorf("%v, reported %v", err, s.health().Reload)
	}
	s.write("")
	if err := s.reload(); err != nil || s.health().Reload != nil {
		t.Errorf("%v, reported %v", err, s.health().Reload)
	}
}

// A change that a signal and then the watcher of the file tell is reported once, whether it is
// valid or not. A signal always reloads: keys and logs may have changed.
func TestChangeIsReportedOnce(t *testing.T) {
	s := newReloadable(t)
	f := func(do func(), reloaded, rejected int) {
		t.Helper()
		do()
		if got, bad := strings.Count(s.log.String(), "reloaded the configuration"), strings.Count(s.log.String(), "was not reloaded"); got != reloaded || bad != rejected {
			t.Errorf("reloaded %d times and rejected %d, want %d and %d", got, bad, reloaded, rejected)
		}
	}
	signal := func() { s.reload() }
	s.write("check.realm = \"a\"\n")
	f(signal, 1, 0)
	f(s.reloadChanged, 1, 0)
	f(signal, 2, 0)
	if got := strings.Count(s.log.String(), "which has not changed"); got != 1 {
		t.Errorf("the signal after the watcher reports the change again:\n%s", s.log.String())
	}
	s.write("check.realm = \"b\"\n")
	f(s.reloadChanged, 3, 0)
	f(s.reloadChanged, 3, 0)
	s.write("nonsense = 1\n")
	f(signal, 3, 1)
	f(s.reloadChanged, 3, 1)
	s.write("check.realm = \"b\"\n")
	f(s.reloadChanged, 4, 1)
	os.Remove(s.file)
	f(s.reloadChanged, 4, 2)
}
