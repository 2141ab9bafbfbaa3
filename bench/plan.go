//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// measurement describes how to measure a row. measure adds figures to the row.
type measurement struct {
	row     row
	needs   []string // programs
	closely bool     // measured three times with new processes, because runs vary by more than the target allows
	measure func(ctx context.Context, l *lab, r *row) error
}

// newPlan returns the measurements whose rows' names match.
func newPlan(o options, names *regexp.Regexp) (plan []measurement) {
	for _, m := range slices.Concat(
		checkRows(),
		[]measurement{latencyRow(), decisionLogRow()},
		proxyRows(),
		sessionRows(),
		usersRows(o.stored),
		[]measurement{storedRow(o.stored), hotRow(), quotaRow()},
		startRows(o.stored),
		memoryRows(o.stored),
		writesRows(),
	) {
		if names.MatchString(m.row.Name) {
			plan = append(plan, m)
		}
	}
	return plan
}

// missing returns an error that names the programs that a plan needs and that are not installed.
func missing(plan []measurement) error {
	var needs []string
	for _, m := range plan {
		needs = append(needs, m.needs...)
	}
	slices.Sort(needs)
	var absent []string
	for _, name := range slices.Compact(needs) {
		if findProgram(name) == "" {
			absent = append(absent, name)
		}
	}
	if len(absent) > 0 {
		return fmt.Errorf("not installed: %s. Run .ci/tools, or choose other rows (-list)", strings.Join(absent, ", "))
	}
	return nil
}

// findProgram returns the path of a program, or "". It also looks in /usr/sbin, which holds NGINX,
// and where .ci/tools puts Envoy.
func findProgram(name string) string {
	for _, at := range []string{name, "/usr/sbin/" + name, ".tools/envoy/lib/python3*/site-packages/envoy/_bin/" + name} {
		if found, _ := filepath.Glob(at); len(found) > 0 {
			at = found[0]
		}
		if path, err := exec.LookPath(at); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				return path
			}
		}
	}
	return ""
}
