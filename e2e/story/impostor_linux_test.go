package story

import (
	"sidekey/internal/testutil"

	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// stranger is a user id that is neither root's nor the caller's.
const stranger = 65534

// mustBeRoot ends a test that needs root to make files or sockets of another user.
func mustBeRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "must run as root: it acts as another user")
	}
}

// asStranger calls f with the effective user id of a stranger, which the kernel keeps for
// each thread.
func asStranger(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid uintptr) {
		const unchanged = ^uintptr(0)
		if _, _, err := syscall.RawSyscall(syscall.SYS_SETRESUID, unchanged, uid, unchanged); err != 0 {
			panic(err) // this thread must not go on
		}
	}
	become(stranger)
	defer become(0)
	f()
}

// T-107: commands send nothing to another user who listens on the unix socket of the admin listener.
func TestT107SocketOfAnotherUser(t *testing.T) {
	mustBeRoot(t)
	public := t.TempDir()
	for folder := public; folder != filepath.Dir(os.TempDir()); folder = filepath.Dir(folder) {
		if folder == filepath.Clean(os.TempDir()) {
			break
		}
		if err := os.Chmod(folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(public, "admin.sock")
	dir, secret := impostorFolder(t, "unix:"+socket)
	var i *impostor
	asStranger(t, func() {
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Error(err)
			return
		}
		i = serveImpostor(t, l, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	})
	if t.Failed() {
		return
	}
	ask := func() (int, string) { return runIn(t, dir, nil, "user", "list") }
	status, said := ask()
	want := "sidekey: " + socket + " is a socket of user 65534, not of root, the caller or the owner of data_dir; the secret was not sent\n"
	if got := i.take(); status != 1 || said != want || got != "" {
		t.Errorf("exit code %d, said\n%swant\n%ssent\n%s", status, said, want, got)
	}
	// The owner of the data folder is the user that sidekey runs as. It must prove the secret as well.
	for _, name := range []string{"data", "data/admin.secret"} {
		if err := os.Chown(filepath.Join(dir, name), stranger, stranger); err != nil {
			t.Fatal(err)
		}
	}
	status, said = ask()
	if got := i.take(); status != 1 || !strings.Contains(said, "gives no proof") || !strings.HasPrefix(got, "GET /api/proof/") || strings.Contains(got, secret) {
		t.Errorf("exit code %d, said\n%ssent\n%s", status, said, got)
	}
}
