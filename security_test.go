package main

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hazards are the numbers that docs/security.md and the tests use.
func hazards() (numbers []string) {
	for _, span := range [][2]int{{1, 13}, {20, 24}, {30, 34}, {40, 44}, {50, 52}, {60, 63}, {70, 75}, {80, 84}, {90, 99}, {106, 107}} {
		for n := span[0]; n <= span[1]; n++ {
			numbers = append(numbers, fmt.Sprintf("T-%02d", n))
		}
	}
	slices.Sort(numbers)
	return numbers
}

var (
	hazardRow    = regexp.MustCompile(`(?m)^\| (T-[0-9]{2,3}) \| ([^|]+) \| ([^|]+) \|$`)
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	testFunction = regexp.MustCompile(`(?m)((?:^//.*\n)*)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	hazardInText = regexp.MustCompile(`T-?([0-9]{2,3})`)
)

// Every hazard has a row in docs/security.md, which names tests that are there and say
// which hazard they are about, or why there is none; and every number that a test's name
// or comment has is in the row.
func TestHazardTable(t *testing.T) {
	// From a test's name to the hazards that its name, comment or body name.
	tests := make(map[string]map[string]bool)
	named := make(map[string][]string) // from a hazard to the tests that have it in their name
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text := mustReadFile(t, path)
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
	text := mustReadFile(t, "docs/security.md")
	rows := make(map[string]string)
	for _, found := range hazardRow.FindAllStringSubmatch(text, -1) {
		if rows[found[1]] != "" {
			t.Errorf("%s stands there twice", found[1])
		}
		rows[found[1]] = found[3]
	}
	numbers := hazards()
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
				t.Errorf("%s: %s does not say that it is about it", number, m[1])
			}
		}
		for _, name := range named[number] {
			if !strings.Contains(row, "`"+name+"`") {
				t.Errorf("%s: %s is not in the row", number, name)
			}
		}
	}
	for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
		if tests[m[1]] == nil {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// T-84: nothing that a client names is found by a hash that it can compute: Go's maps and
// hash/maphash draw a seed for each process.
func TestT84NoUnseededHash(t *testing.T) {
	for name, p := range listPackages(t) {
		if !strings.HasPrefix(name, "sidekey") || name == "sidekey/store" { // which checks bbolt's own checksum
			continue
		}
		for _, bad := range []string{"hash/fnv", "hash/adler32", "hash/crc64"} {
			if slices.Contains(p.Imports, bad) {
				t.Errorf("%s imports %s", name, bad)
			}
		}
	}
}
