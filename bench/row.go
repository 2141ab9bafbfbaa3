//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// row is a comparison: the same load on sidekey and on its rival, in turns. Sidekey[i] and Rival[i]
// were measured one right after the other.
type row struct {
	Name    string  `json:"name"` // matched by -rows
	Text    string  `json:"text"`
	Unit    string  `json:"unit"`               // of the figures
	AtLeast float64 `json:"at_least,omitempty"` // target for the ratio or, in a row without rival, for the figure
	AtMost  float64 `json:"at_most,omitempty"`

	Sidekey []float64 `json:"sidekey"`
	Rival   []float64 `json:"rival,omitempty"` // empty for a row without rival
	Ratio   float64   `json:"ratio,omitempty"` // median of the ratios of the pairs

	// Processor time of the servers (user and system), in µs per request.
	CPU      []float64 `json:"cpu,omitempty"`
	RivalCPU []float64 `json:"rival_cpu,omitempty"`
	CPURatio float64   `json:"cpu_ratio,omitempty"`
}

// sample is the result of one run for one side.
type sample struct {
	figure float64 // in the row's unit
	cpu    float64 // µs per request; 0 = unknown
}

func (r *row) add(ours sample) {
	r.Sidekey = append(r.Sidekey, ours.figure)
	if ours.cpu > 0 {
		r.CPU = append(r.CPU, ours.cpu)
	}
}

func (r *row) addPair(ours, rival sample) {
	r.add(ours)
	r.Rival = append(r.Rival, rival.figure)
	if rival.cpu > 0 {
		r.RivalCPU = append(r.RivalCPU, rival.cpu)
	}
	r.Ratio = median(ratios(r.Sidekey, r.Rival))
	r.CPURatio = median(ratios(r.CPU, r.RivalCPU))
}

// target returns the target of a row, and "missed" if the result does not reach it.
func (r *row) target() string {
	got := r.Ratio
	if len(r.Rival) == 0 {
		got = median(r.Sidekey)
	}
	target, reached := "", true
	switch {
	case r.AtLeast > 0:
		target, reached = fmt.Sprintf("≥ %g", r.AtLeast), got >= r.AtLeast
	case r.AtMost > 0:
		target, reached = fmt.Sprintf("≤ %g", r.AtMost), got <= r.AtMost
	}
	if !reached {
		target += ", missed"
	}
	return target
}

// writeTable writes the rows as a Markdown table that is aligned for terminals.
func writeTable(w io.Writer, rows []row) error {
	table := [][]string{{"row", "what", "unit", "sidekey", "rival", "ratio", "target", "CPU µs", "rival", "ratio"}}
	number := func(format string, values ...float64) string {
		if len(values) == 0 || values[0] == 0 {
			return ""
		}
		return fmt.Sprintf(format, median(values))
	}
	for _, r := range rows {
		table = append(table, []string{r.Name, r.Text, r.Unit,
			number("%.0f", r.Sidekey...), number("%.0f", r.Rival...), number("%.3f", r.Ratio), r.target(),
			number("%.2f", r.CPU...), number("%.2f", r.RivalCPU...), number("%.3f", r.CPURatio)})
	}
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for i, cells := range table {
		for j, cell := range cells {
			fmt.Fprintf(&b, "| %-*s ", widths[j], cell)
		}
		b.WriteString("|\n")
		if i == 0 {
			for _, width := range widths {
				b.WriteString("| " + strings.Repeat("-", max(3, width)) + " ")
			}
			b.WriteString("|\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
