package ownership

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sidekey/internal/testutil"
)

// stranger is a user that is neither root nor the caller.
const stranger = 65534

// place is a folder in which a test puts files of several users.
type place struct {
	t   *testing.T
	dir string
}

func newPlace(t *testing.T) place {
	t.Helper()
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "must run as root: it makes files of another user")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return place{t, dir}
}

func (p place) path(name string) string { return filepath.Join(p.dir, name) }

func (p place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// mode sets owner and mode.
func (p place) mode(name string, owner int, mode uint32) {
	p.t.Helper()
	p.must(os.Chown(p.path(name), owner, owner))
	p.must(syscall.Chmod(p.path(name), mode))
}

func (p place) folder(name string, owner int, mode uint32) {
	p.t.Helper()
	p.must(os.Mkdir(p.path(name), 0o700))
	p.mode(name, owner, mode)
}

func (p place) file(name string, owner int, mode uint32) {
	p.t.Helper()
	p.must(os.WriteFile(p.path(name), []byte("x\n"), 0o600))
	p.mode(name, owner, mode)
}

func (p place) link(name, target string, owner int) {
	p.t.Helper()
	p.must(os.Symlink(target, p.path(name)))
	p.must(os.Lchown(p.path(name), owner, owner))
}

// says compares an error with a part of its text; "" = no error.
func (p place) says(what string, err error, want string) {
	p.t.Helper()
	switch {
	case want == "" && err != nil:
		p.t.Errorf("%s: %v, want none", what, err)
	case want != "" && (err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), p.dir, ""), want)):
		p.t.Errorf("%s: %v, want %q", what, err, want)
	}
}

// T-106: Check refuses a file that another user may have put there, or can change.
func TestT106Check(t *testing.T) {
	p := newPlace(t)
	p.folder("own", 0, 0o755)
	p.folder("staff", 0, 0o775) // of root's group
	p.folder("group", 0, 0o755)
	p.must(os.Chown(p.path("group"), 0, stranger))
	p.must(os.Chmod(p.path("group"), 0o775))
	p.folder("sticky", 0, 0o1777)
	p.folder("open", 0, 0o777)
	p.folder("theirs", stranger, 0o755)
	p.folder("sticky/own", 0, 0o755)
	p.folder("open/own", 0, 0o755)
	for _, folder := range []string{"own", "staff", "group", "sticky", "open", "theirs", "sticky/own", "open/own"} {
		p.file(folder+"/f", 0, 0o644)
	}
	p.file("own/theirs", stranger, 0o644)
	p.file("own/open", 0, 0o646)
	p.file("own/staff", 0, 0o664)
	p.file("own/group", 0, 0o600)
	p.must(os.Chown(p.path("own/group"), 0, stranger))
	p.must(os.Chmod(p.path("own/group"), 0o660))
	p.link("own/link", "staff", 0)
	p.link("own/links", "link", 0)
	p.link("own/their-link", "staff", stranger)
	p.link("own/to-theirs", "theirs", 0)
	p.link("own/to-their-folder", p.path("theirs/f"), 0)
	p.link("own/to-sticky", "../sticky/f", 0)
	p.link("own/through-sticky", "../sticky/own/f", 0)
	p.link("own/through-open", "../open/own/f", 0)
	p.link("sticky/their-way", p.path("own"), stranger)
	p.link("own/through-their-link", p.path("sticky/their-way/f"), 0)
	p.link("own/loop", "loop", 0)
	p.link("own/nowhere", "missing", 0)

	for name, want := range map[string]string{
		"own/f":                  "",
		"staff/f":                "",
		"own/staff":              "",
		"own/link":               "",
		"own/links":              "",
		"own/through-sticky":     "",
		"sticky/own/f":           "",
		"open/own/f":             "", // the folder was reached, and is its own
		"group/f":                "folder /group can be written to by other users (mode 0775)",
		"sticky/f":               "folder /sticky can be written to by other users (mode 0777)",
		"open/f":                 "folder /open can be written to by other users (mode 0777)",
		"theirs/f":               "folder /theirs belongs to user 65534 (mode 0755), this process runs as user 0",
		"own/theirs":             "/own/theirs belongs to user 65534 (mode 0644), this process runs as user 0",
		"own/open":               "/own/open can be written to by other users (mode 0646)",
		"own/group":              "/own/group can be written to by other users (mode 0660)",
		"own/their-link":         "link /own/their-link belongs to user 65534",
		"own/to-theirs":          "/own/theirs belongs to user 65534",
		"own/to-their-folder":    "folder /theirs belongs to user 65534",
		"own/to-sticky":          "folder /sticky can be written to",
		"own/through-open":       "folder /open can be written to",
		"own/through-their-link": "folder /sticky can be written to",
		"own/loop":               "too many levels of symbolic links",
		"own/nowhere":            "no such file",
	} {
		p.says(name, Check(p.path(name)), want)
	}
	t.Chdir(p.path("own"))
	p.says("f, here", Check("f"), "")
	p.says("theirs, here", Check("theirs"), "belongs to user 65534")
}

