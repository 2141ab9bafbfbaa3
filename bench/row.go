//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// row is one comparison: the same load on sidekey and on its rival, in turns. A[i] and
// B[i] of two lists were measured one right after the other.
type row struct {
	Name    string  `json:"name"` // what -rows selects it by
	Text    string  `json:"text"`
	Unit    string  `json:"unit"`               // of the figures
	AtLeast float64 `json:"at_least,omitempty"` // what the ratio should be; of a row without rival, the figure
	AtMost  float64 `json:"at_most,omitempty"`

	Sidekey []float64 `json:"sidekey"`
	Rival   []float64 `json:"rival,omitempty"` // none for a figure that stands alone
	Ratio   float64   `json:"ratio,omitempty"` // median of the ratios of the pairs

	// Processor time of the servers, user and system, in µs for each request.
	CPU      []float64 `json:"cpu,omitempty"`
	RivalCPU []float64 `json:"rival_cpu,omitempty"`
	CPURatio float64   `json:"cpu_ratio,omitempty"`
}

// sample is what one run of a load tells about one side.
type sample struct {
	figure float64 // in the row's unit
	cpu    float64 // µs for each request; 0 = not known
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

// wanted says what the contract asks for, and whether it was measured so.
func (r *row) wanted() string {
	got := r.Ratio
	if len(r.Rival) == 0 {
		got = median(r.Sidekey)
	}
	bound, held := "", true
	switch {
	case r.AtLeast > 0:
		bound, held = fmt.Sprintf("≥ %g", r.AtLeast), got >= r.AtLeast
	case r.AtMost > 0:
		bound, held = fmt.Sprintf("≤ %g", r.AtMost), got <= r.AtMost
	}
	if !held {
		bound += ", missed"
	}
	return bound
}

// writeTable writes the rows as a table of Markdown that is one on a terminal as well.
func writeTable(w io.Writer, rows []row) error {
	table := [][]string{{"row", "what", "unit", "sidekey", "rival", "ratio", "wanted", "CPU µs", "rival", "ratio"}}
	number := func(format string, values ...float64) string {
		if len(values) == 0 || values[0] == 0 {
			return ""
		}
		return fmt.Sprintf(format, median(values))
	}
	for _, r := range rows {
		table = append(table, []string{r.Name, r.Text, r.Unit,
			number("%.0f", r.Sidekey...), number("%.0f", r.Rival...), number("%.3f", r.Ratio), r.wanted(),
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
