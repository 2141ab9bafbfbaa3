package version

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"

	"sidekey/internal/testutil"
)

func TestName(t *testing.T) {
	f := func(release, module, commit, date, modified, want string) {
		t.Helper()
		info := &debug.BuildInfo{Main: debug.Module{Version: module}}
		for key, value := range map[string]string{"vcs.revision": commit, "vcs.time": date, "vcs.modified": modified} {
			if value != "" {
				info.Settings = append(info.Settings, debug.BuildSetting{Key: key, Value: value})
			}
		}
		if got := name(release, info); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	const commit, date = "3f2a9c04d1e7b86f5a0c9d8e7f6a5b4c3d2e1f00", "2026-11-28T09:15:00Z"
	f("v0.1.0", "(devel)", "", "", "", "v0.1.0")
	f("", "v0.1.0", commit, date, "false", "v0.1.0")
	f("", "v0.1.0-rc.1", commit, date, "false", "v0.1.0-rc.1")
	f("", "v0.1.0+dirty", commit, date, "true", "v0.1.0 (modified)")
	f("", "v0.1.1-0.20261128091500-3f2a9c04d1e7", commit, date, "false", "3f2a9c04d1e7 (2026-11-28)")
	f("", "v0.0.0-20261128091500-3f2a9c04d1e7+dirty", commit, date, "true", "3f2a9c04d1e7 (2026-11-28, modified)")
	f("", "(devel)", commit, date, "false", "3f2a9c04d1e7 (2026-11-28)")
	f("", "(devel)", "", "", "", "unknown")
	f("", "", "", "", "", "unknown")
}

// The program of "make build" names the tag or the commit, even if GOFLAGS has -buildvcs=false.
func TestMakeBuild(t *testing.T) {
	for _, program := range []string{"git", "make"} {
		if _, err := exec.LookPath(program); err != nil {
			testutil.CannotRun(t, err.Error())
		}
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "internal/version"), 0o700); err != nil {
		t.Fatal(err)
	}
	testutil.WriteFile(t, dir, "Makefile", testutil.ReadFile(t, "../../Makefile"))
	testutil.WriteFile(t, dir, "internal/version/version.go", testutil.ReadFile(t, "version.go"))
	testutil.WriteFile(t, dir, "go.mod", "module sidekey\n\ngo 1.26.0\n")
	testutil.WriteFile(t, dir, ".gitignore", "/sidekey\n")
	testutil.WriteFile(t, dir, "main.go", "package main\n\nimport \"sidekey/internal/version\"\n\nfunc main() { print(version.String()) }\n")
	run := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-11-28T09:15:00Z",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-11-28T09:15:00Z")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", program, args, err, out)
		}
		return string(out)
	}
	f := func(want string) {
		t.Helper()
		run("make", "build")
		if got := run("./sidekey"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f("unknown")
	run("git", "init", "--quiet")
	run("git", "add", ".")
	run("git", "commit", "--quiet", "--message", "first")
	commit := run("git", "rev-parse", "HEAD")[:12]
	f(commit + " (2026-11-28)")
	run("git", "tag", "v0.1.0")
	f("v0.1.0")
	testutil.WriteFile(t, dir, "go.mod", "module sidekey\n\ngo 1.26.0 // changed\n")
	f("v0.1.0 (modified)")
	run("git", "tag", "--delete", "v0.1.0")
	f(commit + " (2026-11-28, modified)")
}
