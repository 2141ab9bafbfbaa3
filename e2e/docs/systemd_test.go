package docs

import (
	"os/exec"
	"strings"
	"testing"

	"sidekey/config"
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// systemd understands every line of the shipped unit, which gives the program no right that it does
// not use: an exposure of at most 2.0 of 10.
func TestSystemdUnit(t *testing.T) {
	analyze := testutil.NeedProgram(t, "systemd-analyze")
	path, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	unit := testutil.ReadFile(t, "examples/sidekey.service")
	const program = "ExecStart=/usr/local/bin/sidekey "
	if !strings.Contains(unit, program) {
		t.Fatalf("no line begins with %q", program)
	}
	dir := t.TempDir()
	file := testutil.WriteFile(t, dir, "sidekey.service", strings.Replace(unit, program, "ExecStart="+path+" ", 1))
	socket := testutil.ReadFile(t, "examples/sidekey.socket")
	if want := "\nListenStream=" + config.Default().Check.Listen + "\n"; !strings.Contains(socket, want) {
		t.Errorf("sidekey.socket has no line %q", want)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", file, testutil.WriteFile(t, dir, "sidekey.socket", socket)},
		{"security", "--offline=true", "--no-pager", "--threshold=20", file},
	} {
		text, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(text) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, text)
		}
	}
}
