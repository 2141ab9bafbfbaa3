package bolt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sidekey/store/bolt/boltfile"
)

func TestCreate(t *testing.T) {
	umask := syscall.Umask(0)
	defer syscall.Umask(umask)
	dir := filepath.Join(t.TempDir(), "a", "data")
	path := filepath.Join(dir, "sidekey.db")
	s := mustOpen(t, path)
	mode := func(path string, want fs.FileMode) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %#o", filepath.Base(path), info.Mode(), err, want)
		}
	}
	mode(dir, 0o700)
	mode(path, 0o600)
	mode(boltfile.PidFile(path), 0o600)
	want(t, "readiness", s.Ready(), nil)
	mustClose(t, s)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v, want the database alone", entries, err)
	}
}

// Whatever a crash during the first start leaves, the next start succeeds (T-95).
func TestCreateAfterCrash(t *testing.T) {
	path := newPath(t)
	for _, name := range []string{"sidekey.db.new-123", "sidekey.db.new-456"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, path)
	put(t, s, record("default", "alice", "x"))
}

// T-91: a file that other users could read, write or have put there is refused, with a text
// that says why.
func TestFileChecks(t *testing.T) {
	// database makes a good one and closes it.
	database := func(t *testing.T, path string) {
		t.Helper()
		s, err := Open(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, record("default", "alice", "x"))
		mustClose(t, s)
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f := func(name, text string, prepare func(t *testing.T, path string)) {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			prepare(t, path)
			before := names(t, filepath.Dir(path))
			result := make(chan error, 1)
			go func() { // opening a FIFO blocks
				s, err := Open(path, quiet)
				if err == nil {
					s.Close()
				}
				result <- err
			}()
			select {
			case err := <-result:
				if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), path) {
					t.Errorf("got %v, want an error with %q and the path", err, text)
				}
			case <-time.After(patience):
				t.Errorf("Open hangs")
			}
			if after := names(t, filepath.Dir(path)); after != before {
				t.Errorf("the folder holds %s, and held %s", after, before)
			}
		})
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666, 0o777} {
		f(fmt.Sprintf("mode %o", mode), "chmod 600", func(t *testing.T, path string) {
			database(t, path)
			must(t, os.Chmod(path, mode))
		})
	}
	f("symlink", "must be a regular file", func(t *testing.T, path string) {
		database(t, path+".real")
		must(t, os.Symlink(path+".real", path))
	})
	f("dangling symlink", "must be a regular file", func(t *testing.T, path string) {
		must(t, os.Symlink(path+".nothing", path))
	})
	f("directory", "must be a regular file", func(t *testing.T, path string) {
		must(t, os.Mkdir(path, 0o700))
	})
	f("FIFO", "must be a regular file", func(t *testing.T, path string) {
		must(t, syscall.Mkfifo(path, 0o600))
	})
	f("socket", "must be a regular file", func(t *testing.T, path string) {
		l, err := net.Listen("unix", path)
		must(t, err)
		t.Cleanup(func() { l.Close() })
	})
	f("hard link", "has 2 names", func(t *testing.T, path string) {
		database(t, path)
		must(t, os.Link(path, path+".other"))
	})
	f("folder that others can write to", "chmod 700", func(t *testing.T, path string) {
		database(t, path)
		must(t, os.Chmod(filepath.Dir(path), 0o777))
	})
	f("folder that the group can write to", "chmod 700", func(t *testing.T, path string) {
		database(t, path)
		must(t, os.Chmod(filepath.Dir(path), 0o770))
	})
	f("new file in a folder that others can write to", "chmod 700", func(t *testing.T, path string) {
		must(t, os.Chmod(filepath.Dir(path), 0o777))
	})
	f("folder with the sticky bit", "chmod 700", func(t *testing.T, path string) {
		must(t, os.Chmod(filepath.Dir(path), 0o777|fs.ModeSticky))
	})
	f("folder that is a file", "must be a directory", func(t *testing.T, path string) {
		must(t, os.Remove(filepath.Dir(path)))
		must(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
	})
	if os.Geteuid() == 0 {
		f("other owner of the folder", "its folder belongs to user 65534", func(t *testing.T, path string) {
			database(t, path)
			must(t, os.Chown(filepath.Dir(path), 65534, -1))
		})
		f("other owner", "belongs to user 65534", func(t *testing.T, path string) {
			database(t, path)
			must(t, os.Chown(path, 65534, -1))
		})
	}
	f("empty file", "not a database", func(t *testing.T, path string) {
		must(t, os.WriteFile(path, nil, 0o600))
	})
	f("text", "invalid database", func(t *testing.T, path string) {
		must(t, os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 10_000)), 0o600))
	})

}

