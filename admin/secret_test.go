package admin

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// T-72: a secret that is short, published or readable by others is refused; a missing one is generated.
func TestLoadSecrets(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new", "admin.secret")
	umask := syscall.Umask(0)
	secrets, created, err := LoadSecrets(path)
	syscall.Umask(umask)
	if err != nil || !created || len(secrets) != 1 || len(secrets[0]) < 26 {
		t.Fatalf("generated %q, %t, %v", secrets, created, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder %v, %v", info.Mode(), err)
	}
	again, created, err := LoadSecrets(path)
	if !slices.Equal(again, secrets) || created || err != nil {
		t.Errorf("read again: %q, %t, %v, want %q", again, created, err, secrets)
	}
	other, _, err := LoadSecrets(filepath.Join(dir, "other"))
	if slices.Equal(other, secrets) || err != nil {
		t.Errorf("two secrets are the same: %q, %v", other, err)
	}

	f := func(content, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		all, created, err := LoadSecrets(path)
		got := strings.Join(all, " and ")
		if got != want || created || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %t, %v, want %q", content, got, created, err, want)
		}
		if err != nil && content != "" && strings.TrimSpace(content) != "" && strings.Contains(err.Error(), strings.TrimSpace(content)) {
			t.Errorf("the error shows the secret: %v", err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != content {
			t.Errorf("the file was changed: %q, %v", after, err)
		}
	}
	f("", "")
	f("\n", "")
	f("short", "")
	f("fifteen-bytes-x", "")
	f("fifteen-bytes-x\n", "")
	f(" with-a-space-in-front", "")
	f("with-a-space-behind ", "")
	f("with-a-tab-behind-it\t\n", "")
	f("                      ", "")
	f("exactly-16-bytes", "exactly-16-bytes")
	f("with-a-line-end-behind\n", "with-a-line-end-behind")
	f("with-a-windows-line-end\r\n", "with-a-windows-line-end")
	f("two words are one secret", "two words are one secret")
	// A second secret, for the time in which clients change over.
	f("the-one-of-today\nthe-one-of-yesterday\n", "the-one-of-today and the-one-of-yesterday")
	f("the-one-of-today\r\nthe-one-of-yesterday", "the-one-of-today and the-one-of-yesterday")
	f("the-one-of-today\n\nthe-one-of-yesterday", "")
	f("the-one-of-today\nshort", "")
	f("the-one-of-today\nthe-one-of-yesterday\nthe-one-before-that", "")
	// A secret that no header can carry would lock all clients out.
	f("two-lines-are-no\nsecret-at-all", "")
	f("a-nul-is-no\x00-secret-either", "")
	// The secret that Tyk ships is public.
	f("352d20ee67be67f6340b4c0605b044b7", "")

	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadSecrets(path); err == nil || !strings.Contains(err.Error(), "chmod 600") || !strings.Contains(err.Error(), path) {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	if _, _, err := LoadSecrets(dir); err == nil {
		t.Error("a folder was taken for a secret")
	}
	if os.Geteuid() == 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 65534, -1); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadSecrets(path); err == nil {
			t.Error("a secret that another user can read and change was accepted")
		}
	}
}
