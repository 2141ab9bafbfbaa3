package problem

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestProblem(t *testing.T) {
	f := func(p Problem, want string) {
		t.Helper()
		if got := p.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(Problem{Field: "rate", Value: "-1", Want: "must be more"}, "rate = -1: must be more")
	f(Problem{Field: "rate", Want: "must be more"}, "rate: must be more")
	f(Problem{Value: "null", Want: "must be more"}, "null: must be more")
	f(Problem{Want: "must be more"}, "must be more")
	f(Problem{Field: "a", Value: strings.Repeat("v", 81), Want: "x"}, "a = "+strings.Repeat("v", 80)+"…: x")
	f(Problem{Field: "a\u202eb", Value: "c\nd", Want: "x"}, `a\u202eb = c\nd: x`)
}

func TestList(t *testing.T) {
	var ps List
	if err := ps.Err(); err != nil {
		t.Errorf("no problem is %v", err)
	}
	ps.Add("b", "x y", "must be %d", 3)
	ps.Add("c", "", "missing c")
	ps.AddNumber("a", 7, "must be 8")
	ps.Sort()
	if got, want := ps.Err().Error(), `a = 7: must be 8; b = "x y": must be 3; c: missing c`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i := range 20 {
		ps.Add(fmt.Sprint(i), "", "x")
	}
	if got := ps.Error(); !strings.HasSuffix(got, "; 16: x; and 3 more") {
		t.Errorf("got %s", got)
	}
}

func TestCheckLimit(t *testing.T) {
	f := func(rate, per, throttle float64, want string) {
		t.Helper()
		var ps List
		if ps.CheckLimit("at", rate, per, throttle); ps.Error() != want {
			t.Errorf("got  %s\nwant %s", ps.Error(), want)
		}
	}
	f(10, 1, 0, "")
	f(-1, 0, -1, "")
	f(1, 1, 0.001, "")
	f(1, 1, 0.0009, "at.throttle_interval = 0.0009: must be at least 0.001 seconds, or 0 to refuse at once")
	f(math.NaN(), math.Inf(1), math.Inf(-1), "at.rate = NaN: must be a finite number; at.per = +Inf: must be a finite number; at.throttle_interval = -Inf: must be a finite number")
}

func TestClip(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		got := Clip(s)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	f("", "")
	f(strings.Repeat("a", 80), strings.Repeat("a", 80))
	f(strings.Repeat("a", 81), strings.Repeat("a", 80)+"…")
	// No character is cut in two.
	f(strings.Repeat("a", 79)+"ä", strings.Repeat("a", 79)+"…")
	f(strings.Repeat("🔑", 21), strings.Repeat("🔑", 20)+"…")
	f("aaa"+strings.Repeat("🔑", 20), "aaa"+strings.Repeat("🔑", 19)+"…")
}
