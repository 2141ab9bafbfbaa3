package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sidekey/internal/testutil"
)

// ext4 is a file system in a file. Tests make the kernel do to it what it does when a disk fails.
type ext4 struct {
	t      testing.TB
	device string // /dev/loopN
	dir    string // where it is mounted
}

// mountExt4 makes a file system with options of mkfs.ext4 and mounts it at dir until the test ends.
// If this machine does not allow that, the test cannot run.
func mountExt4(t testing.TB, dir string, options ...string) *ext4 {
	t.Helper()
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "only root can mount a file system")
	}
	disk := filepath.Join(memoryDir(t), "disk")
	must(t, os.WriteFile(disk, nil, 0o600))
	must(t, os.Truncate(disk, 64<<20))
	if _, err := run("mkfs.ext4", append(options, "-q", disk)...); err != nil {
		testutil.CannotRun(t, err.Error())
	}
	device, err := run("losetup", "--find", "--show", disk)
	if err != nil {
		testutil.CannotRun(t, err.Error())
	}
	e := &ext4{t: t, device: device, dir: dir}
	t.Cleanup(func() {
		if _, err := run("losetup", "--detach", e.device); err != nil {
			t.Error(err)
		}
	})
	must(t, os.Mkdir(dir, 0o700))
	if err := e.mount(); err != nil {
		testutil.CannotRun(t, err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(e.dir, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: it is not mounted
			t.Error(err)
		}
	})
	must(t, os.Chmod(dir, 0o700))
	return e
}

func (e *ext4) mount() error {
	_, err := run("mount", "-t", "ext4", "-o", "errors=remount-ro", e.device, e.dir)
	return err
}

// mountAnew does what an operator does when the disk works again. It fails if a process has a file
// open.
func (e *ext4) mountAnew() {
	e.t.Helper()
	_, err := run("umount", e.dir)
	must(e.t, err)
	must(e.t, e.mount())
}

// makeReadOnly makes the kernel find an error in the file system, as it does if it cannot write its
// journal.
func (e *ext4) makeReadOnly() {
	e.t.Helper()
	err := os.WriteFile(filepath.Join("/sys/fs/ext4", filepath.Base(e.device), "trigger_fs_error"), []byte("a test"), 0)
	if err != nil {
		testutil.CannotRun(e.t, err.Error())
	}
	e.refuses(syscall.EROFS)
}

// pullOut makes every call fail, as if the disk were removed.
func (e *ext4) pullOut() {
	e.t.Helper()
	dir, err := os.Open(e.dir)
	must(e.t, err)
	defer dir.Close()
	// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: what is only in memory is lost.
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), 0x8004587d, 2); err != nil {
		testutil.CannotRun(e.t, err.Error())
	}
	e.refuses(syscall.EIO)
}

func (e *ext4) refuses(want error) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, "probe"), nil, 0o600); !errors.Is(err, want) {
		e.t.Fatalf("a new file: %v; want %v", err, want)
	}
}

// hang blocks all writers until goOn.
func (e *ext4) hang() {
	e.t.Helper()
	if _, err := run("fsfreeze", "--freeze", e.dir); err != nil {
		testutil.CannotRun(e.t, err.Error())
	}
	e.t.Cleanup(func() { run("fsfreeze", "--unfreeze", e.dir) }) // otherwise no process there could end
}

func (e *ext4) goOn() {
	e.t.Helper()
	_, err := run("fsfreeze", "--unfreeze", e.dir)
	must(e.t, err)
}

func run(name string, arguments ...string) (output string, err error) {
	out, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// The kernel does what TestDiskTrouble simulates. A file system that it made read-only, or shut
// down, must be mounted again: by then the program must have closed the file.
func TestKernelTrouble(t *testing.T) {
	f := func(name string, begin, end func(*ext4), options ...string) {
		t.Run(name, func(t *testing.T) {
			dir := memoryDir(t)
			disk := mountExt4(t, filepath.Join(dir, "data"), options...)
			v := newVictim(t, dir, "")
			if !v.start() {
				t.Fatal("sidekey does not start")
			}
			throughTrouble(t, v, func() { begin(disk) }, func() { end(disk) })
		})
	}
	f("read-only", (*ext4).makeReadOnly, (*ext4).mountAnew)
	f("read-only, no journal", (*ext4).makeReadOnly, (*ext4).mountAnew, "-O", "^has_journal")
	f("pulled out", (*ext4).pullOut, (*ext4).mountAnew)
	f("hangs", (*ext4).hang, (*ext4).goOn)
}
