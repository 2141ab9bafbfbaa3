package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
)

// median returns the middle of the values, or 0 where there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// bins are how many times a classifier tells apart.
const bins = 20

// learned returns the area under the curve of a classifier that has learned from every
// other value which times are those of a and which of b, and is asked about the rest. It
// finds what no order does: times that are now shorter, now longer than the others.
func learned(a, b []float64) float64 {
	var train, rest [2][]float64
	for i, values := range [2][]float64{a, b} {
		for j, v := range values {
			if j%2 == 0 {
				train[i] = append(train[i], v)
			} else {
				rest[i] = append(rest[i], v)
			}
		}
	}
	sorted := slices.Sorted(slices.Values(slices.Concat(train[0], train[1])))
	var edges []float64
	for i := 1; i < bins && len(sorted) > 0; i++ {
		edges = append(edges, sorted[i*len(sorted)/bins])
	}
	bin := func(v float64) int {
		i, _ := slices.BinarySearch(edges, v)
		return i
	}
	var counts [2][bins]float64
	for i := range train {
		for _, v := range train[i] {
			counts[i][bin(v)] += 1 / float64(len(train[i]))
		}
	}
	var scores [2][]float64
	for i := range rest {
		for _, v := range rest[i] {
			few := 1 / float64(len(sorted)) // what a bin without any counts as
			scores[i] = append(scores[i], (counts[0][bin(v)]+few)/(counts[1][bin(v)]+few))
		}
	}
	return auc(scores[0], scores[1])
}

// auc returns the chance that one of a takes longer than one of b, ties counted half: the
// area under the curve of a classifier that knows the time alone (Mann and Whitney's U).
func auc(a, b []float64) float64 {
	type value struct {
		time float64
		ofA  bool
	}
	var all []value
	for _, t := range a {
		all = append(all, value{t, true})
	}
	for _, t := range b {
		all = append(all, value{t, false})
	}
	slices.SortFunc(all, func(x, y value) int { return cmp.Compare(x.time, y.time) })
	ranks := 0.0
	for i := 0; i < len(all); {
		end, of := i, 0
		for ; end < len(all) && all[end].time == all[i].time; end++ {
			if all[end].ofA {
				of++
			}
		}
		ranks += float64(of) * float64(i+end+1) / 2 // the mean rank of those that tie
		i = end
	}
	n, m := float64(len(a)), float64(len(b))
	if n == 0 || m == 0 {
		return 0
	}
	return (ranks - n*(n+1)/2) / (n * m)
}

func print(w io.Writer, o options, taken map[class]*times) {
	fmt.Fprintf(w, "stored as %s, configured bcrypt cost %d\n", o.kinds, o.cost)
	fmt.Fprintf(w, "%-44s %8s %11s %7s %7s %7s\n", "", "samples", "median ms", "ratio", "AUC", "learned")
	line := func(name string, values, against []float64) {
		fmt.Fprintf(w, "%-44s %8d %11.3f %7.3f %7.3f %7.3f\n", name, len(values), median(values), median(values)/max(median(against), 1e-9), auc(values, against), learned(values, against))
	}
	against := taken[unknown]
	var exist []float64
	for _, c := range classes[1:] {
		exist = append(exist, taken[c].all...)
	}
	line("any user that exists", exist, against.all)
	for _, c := range classes {
		line(string(c), taken[c].all, against.all)
	}
	for leaders := range o.leaders + 1 {
		for _, c := range classes[1:] {
			line(fmt.Sprintf("%s, %d leaders", c, leaders), taken[c].byLeaders[leaders], against.byLeaders[leaders])
		}
	}
	for _, c := range classes[1:] {
		for _, kind := range slices.Sorted(maps.Keys(taken[c].byKind)) {
			line(fmt.Sprintf("%s, %s", c, kind), taken[c].byKind[kind], against.all)
		}
	}
}
