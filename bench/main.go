//go:build linux

// Bench compares sidekey with rivals: a fasthttp handler that answers 200 with the same headers and
// makes no decision (the bare handler), NGINX that hashes passwords itself, and bbolt alone. Each
// runs as a process of its own and gets its load over loopback, in turns. Only the ratios are
// comparable with other machines.
//
//	go run ./bench [-rows REGEXP] [-runs N] [-time D] [-json FILE]
//	go run ./bench -list
//	go run ./bench -plot FILE.json >FILE.svg
//
// It needs Linux and, for most rows, wrk, nginx and Envoy (.ci/tools).
//
// The package has one file for each rival and each kind of row, which makes it large; a row knows the
// lab that it runs in.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	runs        int
	time        time.Duration
	connections int
	stored      []int // numbers of users, ascending
	active      int
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "bare" {
		fatal(1, serveBare(os.Args[2], os.Args[3]))
	}
	o := options{stored: []int{1000, 100_000, 1_000_000}}
	flag.IntVar(&o.runs, "runs", 15, "measure `N` pairs of runs for each row, at least 1; three times as many if the target is close to the result")
	flag.DurationVar(&o.time, "time", time.Second, "length of a run, in whole seconds")
	flag.IntVar(&o.connections, "connections", 32, "connections of each load generator")
	flag.IntVar(&o.active, "active", 10_000, "number of stored users who send requests")
	flag.Func("stored", "numbers of stored users for the rows users/*, as a `list` (default 1000,100000,1000000)", func(text string) (err error) {
		o.stored, err = parseNumbers(text)
		return err
	})
	rows := flag.String("rows", "", "measure only the rows whose names match the `regexp`")
	list := flag.Bool("list", false, "list the rows")
	jsonFile := flag.String("json", "", "also write the figures to `file`")
	plotFile := flag.String("plot", "", "do not measure; write a chart of the rows users/* in the JSON `file` to stdout, as SVG")
	flag.Parse()
	if flag.NArg() > 0 || o.runs < 1 || o.time < time.Second || o.time%time.Second != 0 || o.connections < 1 || o.active < 1 {
		flag.Usage()
		os.Exit(2)
	}
	names, err := regexp.Compile(*rows)
	if err != nil {
		fatal(2, err)
	}
	plan := newPlan(o, names)
	switch {
	case *plotFile != "":
		err = plotJSON(os.Stdout, *plotFile)
	case *list:
		for _, m := range plan {
			fmt.Printf("%-24s %s\n", m.row.Name, m.row.Text)
		}
	default:
		err = run(o, plan, *jsonFile)
	}
	if err != nil {
		fatal(1, err)
	}
}

func fatal(code int, err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(code)
}

func run(o options, plan []measurement, jsonFile string) error {
	if len(plan) == 0 {
		return errors.New("no row has a name that matches -rows; -list shows all names")
	}
	if err := missing(plan); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	results := report{Machine: describeMachine(), Runs: o.runs, Seconds: o.time.Seconds(), Connections: o.connections}
	var failed error
	results.Rows, failed = measureAll(ctx, o, plan, os.Stderr)
	if err := writeTable(os.Stdout, results.Rows); err != nil {
		return err
	}
	if jsonFile != "" {
		text, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(jsonFile, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return failed
}

// parseNumbers parses a list such as "1000,100000" and sorts it.
func parseNumbers(text string) (list []int, err error) {
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q: must be a number, at least 1", field)
		}
		list = append(list, n)
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) < 2 {
		return nil, errors.New("must be at least two numbers: the highest is compared with the lowest")
	}
	return list, nil
}
