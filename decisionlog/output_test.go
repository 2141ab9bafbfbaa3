package decisionlog

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sidekey/internal/testutil"
)

// T-106: if another user replaces the log with a link, in a folder such as /tmp, the link is followed
// neither at the start nor when a reload opens the log again. The open file stays in use.
func TestT106LinkOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "must run as root: it makes a link of another user")
	}
	const stranger = 65534
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	file, victim := filepath.Join(dir, "decisions.log"), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("half a line"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{File: file, Decisions: "all", Sample: 1}
	l, err := Open(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, file); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(file, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	const want = "log.file: a link is not followed: link "
	if _, err := l.Prepare(c); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("at a reload: %v", err)
	}
	if _, err := Open(c, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("at the start: %v", err)
	}
	if err := l.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "half a line" {
		t.Errorf("written to: %q, %v", text, err)
	}
}
