//go:build linux

package main

import (
	"context"
	"fmt"
)

// usersRows compare many users with the bare handler, for each number of them stored: of
// those some are active and ask, uniformly or by Zipf's law.
func usersRows(stored []int) (list []measurement) {
	for _, n := range stored {
		for _, law := range []string{"uniform", "zipf"} {
			list = append(list, measurement{
				row: row{Name: fmt.Sprintf("users/%d/%s", n, law), Text: "many users against the bare handler", Unit: "requests/s"},
				measure: func(ctx context.Context, l *lab, r *row) error {
					return l.withBare(ctx, n, func(ours, bare *server) error {
						active := min(n, l.active)
						r.Text = fmt.Sprintf("%d of %d users against the bare handler", active, n)
						if err := activate(ctx, ours, active); err != nil {
							return err
						}
						return l.compareMany(ctx, r, ours, bare, active, draw(law, active, drawn))
					})
				},
			})
		}
	}
	return list
}

// storedRow compares the most users stored with the fewest, while as many of them ask.
func storedRow(stored []int) measurement {
	fewest, most := stored[0], stored[len(stored)-1]
	return measurement{
		row: row{Name: "stored", Text: fmt.Sprintf("%d users stored against %d", most, fewest), Unit: "requests/s", AtLeast: 0.9},
		measure: func(ctx context.Context, l *lab, r *row) error {
			active := min(fewest, l.active)
			return l.withSidekey(ctx, most, func(large *server) error {
				return l.withSidekey(ctx, fewest, func(small *server) error {
					for _, s := range []*server{large, small} {
						if err := activate(ctx, s, active); err != nil {
							return err
						}
					}
					return l.compareMany(ctx, r, large, small, active, draw("uniform", active, drawn))
				})
			})
		},
	}
}

// hotRow compares one user on all connections with as many as are active.
func hotRow() measurement {
	return measurement{
		row: row{Name: "hot", Text: "one user on all connections against many users", Unit: "requests/s", AtLeast: 0.9},
		measure: func(ctx context.Context, l *lab, r *row) error {
			return l.withSidekey(ctx, l.active, func(s *server) error {
				if err := activate(ctx, s, l.active); err != nil {
					return err
				}
				list := requests(l.active)
				return l.compare(r,
					l.askedByUsers(ctx, s, list, []uint32{0}),
					l.askedByUsers(ctx, s, list, draw("uniform", l.active, drawn)))
			})
		},
	}
}

// quotaRow compares many users who have a quota with as many who have none: quotas are
// reserved on disk.
func quotaRow() measurement {
	return measurement{
		row: row{Name: "quota", Text: "many users with a quota against as many without", Unit: "requests/s"},
		measure: func(ctx context.Context, l *lab, r *row) error {
			session := benchSession
			session.QuotaMax = -1
			dir, err := l.newDatabase(ctx, l.active, session)
			if err != nil {
				return err
			}
			without, err := l.sidekey(ctx, dir, "none")
			if err != nil {
				return err
			}
			defer without.stop()
			return l.withSidekey(ctx, l.active, func(with *server) error {
				for _, s := range []*server{with, without} {
					if err := activate(ctx, s, l.active); err != nil {
						return err
					}
				}
				return l.compareMany(ctx, r, with, without, l.active, draw("uniform", l.active, drawn))
			})
		},
	}
}

// compareMany compares two servers that the same users ask in the same order.
func (l *lab) compareMany(ctx context.Context, r *row, ours, rival *server, users int, order []uint32) error {
	list := requests(users)
	return l.compare(r, l.askedByUsers(ctx, ours, list, order), l.askedByUsers(ctx, rival, list, order))
}

// askedByUsers has the generator ask on all connections, as fast as it is answered.
func (l *lab) askedByUsers(ctx context.Context, s *server, list [][]byte, order []uint32) side {
	return side{[]*process{s.process}, func() (load, error) {
		done, err := generator{addr: s.addr, requests: list, order: order, connections: l.connections, length: l.time}.run(ctx)
		return load{done.perSecond(), len(done.latencies)}, err
	}}
}
