package story

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
)

// The command line, /hello and the metrics name the same build.
func TestVersion(t *testing.T) {
	program, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(program, args...).Output()
		if err != nil {
			t.Fatalf("sidekey %q: %v", args, err)
		}
		return string(out)
	}
	version := strings.TrimSuffix(strings.TrimPrefix(run("version"), "sidekey "), "\n")
	if version == "" || strings.Contains(version, "devel") {
		t.Errorf("version is %q", version)
	}
	var printed, hello struct{ Version string }
	s := sidekeytest.Start(t, sidekeytest.Listeners)
	_, answer, _ := s.Admin("GET", "/hello", "")
	for text, into := range map[string]any{run("version", "-o", "json"): &printed, answer: &hello} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	_, metrics, _ := s.Admin("GET", "/metrics", "")
	label := regexp.MustCompile(`(?m)^sidekey_build_info\{version="([^"]*)"\} 1$`).FindStringSubmatch(metrics)
	if label == nil {
		t.Fatal("no sidekey_build_info")
	}
	for where, got := range map[string]string{"version -o json": printed.Version, "/hello": hello.Version, "metrics": label[1]} {
		if got != version {
			t.Errorf("%s: %q, want %q", where, got, version)
		}
	}
}
