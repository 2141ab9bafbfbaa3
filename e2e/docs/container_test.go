package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// The image of the Dockerfile has nothing but the program and a folder for its data: this
// is the same where no containers can be run, as the same user.
func TestScratch(t *testing.T) {
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "chroot needs root")
	}
	chroot := testutil.NeedProgram(t, "chroot")
	program, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	const user = 65532
	dockerfile, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"FROM scratch", fmt.Sprintf("USER %d:%d", user, user), `CMD ["/sidekey", "healthcheck"]`, `ENTRYPOINT ["/sidekey"]`,
	} {
		if !strings.Contains(string(dockerfile), line) {
			t.Errorf("the Dockerfile has no %q", line)
		}
	}

	root, check, admin := t.TempDir(), testutil.FreeAddr(t), testutil.FreeAddr(t)
	if err := os.Link(program, filepath.Join(root, "sidekey")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(root, "data"), user, user); err != nil {
		t.Fatal(err)
	}
	config := testutil.WriteFile(t, root, "sidecar.toml", fmt.Sprintf("check.listen = %q\nadmin.listen = %q\n", check, admin))
	if err := os.Chmod(config, 0o644); err != nil {
		t.Fatal(err)
	}
	inside := func(command ...string) []string {
		return append([]string{fmt.Sprintf("--userspec=%d:%d", user, user), root, "/sidekey"}, command...)
	}

	if out, err := exec.Command(chroot, inside("healthcheck")...).CombinedOutput(); err == nil {
		t.Errorf("healthy before it runs: %s", out)
	}
	p := testutil.Start(t, chroot, inside()...)
	p.Await("healthcheck", func() bool { return exec.Command(chroot, inside("healthcheck")...).Run() == nil })
	got, _ := sidekeytest.Send(t, check, sidekeytest.Get("/auth/envoy/", "X-Forwarded-For: 192.0.2.1"))
	if got.Status != 401 {
		t.Errorf("without credentials: %v", got)
	}
}
