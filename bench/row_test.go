//go:build linux

package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var got strings.Builder
	if err := writeTable(&got, []row{
		{Name: "check/envoy", Text: "a against b", Unit: "requests/s", AtLeast: 0.95, Sidekey: []float64{90, 91}, Rival: []float64{100, 100}, Ratio: 0.905, CPU: []float64{11}, RivalCPU: []float64{10}, CPURatio: 1.1},
		{Name: "start", Text: "c", Unit: "ms", AtMost: 2000, Sidekey: []float64{1500}},
	}); err != nil {
		t.Fatal(err)
	}
	want := `
| row         | what        | unit       | sidekey | rival | ratio | target         | CPU µs | rival | ratio |
| ----------- | ----------- | ---------- | ------- | ----- | ----- | -------------- | ------ | ----- | ----- |
| check/envoy | a against b | requests/s | 90      | 100   | 0.905 | ≥ 0.95, missed | 11.00  | 10.00 | 1.100 |
| start       | c           | ms         | 1500    |       |       | ≤ 2000         |        |       |       |
`
	if got.String() != want[1:] {
		t.Errorf("got\n%s\nwant%s", got.String(), want)
	}
}

// Each row is complete and has a name of its own.
func TestPlan(t *testing.T) {
	o := options{stored: []int{1000, 1_000_000}}
	all := newPlan(o, regexp.MustCompile(""))
	seen := make(map[string]bool)
	for _, m := range all {
		if seen[m.row.Name] || m.row.Text == "" || m.row.Unit == "" || m.measure == nil {
			t.Errorf("row %q is duplicate or incomplete", m.row.Name)
		}
		seen[m.row.Name] = true
	}
	if got := newPlan(o, regexp.MustCompile("^users/1000/zipf$")); len(got) != 1 || got[0].row.Name != "users/1000/zipf" {
		t.Errorf("%d rows match", len(got))
	}
}

func TestMissing(t *testing.T) {
	err := missing([]measurement{{needs: []string{"no-such-program", "sh"}}, {needs: []string{"no-such-program"}}})
	if err == nil || err.Error() != "not installed: no-such-program. Run .ci/tools, or choose other rows (-list)" {
		t.Errorf("%v", err)
	}
}

func TestParseNumbers(t *testing.T) {
	if list, err := parseNumbers("1000,5,1000"); err != nil || len(list) != 2 || list[0] != 5 || list[1] != 1000 {
		t.Errorf("%v, %v", list, err)
	}
	for _, bad := range []string{"", "0", "-1", "1,", "x", "1", "5,5"} {
		if list, err := parseNumbers(bad); err == nil {
			t.Errorf("%q is accepted: %v", bad, list)
		}
	}
}