// T-106: a link of another user is not followed to a secret.
func TestT106CheckLinks(t *testing.T) {
	p := newPlace(t)
	p.folder("own", 0, 0o755)
	p.file("own/f", 0, 0o600)
	p.link("own/link", "f", 0)
	p.link("own/their-link", "f", stranger)
	p.link("way", "own", stranger)
	p.says("file", CheckLinks(p.path("own/f")), "")
	p.says("link", CheckLinks(p.path("own/link")), "")
	p.says("missing", CheckLinks(p.path("own/missing/f")), "")
	p.says("another user's link", CheckLinks(p.path("own/their-link")), "link /own/their-link belongs to user 65534")
	p.says("a folder behind another user's link", CheckLinks(p.path("way/f")), "link /way belongs to user 65534")
	p.says("a link of an accepted owner", CheckLinks(p.path("way/f"), stranger), "")
	t.Chdir(p.path("way")) // the current folder is a folder, however it was reached
	p.says("here", CheckLinks("f"), "")
}

// T-106: OpenAppend follows no link and opens no file that another user has prepared, above all in a
// folder such as /tmp.
func TestT106OpenAppend(t *testing.T) {
	p := newPlace(t)
	p.folder("own", 0, 0o755)
	p.folder("sticky", 0, 0o1777)
	p.folder("open", 0, 0o777)
	p.folder("sticky/theirs", stranger, 0o755)
	p.file("victim", 0, 0o600)
	p.file("own/theirs", stranger, 0o644)
	p.file("sticky/theirs-file", stranger, 0o644)
	p.must(os.Link(p.path("victim"), p.path("sticky/second-name")))
	p.must(syscall.Mkfifo(p.path("sticky/fifo"), 0o600))
	p.must(os.Chown(p.path("sticky/fifo"), stranger, stranger))
	p.link("own/link", "../victim", 0)
	p.link("own/new", "../made", 0)
	p.link("own/their-link", "../victim", stranger)
	p.link("sticky/link", "../victim", 0)
	p.link("sticky/their-link", "../victim", stranger)
	p.link("sticky/their-way", "../own", stranger)
	p.link("open/link", "../victim", 0)
	p.link("sticky/theirs/link", "../../victim", 0)

	for name, want := range map[string]string{
		"own/file":             "",
		"own/theirs":           "", // root has put it there
		"own/link":             "",
		"own/new":              "",
		"sticky/file":          "",
		"sticky/link":          "",
		"own/their-link":       "a link is not followed: link /own/their-link belongs to user 65534",
		"sticky/their-link":    "a link is not followed: link /sticky/their-link belongs to user 65534",
		"sticky/their-way/f":   "a link is not followed: link /sticky/their-way belongs to user 65534",
		"open/link":            "a link is not followed: folder /open can be written to by other users (mode 0777)",
		"sticky/theirs/link":   "a link is not followed: folder /sticky/theirs belongs to user 65534",
		"sticky/theirs-file":   "/sticky/theirs-file belongs to user 65534, and other users can write to its folder (mode 0777)",
		"sticky/second-name":   "/sticky/second-name has 2 names, and other users can write to its folder (mode 0777)",
		"sticky/fifo":          "no such device or address", // no process reads
		"own/missing/decision": "no such file",
	} {
		f, err := OpenAppend(p.path(name), 0o600)
		p.says(name, err, want)
		if err == nil {
			f.Close()
		}
	}
	for _, made := range []string{"made", "own/file"} {
		if info, err := os.Stat(p.path(made)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", made, info, err)
		}
	}
	for _, open := range []string{"/dev/null", "/dev/stderr", "/proc/self/fd/2"} {
		f, err := OpenAppend(open, 0o600)
		if err != nil {
			t.Errorf("%s: %v", open, err)
			continue
		}
		f.Close()
	}
}
