//go:build linux

package main

import "slices"

// median returns the median of the values, or 0 if there are none. For an even number of values, it
// is the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the smallest value that at least the share p of the values do not exceed,
// 0 < p ≤ 1, or 0 if there are no values.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(p*float64(len(sorted)) + 0.999999) // rounded up
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// ratios returns a[i]/b[i] for each pair.
func ratios(a, b []float64) (list []float64) {
	for i := range min(len(a), len(b)) {
		list = append(list, a[i]/b[i])
	}
	return list
}
