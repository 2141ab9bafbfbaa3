package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// median returns the median of the values, or 0 if there are none.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile returns the value that a share part of the values lies below, or 0 if there are none.
func quantile(values []float64, part float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[int(part*float64(len(values)))]
}

// bins is the number of time intervals that a classifier distinguishes.
const bins = 20

// learned returns the area under the curve of a classifier that learns from one half of the values
// which times are typical for a and for b, and classifies the other half. The result is the mean of
// both choices of the halves. Unlike auc, it also finds times that are sometimes shorter and
// sometimes longer than the others. If there are too few values to learn from, the result is below
// 0.5.
func learned(a, b []float64) float64 {
	var halves [2][2][]float64
	for i, values := range [2][]float64{a, b} {
		for j, v := range values {
			halves[j%2][i] = append(halves[j%2][i], v)
		}
	}
	return (learnedFrom(halves[0], halves[1]) + learnedFrom(halves[1], halves[0])) / 2
}

func learnedFrom(train, rest [2][]float64) float64 {
	if len(train[0]) == 0 || len(train[1]) == 0 {
		return 0
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
			few := 1 / float64(len(sorted)) // the share of an empty bin
			scores[i] = append(scores[i], (counts[0][bin(v)]+few)/(counts[1][bin(v)]+few))
		}
	}
	return auc(scores[0], scores[1])
}

// auc returns the probability that a value of a is greater than a value of b; ties count half. This
// is the area under the curve of a classifier that only knows the time (Mann-Whitney U).
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
		ranks += float64(of) * float64(i+end+1) / 2 // the mean rank of equal values
		i = end
	}
	n, m := float64(len(a)), float64(len(b))
	if n == 0 || m == 0 {
		return 0
	}
	return (ranks - n*(n+1)/2) / (n * m)
}

// Two classes cannot be told apart if their medians differ by at most maxRatio and no classifier is
// better than guessing.
const (
	maxRatio = 0.01
	maxAUC   = 0.02 // difference from 0.5
)

// pair compares the times of two classes.
type pair struct {
	ratio, order, learned float64 // ratio of the medians; areas under the curves of auc and learned
}

func compare(a, b []float64) pair {
	return pair{median(a) / max(median(b), 1e-9), auc(a, b), learned(a, b)}
}

// same reports whether the two classes cannot be told apart.
func (p pair) same() bool {
	return math.Abs(p.ratio-1) <= maxRatio && math.Abs(p.order-0.5) <= maxAUC && math.Abs(p.learned-0.5) <= maxAUC
}

func (p pair) String() string { return fmt.Sprintf("%8.4f %8.3f %8.3f", p.ratio, p.order, p.learned) }

// print prints the figures and returns whether no two classes can be told apart.
func print(w io.Writer, o options, taken map[class]*times) (same bool) {
	fmt.Fprintf(w, "stored as %s, configured bcrypt cost %d, %d to %d leaders\n\n", o.kinds, o.cost, 0, o.leaders)
	fmt.Fprintf(w, "%-40s %8s %10s %10s %10s\n", "milliseconds", "samples", "tenth", "median", "nine tenths")
	for _, c := range classes {
		line(w, string(c), taken[c].all)
		if c == unknown {
			continue
		}
		for _, kind := range slices.Sorted(maps.Keys(taken[c].byKind)) {
			line(w, "  stored as "+kind, taken[c].byKind[kind])
		}
	}
	fmt.Fprintf(w, "\n%-64s %8s %8s %8s\n", "", "medians", "AUC", "learned")
	same = true
	for i, a := range classes {
		for _, b := range classes[:i] {
			p := compare(taken[a].all, taken[b].all)
			verdict := ""
			if !p.same() {
				same, verdict = false, "  TOLD APART"
			}
			fmt.Fprintf(w, "%-64s %s%s\n", string(a)+" : "+string(b), p, verdict)
		}
	}
	fmt.Fprintln(w)
	for leaders := range o.leaders + 1 {
		for _, c := range classes[1:] {
			fmt.Fprintf(w, "%-64s %s\n", fmt.Sprintf("%s : %s, %d leaders", c, unknown, leaders), compare(taken[c].byLeaders[leaders], taken[unknown].byLeaders[leaders]))
		}
	}
	n := float64(max(1, len(taken[unknown].all)))
	fmt.Fprintf(w, "\nif two classes do not differ, their AUC is within %.3f of 0.5 in 95 of 100 runs like this one\n", 1.96/math.Sqrt(6*n))
	if same {
		fmt.Fprintf(w, "verdict: no two classes can be told apart (medians within %.0f %%, AUC within %.2f of 0.5)\n", maxRatio*100, maxAUC)
	} else {
		fmt.Fprintf(w, "verdict: classes can be told apart (medians not within %.0f %%, or an AUC not within %.2f of 0.5), or too few samples\n", maxRatio*100, maxAUC)
	}
	return same
}

func line(w io.Writer, name string, values []float64) {
	fmt.Fprintf(w, "%-40s %8d %10.3f %10.3f %10.3f\n", name, len(values), quantile(values, 0.1), median(values), quantile(values, 0.9))
}
