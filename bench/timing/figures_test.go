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
