package main

import (
	"math"
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
		wide = append(wide, 0.5+(v-0.5)*3) // as often longer as shorter
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
}
