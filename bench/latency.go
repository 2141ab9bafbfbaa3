//go:build linux

package main

import (
	"context"
	"fmt"
)

// latencyRow compares the 99.9th percentile of the latency with that of the bare handler, while
// both get half of the requests that sidekey can answer.
func latencyRow() measurement {
	return measurement{
		row: row{Name: "latency", Text: "99.9th percentile at half of the throughput against the bare handler", Unit: "µs", AtMost: 3},
		measure: func(ctx context.Context, l *lab, r *row) error {
			return l.withBare(ctx, few, func(ours, bare *server) error {
				if err := activate(ctx, ours, few); err != nil {
					return err
				}
				list, order := requests(few), draw("uniform", few, drawn)
				peak, err := l.askedByUsers(ctx, ours, list, order).ask()
				if err != nil {
					return err
				}
				r.Text = fmt.Sprintf("99.9th percentile at %.0f requests/s, half of the throughput, against the bare handler", peak.figure/2)
				paced := func(s *server) side {
					return side{[]*process{s.process}, func() (load, error) {
						done, err := generator{addr: s.addr, requests: list, order: order, connections: l.connections, rate: peak.figure / 2, length: l.time}.run(ctx)
						return load{percentile(done.latencies, 0.999), len(done.latencies)}, err
					}}
				}
				return l.compare(r, paced(ours), paced(bare))
			})
		},
	}
}
