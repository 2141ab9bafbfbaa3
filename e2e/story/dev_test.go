package story

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// The commands that dev prints can be typed unchanged and give the results that it shows. At the end,
// no files are left.
func TestDev(t *testing.T) {
	path, err := sidekeytest.Binary() // before the working directory changes
	if err != nil {
		t.Fatal(err)
	}
	for _, upstream := range []bool{false, true} {
		t.Run(map[bool]string{false: "alone", true: "upstream"}[upstream], func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			var seen http.Header
			behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = r.Header.Clone()
				io.WriteString(w, "from the service")
			}))
			defer behind.Close()
			args := []string{"dev"}
			if upstream {
				args = append(args, "-upstream", behind.URL)
			}
			t.Chdir(temp) // a folder without sidecar.toml
			dev := testutil.Start(t, path, args...)
			dev.Await("it says how to end it", func() bool { return strings.Contains(dev.Output.String(), "Ctrl-C") })
			lines := regexp.MustCompile(`(?m)^  (curl .*) # (.*)$`).FindAllStringSubmatch(dev.Output.String(), -1)
			if len(lines) != 3 {
				t.Fatalf("%d lines to type:\n%s", len(lines), dev.Output.String())
			}
			status := func(line string) string {
				t.Helper()
				out, err := exec.Command("bash", "-c", line).Output()
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if passed := strings.Contains(string(out), " 200 OK"); upstream && passed != strings.Contains(string(out), "from the service") {
					t.Errorf("%s: %s", line, out)
				}
				return strings.Fields(string(out))[1]
			}
			got := []string{status(lines[0][1]), status(lines[1][1])}
			for range 3 {
				got = append(got, status(lines[2][1]))
			}
			if text := strings.Join(got, " "); text != "200 401 200 200 429" {
				t.Errorf("got %s\n%s", text, dev.Output.String())
			}
			if upstream && (seen.Get("X-Auth-User") != "alice" || seen.Get("X-Auth-Alias") != "Alice" || seen.Get("Authorization") != "") {
				t.Errorf("the service saw %v", seen)
			}

			page := regexp.MustCompile(`(?m)^Admin page and API: (http://\S+)$`).FindStringSubmatch(dev.Output.String())
			secret := regexp.MustCompile(`(?m)^Its secret: (\S+) \(in (\S+)\)$`).FindStringSubmatch(dev.Output.String())
			if text, err := os.ReadFile(secret[2]); err != nil || strings.TrimSpace(string(text)) != secret[1] {
				t.Errorf("the secret's file: %v", err)
			}
			t.Setenv("SIDEKEY_ADMIN_SECRET", secret[1])
			if out, err := exec.Command(path, "user", "list", "-admin", strings.TrimSuffix(page[1], "/")).CombinedOutput(); err != nil || !strings.Contains(string(out), "alice") {
				t.Errorf("user list: %v\n%s", err, out)
			}
			if err := dev.Stop(); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
