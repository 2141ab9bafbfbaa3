//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"sidekey/auth/session"
)

// startRows measure the time from the start to the first correct answer, which is a login, with the
// lowest and the highest number of stored users.
func startRows(stored []int) (list []measurement) {
	for _, n := range slices.Compact([]int{stored[0], stored[len(stored)-1]}) {
		list = append(list, measurement{
			row: row{Name: fmt.Sprintf("start/%d", n), Text: fmt.Sprintf("start to the first correct answer, %d users stored", n), Unit: "ms", AtMost: 2000},
			measure: func(ctx context.Context, l *lab, r *row) error {
				dir, err := l.database(ctx, n)
				if err != nil {
					return err
				}
				if err := l.build(ctx); err != nil {
					return err
				}
				for range l.runs {
					began := time.Now()
					s, err := l.sidekey(ctx, dir, "none")
					if err != nil {
						return err
					}
					r.add(sample{figure: float64(time.Since(began)) / float64(time.Millisecond)})
					s.stop()
				}
				return nil
			},
		})
	}
	return list
}

// The memory of one user shows only if many log in. loginsASecond is more than bcrypt would allow;
// these users have a faster hash.
const (
	activeUsers   = 60_000
	loginsASecond = 4000
)

// memoryRows measure sidekey's resident memory without pages of files: in total, with the highest
// number of stored users and after requests of the active ones; and for each additional active user,
// without the size of the user's record.
func memoryRows(stored []int) []measurement {
	maxStored := stored[len(stored)-1]
	return []measurement{{
		row: row{Name: fmt.Sprintf("memory/%d", maxStored), Text: fmt.Sprintf("resident without the page cache, %d users stored", maxStored), Unit: "MiB", AtMost: 128},
		measure: func(ctx context.Context, l *lab, r *row) error {
			active := min(l.active, maxStored)
			r.Text += fmt.Sprintf(", %d active", active)
			return l.fresh(ctx, maxStored, func(s *server) error {
				if err := activate(ctx, s, active); err != nil {
					return err
				}
				if _, err := l.askedByUsers(ctx, s, requests(active), draw("uniform", active, drawn)).ask(); err != nil {
					return err
				}
				held, err := s.memoryKiB("RssAnon")
				r.add(sample{figure: held / 1024})
				return err
			})
		},
	}, {
		row: row{Name: "memory/user", Text: "resident per additional active user, without the record", Unit: "bytes", AtMost: 1024},
		measure: func(ctx context.Context, l *lab, r *row) error {
			record, err := recordSize(session.Record{Org: "default", User: userName(0), Session: benchSession})
			if err != nil {
				return err
			}
			return l.fresh(ctx, activeUsers, func(s *server) error {
				var held [2]float64
				counts := [2]int{activeUsers / 6, activeUsers}
				for i, n := range counts {
					if err := activateAt(ctx, s, n, loginsASecond); err != nil {
						return err
					}
					if held[i], err = s.memoryKiB("RssAnon"); err != nil {
						return err
					}
				}
				r.add(sample{figure: (held[1]-held[0])*1024/float64(counts[1]-counts[0]) - float64(record)})
				return nil
			})
		},
	}}
}

// maxFresh bounds the number of memory measurements, because their results hardly vary.
const maxFresh = 5

// fresh runs f with a newly started sidekey, l.runs times but at maxStored maxFresh times.
func (l *lab) fresh(ctx context.Context, n int, f func(*server) error) error {
	for range min(l.runs, maxFresh) {
		if err := l.withSidekey(ctx, n, f); err != nil {
			return err
		}
	}
	return nil
}

// recordSize returns the size of a user's record in the file, in bytes: version, checksum,
// generation and JSON.
func recordSize(r session.Record) (int, error) {
	text, err := json.Marshal(r, json.OmitZeroStructFields(true))
	return 1 + 4 + 8 + len(text), err
}
