//go:build linux

package main

import (
	"context"
)

// few is the number of users stored for rows that do not measure the effect of this number.
const few = 1000

const (
	envoyPath    = "/auth/envoy/orders/1?x=2"
	forwardedFor = "X-Forwarded-For: 127.0.0.1"
)

// dialects are the questions about the same request in each dialect.
var dialects = []struct {
	name, path string
	headers    []string
}{
	{"envoy", envoyPath, []string{forwardedFor}},
	{"nginx", "/auth/nginx", []string{forwardedFor, "X-Original-Method: GET", "X-Original-URI: /orders/1?x=2"}},
	{"forward", "/auth/forward", []string{forwardedFor, "X-Forwarded-Method: GET", "X-Forwarded-Host: localhost", "X-Forwarded-Uri: /orders/1?x=2"}},
}

// checkRows compare a warm check in each dialect with the bare handler.
func checkRows() (list []measurement) {
	for _, d := range dialects {
		list = append(list, measurement{
			row:     row{Name: "check/" + d.name, Text: "warm check against the bare handler", Unit: "requests/s", AtLeast: 0.95},
			needs:   []string{"wrk"},
			closely: true,
			measure: func(ctx context.Context, l *lab, r *row) error {
				return l.withBare(ctx, few, func(ours, bare *server) error {
					return l.compareOne(ctx, r, ours, bare, oneUser, d.path, d.headers)
				})
			},
		})
	}
	return list
}

// compareOne compares two servers under requests of one user on all connections.
func (l *lab) compareOne(ctx context.Context, r *row, ours, rival *server, user, path string, headers []string) error {
	headers = append([]string{login(user, userPassword)}, headers...)
	return l.compare(r,
		l.askedByWrk(ctx, ours.url(path), headers, ours.process),
		l.askedByWrk(ctx, rival.url(path), headers, rival.process))
}

// decisionLogRow compares sidekey with every decision logged to a file and sidekey with none logged.
func decisionLogRow() measurement {
	return measurement{
		row:   row{Name: "decisionlog", Text: `log.decisions = "all" against "none"`, Unit: "requests/s"},
		needs: []string{"wrk"},
		measure: func(ctx context.Context, l *lab, r *row) error {
			dir, err := l.newDatabase(ctx, few, benchSession)
			if err != nil {
				return err
			}
			logged, err := l.sidekey(ctx, dir, "all")
			if err != nil {
				return err
			}
			defer logged.stop()
			return l.withSidekey(ctx, few, func(quiet *server) error {
				return l.compareOne(ctx, r, logged, quiet, oneUser, envoyPath, []string{forwardedFor})
			})
		},
	}
}