// A file that is not a database of sidekey is not written to.
func TestForeignFileIsNotTouched(t *testing.T) {
	f := func(name string, content []byte) {
		t.Helper()
		path := newPath(t)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(path, quiet); err == nil {
			mustClose(t, s)
			t.Errorf("%s: was opened", name)
		}
		after, err := os.ReadFile(path)
		if err != nil || string(after) != string(content) {
			t.Errorf("%s: %d bytes became %d, %v", name, len(content), len(after), err)
		}
		if _, err := os.Stat(boltfile.PidFile(path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a pid file was left: %v", name, err)
		}
	}
	f("empty", nil)
	f("short", []byte("x"))
	f("text", []byte(strings.Repeat("text ", 5000)))
}

// Of many processes that create the same file at once, one gets it and the others an error.
func TestCreateRace(t *testing.T) {
	path := newPath(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []*Store
	for range 8 {
		wg.Go(func() {
			s, err := Open(path, quiet)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				open = append(open, s)
			} else {
				want(t, "the others", err, boltfile.ErrInUse)
			}
		})
	}
	wg.Wait()
	if len(open) != 1 {
		t.Errorf("%d have the file open", len(open))
	}
	for _, s := range open {
		put(t, s, record("default", "alice", "x"))
		mustClose(t, s)
	}
	checkPages(t, path)
}

// A second process learns within a second which process holds the file. When the first has
// ended, in whatever way, the second gets it (T-90).
func TestTwoProcesses(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, path)
	put(t, s, record("default", "alice", "x"))
	mustClose(t, s)

	first := startChild(t, "hold", path)
	began := time.Now()
	_, err := Open(path, quiet)
	want(t, "second process", err, boltfile.ErrInUse)
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
	if text := fmt.Sprintf("(pid %d, says sidekey.db.pid)", first.Process.Pid); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %q in it", err, text)
	}
	first.Process.Kill()
	first.Wait()
	s = mustOpen(t, path)
	if _, _, err := s.Load("default", "alice"); err != nil {
		t.Error(err)
	}
	mustClose(t, s)
	if _, err := os.Stat(boltfile.PidFile(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid file is still there: %v", err)
	}
}

// startChild starts a child and waits until it has said "ready".
func startChild(t testing.TB, child string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = childEnvironment(child)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // open until the child is gone
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("child says %q, %v", line, err)
	}
	return cmd
}

func holdOpen(args []string) int {
	s, err := Open(args[0], quiet)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Close()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// A new database has two names for a moment. A crash at that moment leaves a database that can
// be opened.
func TestCreateAfterCrashWithTwoNames(t *testing.T) {
	path := newPath(t)
	mustClose(t, mustOpen(t, path))
	other := path + ".new-123"
	if err := os.Link(path, other); err != nil {
		t.Fatal(err)
	}
	put(t, mustOpen(t, path), record("default", "alice", "x"))
	if _, err := os.Lstat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the other name: %v", err)
	}
}

// names lists what is in a folder.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, syscall.ENOTDIR) {
		t.Fatal(err)
	}
	return fmt.Sprint(entries)
}
