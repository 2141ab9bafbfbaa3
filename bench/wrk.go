//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

var (
	wrkTotal = regexp.MustCompile(`(\d+) requests in `)
	wrkRate  = regexp.MustCompile(`Requests/sec: *([0-9.]+)`)
)

// askedByWrk returns a side that gets the same request from wrk on all connections.
func (l *lab) askedByWrk(ctx context.Context, url string, headers []string, processes ...*process) side {
	return side{processes, func() (load, error) { return l.wrk(ctx, url, headers) }}
}

// wrk returns how many requests per second were answered. Any answer other than 2xx is an error,
// because a refusal has a different cost.
func (l *lab) wrk(ctx context.Context, url string, headers []string) (load, error) {
	args := []string{"-t1", "-c" + strconv.Itoa(l.connections), "-d" + strconv.Itoa(max(1, int(l.time.Seconds()))) + "s", "--timeout", "30s"}
	for _, h := range headers {
		args = append(args, "-H", h)
	}
	out, err := exec.CommandContext(ctx, "wrk", append(args, url)...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		return load{}, fmt.Errorf("wrk %s: some answers were errors:\n%s", url, out)
	}
	total, rate := wrkTotal.FindSubmatch(out), wrkRate.FindSubmatch(out)
	if total == nil || rate == nil {
		return load{}, fmt.Errorf("wrk: cannot parse its output:\n%s", out)
	}
	var done load
	if done.requests, err = strconv.Atoi(string(total[1])); err != nil {
		return load{}, err
	}
	done.figure, err = strconv.ParseFloat(string(rate[1]), 64)
	return done, err
}
