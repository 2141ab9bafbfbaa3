package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

// readEverything is a child process: it opens a database, reads everything in it and writes a
// user. It prints what it found and exits with 0, or with 1 if the store returned an error,
// and never by a panic or a signal.
func readEverything(args []string) int {
	timer := time.AfterFunc(patience, func() { panic("hangs") })
	defer timer.Stop()
	s, err := Open(args[0], quiet)
	if err != nil {
		fmt.Println("refused:", err)
		return 1
	}
	defer s.Close()
	code := 0
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	_, damaged, err := s.Policies()
	fail(err)
	fail(damaged)
	names, err := s.Names(session.Name{}, 1<<20)
	fail(err)
	good := 0
	for _, name := range names {
		r, _, err := s.Load(name.Org, name.User)
		if err != nil {
			code = 1
			continue
		}
		good++
		if r.Session.Alias != "alias of "+name.User || r.User != name.User {
			fmt.Printf("WRONG: %s has %q\n", name.User, r.Session.Alias)
			return 3
		}
	}
	fmt.Println("good:", good)
	_, err = s.Update("default", "user-0001", func(*session.Record) (*session.Record, error) {
		r := record("default", "user-0001", "alias of user-0001")
		return &r, nil
	})
	fail(err)
	return code
}

// readInChild runs readEverything on a file with that content.
func readInChild(t *testing.T, content []byte) (code int, said string) {
	t.Helper()
	path := newPath(t)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(withoutRace(t), path)
	cmd.Env = childEnvironment("read")
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(out)
}

// wholeDatabase returns a database with some users, quotas and policies.
func wholeDatabase(t *testing.T, users int) []byte {
	t.Helper()
	path := newPath(t)
	s := mustOpen(t, path)
	for i := range users {
		user := fmt.Sprintf("user-%04d", i)
		r := put(t, s, record("default", user, "alias of "+user))
		want(t, "reserve", reserve(s, limiter.QuotaKey{Org: "default", User: user}, limiter.Reservation{Generation: r.Generation, Reserved: 1}), nil)
	}
	want(t, "policy", s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) {
		return &session.Policy{ID: "gold", OrgID: "default"}, nil
	}), nil)
	mustClose(t, s)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// A file that was cut off anywhere is an error or still good. It never ends the program in
// another way and never yields a wrong record (T-94).
func TestTruncatedFile(t *testing.T) {
	content := wholeDatabase(t, 60)
	const page = 4096
	used := (lastUsed(content)/page + 1) * page
	sizes := []int{1, 15, 16, 80, page - 1, page, page + 1, 2*page - 1, 2 * page, 3 * page, 4*page - 1, used - 1, used, used + 1, used + page}
	for size := 4 * page; size < used; size += page {
		sizes = append(sizes, size)
	}
	t.Logf("%d of %d bytes in use", used, len(content))
	for _, size := range sizes {
		if size > len(content) {
			continue
		}
		code, said := readInChild(t, content[:size])
		if code != 0 && code != 1 {
			t.Errorf("cut to %d bytes: exit code %d: %s", size, code, firstLines(said))
		}
	}
	// Nothing but free space is missing.
	if code, said := readInChild(t, content); code != 0 {
		t.Errorf("whole: exit code %d: %s", code, firstLines(said))
	}
}

// lastUsed returns the offset of the last byte that is not zero.
func lastUsed(content []byte) int { return len(bytes.TrimRight(content, "\x00")) }

func firstLines(text string) string {
	lines := strings.SplitN(text, "\n", 4)
	return strings.Join(lines[:min(3, len(lines))], " / ")
}

// A file with damage anywhere: flipped bits in records, in the headers of pages and between
// them, lengths that lead far away, zeroed and copied pages, noise.
func TestBrokenFile(t *testing.T) {
	content := wholeDatabase(t, 40)
	used := lastUsed(content)
	random := newRandom(t)
	const page = 4096
	pages := used/page + 1
	f := func(what string, change func(b []byte)) {
		t.Helper()
		b := bytes.Clone(content)
		change(b)
		if code, said := readInChild(t, b); code != 0 && code != 1 {
			t.Errorf("%s: exit code %d: %s", what, code, firstLines(said))
		}
	}
	for range 40 {
		at, bit := random.IntN(used), random.IntN(8)
		f(fmt.Sprintf("bit %d of byte %d flipped", bit, at), func(b []byte) { b[at] ^= 1 << bit })
	}
	// Most of the small numbers are bbolt's lengths and offsets.
	var small []int
	for at := 0; at < used; at += 4 {
		if n := binary.LittleEndian.Uint32(content[at:]); n != 0 && n < 4096 {
			small = append(small, at)
		}
	}
	for range 40 {
		at, bit := small[random.IntN(len(small))], 24+random.IntN(8)
		f(fmt.Sprintf("2^%d added to the number at %d", bit, at), func(b []byte) { b[at+3] |= 1 << (bit - 24) })
	}
	for range 10 {
		n := random.IntN(pages)
		f(fmt.Sprintf("page %d zeroed", n), func(b []byte) { clear(b[n*page : (n+1)*page]) })
	}
	for range 10 {
		from, to := random.IntN(pages), random.IntN(pages)
		f(fmt.Sprintf("page %d copied over page %d", from, to), func(b []byte) { copy(b[to*page:(to+1)*page], b[from*page:(from+1)*page]) })
	}
	for range 10 {
		n := 2 + random.IntN(pages-2)
		f(fmt.Sprintf("noise in page %d", n), func(b []byte) {
			for i := range page {
				b[n*page+i] = byte(random.Uint32())
			}
		})
	}
}

// A file that could not be opened is released: the next attempt reports the damage, not that
// the file is in use.
func TestBrokenFileIsLetGo(t *testing.T) {
	content := wholeDatabase(t, 60)
	for _, size := range []int{0, 1, 4096, 8192, 12288, 16384, 32768} {
		path := newPath(t)
		if err := os.WriteFile(path, content[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s, err := Open(path, quiet)
			if err == nil {
				mustClose(t, s)
			} else if errors.Is(err, boltfile.ErrInUse) {
				t.Errorf("cut to %d bytes: %v", size, err)
			}
		}
	}
}
