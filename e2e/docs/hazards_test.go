package docs

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sidekey/internal/testutil"
)

// hazards returns the numbers below T-100. docs/hazards.md has a row for each of them.
func hazards() (numbers []string) {
	for _, span := range [][2]int{{1, 13}, {20, 24}, {30, 34}, {40, 44}, {50, 52}, {60, 63}, {70, 75}, {80, 84}, {90, 99}} {
		for n := span[0]; n <= span[1]; n++ {
			numbers = append(numbers, fmt.Sprintf("T-%02d", n))
		}
	}
	slices.Sort(numbers)
	return numbers
}

var (
	hazardRow    = regexp.MustCompile(`(?m)^\| (T-[0-9]{2,3}) \| ([^|]+) \| ([^|]+) \|$`)
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+|[a-z0-9-]+\\.txtar)`")
	testFunction = regexp.MustCompile(`(?m)((?:^//.*\n)*)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	hazardInText = regexp.MustCompile(`T-?([0-9]{2,3})`)
)

// TestHazardTable compares docs/hazards.md with the tests. Each hazard has a row that names existing
// tests, which name the hazard, or gives the reason why there is none. A test with the number of a
// hazard in its name is in the row of that hazard. From T-100 on, a hazard has a row as soon as it
// has a test. Tests that docs/security.md names exist.
func TestHazardTable(t *testing.T) {
	tests := make(map[string]map[string]bool) // by test: the hazards in its name, comment or body
	named := make(map[string][]string)        // by hazard: the tests with its number in their name
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		story := strings.HasSuffix(path, ".txtar")
		if err != nil || !story && !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text := testutil.ReadFile(t, path)
		if story {
			name := filepath.Base(path)
			tests[name] = make(map[string]bool)
			for _, m := range hazardInText.FindAllStringSubmatch(text, -1) {
				tests[name]["T-"+m[1]] = true
				if len(m[1]) > 2 {
					named["T-"+m[1]] = append(named["T-"+m[1]], name)
				}
			}
			return nil
		}
		for _, at := range testFunction.FindAllStringSubmatchIndex(text, -1) {
			comment, name := text[at[2]:at[3]], text[at[4]:at[5]]
			body, _, _ := strings.Cut(text[at[5]:], "\n}\n")
			tests[name] = make(map[string]bool)
			for _, m := range hazardInText.FindAllStringSubmatch(comment+name+body, -1) {
				tests[name]["T-"+m[1]] = true
			}
			if m := hazardInText.FindStringSubmatch(name); m != nil {
				named["T-"+m[1]] = append(named["T-"+m[1]], name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text := testutil.ReadFile(t, "docs/hazards.md")
	rows := make(map[string]string)
	for _, found := range hazardRow.FindAllStringSubmatch(text, -1) {
		if rows[found[1]] != "" {
			t.Errorf("%s has two rows", found[1])
		}
		rows[found[1]] = found[3]
	}
	numbers := hazards()
	for number := range named {
		if len(number) > len("T-99") {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	if got := slices.Sorted(maps.Keys(rows)); !slices.Equal(got, numbers) {
		t.Errorf("rows %v, want %v", got, numbers)
	}
	for _, number := range numbers {
		row := rows[number]
		in := namedTest.FindAllStringSubmatch(row, -1)
		if len(in) == 0 && !strings.HasPrefix(row, "cannot apply: ") {
			t.Errorf("%s: neither a test nor a reason: %q", number, row)
		}
		for _, m := range in {
			if hazards, ok := tests[m[1]]; !ok {
				t.Errorf("%s: there is no %s", number, m[1])
			} else if !hazards[number] {
				t.Errorf("%s: %s does not contain this number", number, m[1])
			}
		}
		for _, name := range named[number] {
			if !strings.Contains(row, "`"+name+"`") {
				t.Errorf("%s: %s is not in the row", number, name)
			}
		}
	}
	for _, name := range []string{"docs/hazards.md", "docs/security.md"} {
		for _, m := range namedTest.FindAllStringSubmatch(testutil.ReadFile(t, name), -1) {
			if tests[m[1]] == nil {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
}

// TestT84NoUnseededHash shows that no package hashes what clients choose with a function that they
// can compute. Go's maps and hash/maphash draw a seed for each process.
func TestT84NoUnseededHash(t *testing.T) {
	for name, p := range listPackages(t) {
		if !strings.HasPrefix(name, "sidekey") || strings.HasPrefix(name, "sidekey/store/bolt") { // which checks bbolt's own checksum
			continue
		}
		for _, bad := range []string{"hash/fnv", "hash/adler32", "hash/crc64"} {
			if slices.Contains(p.Imports, bad) {
				t.Errorf("%s imports %s", name, bad)
			}
		}
	}
}
