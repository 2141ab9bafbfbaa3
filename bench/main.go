// Bench measures sidekey side by side with what limits it: a fasthttp handler that
// answers 200 with the same headers and decides nothing. Both run as processes of
// their own, on loopback, asked by wrk in turns; only the ratios mean anything on
// another machine. Writes are compared with a bare bbolt.
//
//	go run ./bench [-runs N] [-time D] [-connections N] [-users N] [-active N] [-json FILE] [-writes]
//
// It needs wrk and, for the rows through proxies, nginx and Envoy (.ci/tools).
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

type options struct {
	runs        int
	time        time.Duration
	connections int
	json        string
	users       int
	active      int
	writes      bool
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "bare" {
		if err := serveBare(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.runs, "runs", 5, "interleaved runs of each row")
	flag.DurationVar(&o.time, "time", 4*time.Second, "length of one run")
	flag.IntVar(&o.connections, "connections", 32, "connections of the load generator")
	flag.StringVar(&o.json, "json", "", "also write the figures to `file`")
	flag.IntVar(&o.users, "users", 100_000, "users stored")
	flag.IntVar(&o.active, "active", 1000, "of those, users who ask: each costs a password hash first")
	flag.BoolVar(&o.writes, "writes", false, "measure acknowledged writes alone")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	rows, err := measure(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	print(os.Stdout, rows)
	if o.json != "" {
		text, _ := json.MarshalIndent(rows, "", "  ")
		if err := os.WriteFile(o.json, append(text, '\n'), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

// row is one comparison: the same load on sidekey and on its rival, in turns.
type row struct {
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	Sidekey []float64 `json:"sidekey"`
	Rival   []float64 `json:"rival,omitempty"` // none for a figure that stands alone
	Ratio   float64   `json:"ratio,omitempty"` // median of the ratios of each pair of runs
}

func (r *row) finish() {
	var ratios []float64
	for i := range r.Rival {
		ratios = append(ratios, r.Sidekey[i]/r.Rival[i])
	}
	if len(ratios) > 0 {
		r.Ratio = median(ratios)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func print(w io.Writer, rows []row) {
	fmt.Fprintf(w, "%-44s %14s %14s %8s\n", "", "sidekey", "bare", "ratio")
	for _, r := range rows {
		rival, ratio := "", ""
		if len(r.Rival) > 0 {
			rival, ratio = fmt.Sprintf("%.0f", median(r.Rival)), fmt.Sprintf("%.3f", r.Ratio)
		}
		fmt.Fprintf(w, "%-44s %14.0f %14s %8s  %s\n", r.Name, median(r.Sidekey), rival, ratio, r.Unit)
	}
}
