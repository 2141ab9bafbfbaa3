package story

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// A change of the configuration acts also if other files in its folder change all the time, such as
// the database or a log file.
func TestReloadInBusyFolder(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners)
	dir := filepath.Dir(s.DataDir)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				os.WriteFile(filepath.Join(dir, "busy.log"), []byte("busy"), 0o600)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	file := filepath.Join(dir, "sidecar.toml")
	changed := testutil.ReadFile(t, file) + "\ncheck.realm = \"changed\"\n"
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := &script{check: s.CheckAddr, admin: s.AdminURL, dir: dir}
	for deadline := time.Now().Add(5 * time.Second); ; {
		a, err := ask.askCheck([]string{"envoy", "/"})
		if err == nil && strings.Contains(a.text, `realm="changed"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the change does not act while another file in the folder is written: %v %s", err, a.text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
