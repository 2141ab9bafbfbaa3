package story

import (
	"sidekey/internal/testutil"

	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readsConfig are command lines that read a configuration, besides those of asksAdmin.
var readsConfig = []string{"", "serve", "check-config", "healthcheck", "secret", "dev", "restore copy.db", "export htpasswd -offline", "user list -offline"}

// T-106: no command uses sidecar.toml of the current folder if another user could have written it.
// Such a file would decide where root's secret is sent, which file is read as the secret, and which
// files are written.
func TestT106StrangersFolder(t *testing.T) {
	mustBeRoot(t)
	where := testutil.FreeAddr(t)
	i := startImpostor(t, "tcp", where, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	dir, _ := impostorFolder(t, where)
	file, other := filepath.Join(dir, "sidecar.toml"), filepath.Join(dir, "other.toml")
	set := func(path string, owner int, mode os.FileMode) {
		t.Helper()
		if err := os.Lchown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() == os.ModeSymlink {
			return
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	restore := func() {
		set(dir, 0, 0o755)
		set(file, 0, 0o644)
	}
	link := func() {
		t.Helper()
		if err := os.Rename(file, other); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("other.toml", file); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what, why string, lines ...string) {
		t.Helper()
		want := "sidekey: cannot trust sidecar.toml in this folder: " + why + ": to use it anyway, add -config sidecar.toml\n"
		for _, line := range lines {
			status, said := runIn(t, dir, nil, strings.Fields(line)...)
			if status != 2 || said != want {
				t.Errorf("%s: sidekey %s: exit code %d, said\n%swant\n%s", what, line, status, said, want)
			}
		}
		if got := i.take(); got != "" {
			t.Errorf("%s: sent\n%s", what, got)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "data", "*")); len(left) != 1 {
			t.Errorf("%s: written: %q", what, left)
		}
	}
	used := func(what string, args ...string) {
		t.Helper()
		if status, said := runIn(t, dir, nil, append([]string{"check-config"}, args...)...); status != 0 || said != "sidecar.toml is good\n" {
			t.Errorf("%s: exit code %d, said\n%s", what, status, said)
		}
	}

	used("root's own")
	set(file, stranger, 0o644)
	refused("another user's file", file+" belongs to user 65534 (mode 0644), this process runs as user 0", append(asksAdmin, readsConfig...)...)
	used("another user's file that is named", "-config", "sidecar.toml")
	set(file, 0, 0o666)
	refused("a file that all can write to", file+" can be written to by other users (mode 0666)", "user list", "")
	set(file, 0, 0o644)
	set(dir, stranger, 0o755)
	refused("another user's folder", fmt.Sprintf("folder %s belongs to user 65534 (mode 0755), this process runs as user 0", dir), "user list", "")
	set(dir, 0, 0o777|os.ModeSticky)
	refused("a folder such as /tmp", fmt.Sprintf("folder %s can be written to by other users (mode 0777)", dir), "user list", "")
	restore()
	link()
	used("root's own link")
	set(other, stranger, 0o644)
	refused("a link to another user's file", other+" belongs to user 65534 (mode 0644), this process runs as user 0", "user list", "")
	set(other, 0, 0o644)
	set(file, stranger, 0)
	refused("another user's link", "link "+file+" belongs to user 65534 (mode 0777), this process runs as user 0", "user list", "")

	// version and help read none.
	if status, said := runIn(t, dir, nil, "version"); status != 0 {
		t.Errorf("version: %d %s", status, said)
	}
}

// T-106: a command reads the file of the secret only if the program would. A secret behind another
// user's link, or in a file that others can read, is not sent.
func TestT106SecretFile(t *testing.T) {
	mustBeRoot(t)
	where := testutil.FreeAddr(t)
	i := startImpostor(t, "tcp", where, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	dir, secret := impostorFolder(t, where)
	file := filepath.Join(dir, "data", "admin.secret")
	f := func(what, why string) {
		t.Helper()
		for _, line := range []string{"user list", "secret"} {
			status, said := runIn(t, dir, nil, strings.Fields(line)...)
			want := "sidekey: cannot read the admin secret: " + why + ": run this command as the user that runs sidekey, or set SIDEKEY_ADMIN_SECRET\n"
			if status != 1 || said != want {
				t.Errorf("%s: sidekey %s: exit code %d, said\n%swant\n%s", what, line, status, said, want)
			}
		}
		if got := i.take(); got != "" {
			t.Errorf("%s: sent\n%s", what, got)
		}
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	f("others can read it", "data/admin.secret: mode 0640 lets others read the secret: chmod 600 it")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	f("another user's", "data/admin.secret: belongs to user 65534, who could change it: this process runs as 0")
	if err := os.Rename(file, filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "elsewhere"), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), file); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(file, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	f("another user's link", fmt.Sprintf("link %s belongs to user 65534 (mode 0777), this process runs as user 0", file))

	// The user that sidekey runs as owns data_dir: root uses that user's file.
	if err := os.Chown(filepath.Join(dir, "data"), stranger, stranger); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"secret":         secret + "\n",
		"secret -o json": `{"secret":"` + secret + `"}` + "\n",
		"secret -header": "Authorization: " + secret + "\n",
	} {
		if status, said := runIn(t, dir, nil, strings.Fields(args)...); status != 0 || said != want {
			t.Errorf("sidekey %s: exit code %d, said\n%swant\n%s", args, status, said, want)
		}
	}
	if status, said := runIn(t, dir, nil, "secret", "-header", "-o", "json"); status != 2 {
		t.Errorf("both forms: exit code %d, said\n%s", status, said)
	}
}

// T-106: without a configuration, data of the current folder may be another user's, who then
// knows the secret in it, so this user's listener can prove that. Root sends it nothing.
func TestT106StrangersData(t *testing.T) {
	mustBeRoot(t)
	where := testutil.FreeAddr(t)
	dir, _ := impostorFolder(t, where)
	data := filepath.Join(dir, "data")
	for _, path := range []string{dir, data, filepath.Join(data, "admin.secret")} {
		if err := os.Chown(path, stranger, stranger); err != nil {
			t.Fatal(err)
		}
	}
	f := func(what, owned string, args ...string) {
		t.Helper()
		status, said := runIn(t, dir, nil, args...)
		want := "sidekey: cannot read the admin secret: " + owned + ": run this command as the user that runs sidekey, or set SIDEKEY_ADMIN_SECRET\n"
		if status != 1 || said != want {
			t.Errorf("%s: sidekey %s: exit code %d, said\n%swant\n%s", what, args, status, said, want)
		}
	}
	// The owner of the data_dir that a configuration names is the user that sidekey runs as.
	if status, said := runIn(t, dir, nil, "-config", "sidecar.toml", "secret"); status != 0 || said != "the-secret-of-this-test\n" {
		t.Errorf("with a configuration: exit code %d, said\n%s", status, said)
	}
	if err := os.Remove(filepath.Join(dir, "sidecar.toml")); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"secret", "user add bob -password-stdin", "user list", "backup copy.db"} {
		f("another user's folder", "data/admin.secret: belongs to user 65534, who could change it: this process runs as 0", strings.Fields(line)...)
	}
	elsewhere := filepath.Join(dir, "elsewhere")
	if err := os.Rename(data, elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(elsewhere, "admin.secret"), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, data); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(data, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	f("another user's link", fmt.Sprintf("link %s belongs to user 65534 (mode 0777), this process runs as user 0", data), "user", "list")
}
