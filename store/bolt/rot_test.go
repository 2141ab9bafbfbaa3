package bolt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

// Disks forget, return old pages, and flip bits. A database is changed in such a way and opened
// as at a start: either it is refused as a whole, or each of its records is the one that was
// written or is refused as damaged. A child process does it, because bbolt may crash it.

var mutants = flag.Int("mutants", 600, "damaged files that TestRot opens")

const rotPage = 4096

// rotten is the material for mutants.
type rotten struct {
	file  []byte   // the database
	older [][]byte // the same, earlier
	other []byte   // another one, with the same names in it
	used  int      // bytes of file that are not behind its end
}

// prepareRot makes the files in dir, and returns them.
func prepareRot(t *testing.T, dir string) {
	t.Helper()
	fill := func(name, text string, extra int, snapshot func(int)) {
		path := filepath.Join(dir, name)
		s, err := Open(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		s.file.Load().db.NoSync = true
		for round := range 3 {
			for i := range 150 {
				if round > 0 && i%(2+round) != 0 {
					continue
				}
				user := fmt.Sprintf("user-%04d", i)
				r := record("default", user, fmt.Sprintf("%s %d of %s", text, round, user))
				if i%50 == 7 {
					r.Session.MetaData = map[string]jsontext.Value{"long": jsontext.Value(strconv.Quote(strings.Repeat(text, 2000)))}
				}
				r = put(t, s, r)
				for _, scope := range []string{"", "orders"} {
					key := limiter.QuotaKey{Org: "default", User: user, Scope: scope}
					want(t, "reserve", reserve(s, key, limiter.Reservation{Generation: r.Generation, Start: 1, Reserved: int64(round + 1)}), nil)
				}
			}
			for _, id := range []string{"gold", "silver"} {
				want(t, "policy", s.UpdatePolicy(id, func(*session.Policy, session.PolicyUsers) (*session.Policy, error) {
					return &session.Policy{ID: id, OrgID: "default", Rate: float64(round)}, nil
				}), nil)
			}
			snapshot(round)
		}
		for range extra {
			put(t, s, record("default", "user-0003", text))
		}
	}
	save := func(from, to string) {
		content, err := os.ReadFile(filepath.Join(dir, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fill("file", "text", 0, func(round int) {
		if round < 2 {
			save("file", "older-"+strconv.Itoa(round))
		}
	})
	fill("other", "other", 10, func(int) {})
	// The same file one write later: its newer meta is the other one.
	save("file", "later")
	s, err := Open(filepath.Join(dir, "later"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, record("default", "user-0003", "later"))
	mustClose(t, s)
}

func readRot(dir, name string) (r rotten, err error) {
	read := func(name string) []byte {
		b, e := os.ReadFile(filepath.Join(dir, name))
		err = errors.Join(err, e)
		return b
	}
	r = rotten{file: read(name), older: [][]byte{read("older-0"), read("older-1")}, other: read("other")}
	if err == nil {
		r.used = int(max(pagesOf(r.file), pagesOf(r.file[rotPage:]))) * rotPage
		r.file = r.file[:r.used:r.used] // bbolt makes files larger ahead of their use
	}
	return r, err
}

// mutations are the ways in which a file rots. Each changes b, a copy of the file, or
// returns another one.
var mutations = []struct {
	name   string
	change func(r rotten, b []byte, random *rand.Rand) []byte
}{
	{"one bit", func(r rotten, b []byte, random *rand.Rand) []byte {
		b[random.IntN(r.used)] ^= 1 << random.IntN(8)
		return b
	}},
	{"one bit where pages begin", func(r rotten, b []byte, random *rand.Rand) []byte {
		b[random.IntN(r.used/rotPage)*rotPage+random.IntN(100)] ^= 1 << random.IntN(8)
		return b
	}},
	{"one bit of a meta page", func(_ rotten, b []byte, random *rand.Rand) []byte {
		b[random.IntN(2)*rotPage+random.IntN(rotMeta)] ^= 1 << random.IntN(8)
		return b
	}},
	{"several bits of a page", func(r rotten, b []byte, random *rand.Rand) []byte {
		page := random.IntN(r.used/rotPage) * rotPage
		for range 2 + random.IntN(7) {
			b[page+random.IntN(rotPage)] ^= 1 << random.IntN(8)
		}
		return b
	}},
	{"a page of zeros", func(r rotten, b []byte, random *rand.Rand) []byte {
		clear(pageOf(b, random.IntN(r.used/rotPage)))
		return b
	}},
	{"a sector of zeros", func(r rotten, b []byte, random *rand.Rand) []byte {
		clear(b[random.IntN(r.used/512)*512:][:512])
		return b
	}},
	{"noise in a page", func(r rotten, b []byte, random *rand.Rand) []byte {
		noise(pageOf(b, random.IntN(r.used/rotPage)), random)
		return b
	}},
	{"noise in a sector", func(r rotten, b []byte, random *rand.Rand) []byte {
		noise(b[random.IntN(r.used/512)*512:][:512], random)
		return b
	}},
	{"a page twice", func(r rotten, b []byte, random *rand.Rand) []byte {
		copy(pageOf(b, random.IntN(r.used/rotPage)), pageOf(r.file, random.IntN(r.used/rotPage)))
		return b
	}},
	{"a page twice, under the right number", func(r rotten, b []byte, random *rand.Rand) []byte {
		to := random.IntN(r.used / rotPage)
		copy(pageOf(b, to), pageOf(r.file, random.IntN(r.used/rotPage)))
		binary.NativeEndian.PutUint64(pageOf(b, to), uint64(to))
		return b
	}},
	{"two pages swapped", func(r rotten, b []byte, random *rand.Rand) []byte {
		one, other := random.IntN(r.used/rotPage), random.IntN(r.used/rotPage)
		copy(pageOf(b, one), pageOf(r.file, other))
		copy(pageOf(b, other), pageOf(r.file, one))
		return b
	}},
	{"a page that was not written", func(r rotten, b []byte, random *rand.Rand) []byte {
		older := r.older[random.IntN(len(r.older))]
		page := random.IntN(min(r.used, len(older)) / rotPage)
		copy(pageOf(b, page), pageOf(older, page))
		return b
	}},
	{"a sector that was not written", func(r rotten, b []byte, random *rand.Rand) []byte {
		older := r.older[random.IntN(len(r.older))]
		at := random.IntN(min(r.used, len(older))/512) * 512
		copy(b[at:at+512], older[at:at+512])
		return b
	}},
	{"an earlier record of a page, whole", func(r rotten, b []byte, random *rand.Rand) []byte {
		// A leaf of an older state replaces the leaf with the same first key.
		older := r.older[random.IntN(len(r.older))]
		page := 2 + random.IntN(r.used/rotPage-2)
		if first, ok := firstKey(b, page); ok {
			for n := range len(older) / rotPage {
				if key, ok := firstKey(older, n); ok && key == first {
					copy(pageOf(b, page), pageOf(older, n))
					binary.NativeEndian.PutUint64(pageOf(b, page), uint64(page))
				}
			}
		}
		return b
	}},
	{"a page of another file", func(r rotten, b []byte, random *rand.Rand) []byte {
		page := random.IntN(min(r.used, len(r.other)) / rotPage)
		copy(pageOf(b, page), pageOf(r.other, page))
		return b
	}},
	{"entries that a page does not count", func(r rotten, b []byte, random *rand.Rand) []byte {
		page := pageOf(b, 2+random.IntN(r.used/rotPage-2))
		count := binary.NativeEndian.Uint16(page[10:])
		binary.NativeEndian.PutUint16(page[10:], count-uint16(random.IntN(int(count)+1)))
		return b
	}},
	{"cut short anywhere", func(r rotten, b []byte, random *rand.Rand) []byte {
		return b[:random.IntN(r.used)]
	}},
	{"cut short at a page", func(r rotten, b []byte, random *rand.Rand) []byte {
		return b[:random.IntN(r.used/rotPage)*rotPage]
	}},
	{"more behind the end", func(_ rotten, b []byte, random *rand.Rand) []byte {
		tail := make([]byte, random.IntN(3*rotPage))
		noise(tail, random)
		return append(b, tail...)
	}},
	{"noise alone", func(_ rotten, b []byte, random *rand.Rand) []byte {
		noise(b, random)
		return b
	}},
}

func pageOf(b []byte, n int) []byte { return b[n*rotPage : (n+1)*rotPage] }

func noise(b []byte, random *rand.Rand) {
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

// rotMeta is the size of the part of a meta page that says something.
const rotMeta = 16 + 64

// pagesOf returns how many pages a file has, as a meta page says.
func pagesOf(meta []byte) uint64 { return binary.NativeEndian.Uint64(meta[16+40:]) }

// firstKey returns the first key of a page, if it is a leaf that begins with a record.
func firstKey(b []byte, n int) (string, bool) {
	const leaf = 0x02
	page := pageOf(b, n)
	number := func(at int) int { return int(binary.NativeEndian.Uint32(page[at:])) }
	kind, count := binary.NativeEndian.Uint16(page[8:]), binary.NativeEndian.Uint16(page[10:])
	start, size := 16+number(16+4), number(16+8)
	if kind != leaf || count == 0 || number(16) != 0 || start > rotPage || size > rotPage-start {
		return "", false
	}
	return string(page[start : start+size]), true
}

// openRotten is the child: it makes and opens the mutants of a range.
func openRotten(args []string) int {
	dir, seed, first, last := args[0], mustInt(args[1]), mustInt(args[2]), mustInt(args[3])
	var files []rotten
	var truths []contents
	for _, name := range []string{"file", "later"} {
		r, err := readRot(dir, name)
		truth, openErr := everything(filepath.Join(dir, name))
		if err := errors.Join(err, openErr); err != nil {
			fmt.Println(err)
			return 1
		}
		files, truths = append(files, r), append(truths, truth)
	}
	counts := make(map[string]int)
	for n := first; n < last; n++ {
		random := rand.New(rand.NewPCG(uint64(seed), uint64(n)))
		mutation, which := mutations[n%len(mutations)], n/len(mutations)%len(files)
		r := files[which]
		fmt.Printf("mutant %d: %s\n", n, mutation.name)
		timer := time.AfterFunc(10*time.Second, func() { panic("hangs") })
		outcome, err := openMutant(filepath.Join(dir, "mutant"), mutation.change(r, bytes.Clone(r.file), random), truths[which])
		timer.Stop()
		if err != nil {
			fmt.Printf("WRONG: %v\n", err)
			return 1
		}
		counts[outcome]++
	}
	fmt.Println("counts", counts["refused"], counts["damaged"], counts["sound"])
	return 0
}

func mustInt(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// contents is what a database says of all users and policies.
type contents struct {
	users    map[string]loaded
	policies map[string]session.Policy
}

type loaded struct {
	record session.Record
	quotas []auth.KeptQuota
}

func everything(path string) (contents, error) {
	s, err := Open(path, quiet)
	if err != nil {
		return contents{}, err
	}
	defer s.Close()
	all := contents{make(map[string]loaded), make(map[string]session.Policy)}
	names, err := s.Names(session.Name{}, 1<<20)
	if err != nil {
		return all, err
	}
	for _, name := range names {
		r, kept, err := s.Load(name.Org, name.User)
		if err != nil {
			return all, err
		}
		all.users[name.User] = loaded{r, kept}
	}
	policies, damaged, err := s.Policies()
	for _, p := range policies {
		all.policies[p.ID] = p
	}
	return all, errors.Join(damaged, err)
}

// openMutant opens a file as the program does at its start, and compares its content with the
// truth.
func openMutant(path string, content []byte, truth contents) (outcome string, err error) {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", err
	}
	report, err := boltfile.Verify(path)
	if err != nil || report.Usable() != nil {
		return "refused", nil
	}
	s, err := Open(path, quiet)
	if err != nil {
		return "", fmt.Errorf("Verify finds nothing, and opening says %w", err)
	}
	defer s.Close()
	s.file.Load().db.NoSync, s.file.Load().db.NoGrowSync = true, true
	named := func(bucket string) bool {
		return slices.ContainsFunc(report.Damaged, func(d boltfile.DamagedRecord) bool { return d.Bucket == bucket })
	}
	for user, is := range truth.users {
		r, kept, err := s.Load("default", user)
		switch {
		case errors.Is(err, auth.ErrDamaged):
			if !slices.ContainsFunc(report.Damaged, func(d boltfile.DamagedRecord) bool { return d.User == user && d.Org == "default" }) {
				return "", fmt.Errorf("%s is damaged and not named: %+v", user, report)
			}
		case errors.Is(err, auth.ErrNoUser) && named("users"): // its key may be what is damaged
		case err != nil:
			return "", fmt.Errorf("%s: %w", user, err)
		case !reflect.DeepEqual(loaded{r, kept}, is):
			return "", fmt.Errorf("%s: got %+v, %+v, the truth is %+v", user, r, kept, is)
		}
	}
	names, err := s.Names(session.Name{}, 1<<20)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if _, known := truth.users[name.User]; !known || name.Org != "default" {
			if r, _, err := s.Load(name.Org, name.User); err == nil {
				return "", fmt.Errorf("no writer wrote %+v", r)
			}
		}
	}
	policies, damaged, err := s.Policies()
	if err != nil {
		return "", err
	}
	for _, p := range policies {
		if is, known := truth.policies[p.ID]; !known || !reflect.DeepEqual(is, p) {
			return "", fmt.Errorf("policy %+v, the truth is %+v", p, is)
		}
	}
	if len(policies) < len(truth.policies) && (damaged == nil || !named("policies")) {
		return "", fmt.Errorf("%d policies", len(policies))
	}
	// Writing goes on, and does not make it worse.
	for _, user := range []string{"user-0000", "user-0075", "user-0149", "user-9999"} {
		r := record("default", user, "written since")
		if _, err := s.Update("default", user, func(*session.Record) (*session.Record, error) { return &r, nil }); err != nil {
			return "", fmt.Errorf("write %s: %w", user, err)
		}
	}
	if err := s.Close(); err != nil {
		return "", err
	}
	after, err := boltfile.Verify(path)
	if err == nil {
		err = after.Usable()
	}
	if err != nil || len(after.Damaged) > len(report.Damaged) {
		return "", fmt.Errorf("after writing: %+v, %w; before: %+v", after, err, report)
	}
	if !report.Clean() {
		return "damaged", nil
	}
	return "sound", nil
}

func TestRot(t *testing.T) {
	dir := filepath.Dir(newPath(t))
	prepareRot(t, dir)
	seed := max(1, *seedFlag) // the same files each time
	const perChild = 2000
	var refused, damaged, sound int
	for first := 0; first < *mutants; first += perChild {
		child := exec.Command(withoutRace(t), dir, strconv.FormatUint(seed, 10), strconv.Itoa(first), strconv.Itoa(min(*mutants, first+perChild)))
		child.Env = childEnvironment("rot")
		var out, problem bytes.Buffer
		child.Stdout, child.Stderr = &out, &problem
		err := child.Run()
		last := ""
		for lines := bufio.NewScanner(&out); lines.Scan(); {
			if err != nil && strings.HasPrefix(lines.Text(), "WRONG") {
				t.Error(lines.Text())
			}
			if !strings.HasPrefix(lines.Text(), "WRONG") {
				last = lines.Text()
			}
		}
		if err != nil {
			t.Fatalf("-seed %d, %s: %v\n%s", seed, last, err, firstLines(problem.String()))
		}
		var r, d, s int
		fmt.Sscanf(last, "counts %d %d %d", &r, &d, &s)
		refused, damaged, sound = refused+r, damaged+d, sound+s
	}
	t.Logf("%d damaged files: %d refused, %d with single users refused, %d as good as before; 0 wrong", *mutants, refused, damaged, sound)
	if refused+damaged+sound != *mutants || damaged == 0 || sound == 0 {
		t.Errorf("%d refused, %d damaged, %d sound of %d", refused, damaged, sound, *mutants)
	}
}
