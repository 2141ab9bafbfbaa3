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

// askedByWrk has wrk ask the same question on all connections.
func (l *lab) askedByWrk(ctx context.Context, url string, headers []string, processes ...*process) side {
	return side{processes, func() (load, error) { return l.wrk(ctx, url, headers) }}
}

// wrk returns how many requests a second were answered. Any answer but 2xx is an error: a
// refusal costs something else.
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
		return load{}, fmt.Errorf("wrk %s: not all answers were right:\n%s", url, out)
	}
	total, rate := wrkTotal.FindSubmatch(out), wrkRate.FindSubmatch(out)
	if total == nil || rate == nil {
		return load{}, fmt.Errorf("wrk: no figures in its output:\n%s", out)
	}
	var done load
	if done.requests, err = strconv.Atoi(string(total[1])); err != nil {
		return load{}, err
	}
	done.figure, err = strconv.ParseFloat(string(rate[1]), 64)
	return done, err
}
