package command

import (
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra/doc"

	"sidekey/internal/testutil"
)

var update = flag.Bool("update", false, "write the man pages")

// TestManPages shows that the man pages in the program are those of its commands.
// go test ./command -run TestManPages -update writes them.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if *update {
		dir = "man"
	}
	root := New(Program{Version: manVersion})
	root.InitDefaultCompletionCmd()
	root.DisableAutoGenTag = true                                    // without a date, so that the same commands make the same pages
	date := time.Date(2026, time.November, 28, 0, 0, 0, 0, time.UTC) // of the last release
	header := doc.GenManHeader{Title: "SIDEKEY", Section: "1", Source: "sidekey " + manVersion, Manual: "sidekey", Date: &date}
	if err := doc.GenManTree(root, &header, dir); err != nil {
		t.Fatal(err)
	}
	names := func(dir string) (list []string) {
		for _, path := range testutil.Glob(t, filepath.Join(dir, "*.1")) {
			list = append(list, filepath.Base(path))
		}
		return list
	}
	if got, want := names("man"), names(dir); !slices.Equal(got, want) {
		t.Fatalf("pages %q, want %q", got, want)
	}
	for _, name := range names(dir) {
		want := testutil.ReadFile(t, filepath.Join(dir, name))
		if got := testutil.ReadFile(t, filepath.Join("man", name)); got != want {
			t.Errorf("%s is not that of the command", name)
		}
	}
	written := t.TempDir()
	if err := writeManPages(written, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	if text := testutil.ReadFile(t, filepath.Join(written, "sidekey.1")); !strings.Contains(text, "sidekey 1.2.3") || strings.Contains(text, manVersion) {
		t.Errorf("the version is missing:\n%.200s", text)
	}
}
