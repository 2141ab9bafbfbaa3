//go:build linux

package main

import (
	"math"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	f := func(want float64, values ...float64) {
		t.Helper()
		if got := median(values); got != want {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
	f(0)
	f(7, 7)
	f(2, 3, 1, 2)
	f(2.5, 4, 1, 2, 3)
	f(2, 2, 1000, 1, 0, 3)
}

func TestPercentile(t *testing.T) {
	var values []float64
	for i := range 1000 {
		values = append(values, float64((i*7)%1000+1))
	}
	f := func(want, p float64, values []float64) {
		t.Helper()
		if got := percentile(values, p); got != want {
			t.Errorf("%v of %d: %v, want %v", p, len(values), got, want)
		}
	}
	f(999, 0.999, values)
	f(1000, 1, values)
	f(500, 0.5, values)
	f(1, 0.0001, values)
	f(0, 0.5, nil)
}

// A row's ratio is the median of the ratios of its pairs, not the ratio of the medians.
func TestRatio(t *testing.T) {
	var r row
	for _, pair := range [][2]float64{{10, 20}, {90, 100}, {30, 40}} {
		r.addPair(sample{pair[0], pair[0] / 10}, sample{pair[1], pair[1] / 10})
	}
	if r.Ratio != 0.75 || math.Abs(r.CPURatio-0.75) > 1e-9 {
		t.Errorf("%v, %v", r.Ratio, r.CPURatio)
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0\n")
	if err != nil || got != 2*time.Second {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseStat("12 (a) S 1"); err == nil {
		t.Error("a line that is too short is accepted")
	}
}
