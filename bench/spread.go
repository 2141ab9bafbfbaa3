//go:build linux

package main

import (
	"context"
	"fmt"
)

// usersRows compare requests of many users with the bare handler, for each number of users stored.
// Some of the users are active and send requests, distributed uniformly or by Zipf's law.
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

// storedRow compares the highest number of stored users with the lowest, with equally many active.
func storedRow(stored []int) measurement {
	minStored, maxStored := stored[0], stored[len(stored)-1]
	return measurement{
		row: row{Name: "stored", Text: fmt.Sprintf("%d users stored against %d", maxStored, minStored), Unit: "requests/s", AtLeast: 0.9},
		measure: func(ctx context.Context, l *lab, r *row) error {
			active := min(minStored, l.active)
			return l.withSidekey(ctx, maxStored, func(large *server) error {
				return l.withSidekey(ctx, minStored, func(small *server) error {
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

// hotRow compares one user on all connections with all active users.
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

// quotaRow compares users who have a quota, which is reserved on disk, with equally many users who
// have none.
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

// compareMany compares two servers under requests of the same users in the same order.
func (l *lab) compareMany(ctx context.Context, r *row, ours, rival *server, users int, order []uint32) error {
	list := requests(users)
	return l.compare(r, l.askedByUsers(ctx, ours, list, order), l.askedByUsers(ctx, rival, list, order))
}

// askedByUsers returns a side that gets requests on all connections, as fast as it answers them.
func (l *lab) askedByUsers(ctx context.Context, s *server, list [][]byte, order []uint32) side {
	return side{[]*process{s.process}, func() (load, error) {
		done, err := generator{addr: s.addr, requests: list, order: order, connections: l.connections, length: l.time}.run(ctx)
		return load{done.perSecond(), len(done.latencies)}, err
	}}
}
