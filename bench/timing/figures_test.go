package main

import (
	"math"
	"strings"
	"testing"
)

func TestAUC(t *testing.T) {
	f := func(want float64, a, b []float64) {
		t.Helper()
		if got := auc(a, b); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v against %v: %v, want %v", a, b, got, want)
		}
	}
	f(1, []float64{2, 3}, []float64{0, 1})
	f(0, []float64{0, 1}, []float64{2, 3})
	f(0.5, []float64{1, 2, 3}, []float64{1, 2, 3})
	f(0.5, []float64{1, 1}, []float64{1})
	f(0.5, []float64{0, 3}, []float64{1, 2})
	f(0.75, []float64{1, 3}, []float64{0, 2})
	f(0, nil, []float64{1})
}

func TestLearned(t *testing.T) {
	var same, other, wide []float64
	for i := range 4000 {
		v := float64(i*7919%4000) / 4000
		same = append(same, v)
		other = append(other, float64(i*6997%4000)/4000)
		wide = append(wide, 0.5+(v-0.5)*3) // longer as often as shorter
	}
	if got := learned(same, other); got < 0.47 || got > 0.53 {
		t.Errorf("the same: %v", got)
	}
	if got := auc(wide, same); got < 0.47 || got > 0.53 {
		t.Errorf("wider, by order: %v", got)
	}
	if got := learned(wide, same); got < 0.8 {
		t.Errorf("wider: %v", got)
	}
	for n := range 2 { // with one value, one of the halves is empty
		if got := learned(wide[:n], same[:n]); got >= 0.5 {
			t.Errorf("%d values: %v", n, got)
		}
	}
}

func TestPrint(t *testing.T) {
	f := func(want bool, of func(c class, i int) float64) {
		t.Helper()
		taken := make(map[class]*times)
		for k, c := range classes {
			taken[c] = new(times)
			for i := range 5000 {
				taken[c].all = append(taken[c].all, of(c, i*[]int{7919, 6997, 6007, 7001}[k]%5000))
			}
		}
		var out strings.Builder
		if got := print(&out, options{}, taken); got != want {
			t.Errorf("%v, want %v\n%s", got, want, &out)
		}
	}
	f(true, func(_ class, i int) float64 { return 100 + float64(i)/5000 })
	f(false, func(c class, i int) float64 { return 100 + float64(i)/5000 + float64(len(c)%2)/10 })
	f(false, func(c class, i int) float64 {
		if c == remembered {
			return 100.5 + float64(i-2500)/2500
		}
		return 100 + float64(i)/5000
	})
}
