//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"sidekey/auth/session"
	"sidekey/store/bolt"
)

// writesRows compare acknowledged writes of users' records with bare bbolt: a program that puts all
// waiting writes into one transaction, with keys and values of the same size, and acknowledges them.
func writesRows() (list []measurement) {
	for _, writers := range []int{1, 64, 256} {
		m := measurement{row: row{Name: fmt.Sprintf("writes/%d", writers), Text: fmt.Sprintf("acknowledged user writes, %d at a time, against bare bbolt", writers), Unit: "writes/s"}}
		if writers == 64 {
			m.row.AtLeast = 0.8
		}
		m.measure = func(ctx context.Context, l *lab, r *row) error {
			return l.inTurns(r,
				func() (sample, error) { return l.inNewFolder(ctx, writers, writeRecords) },
				func() (sample, error) { return l.inNewFolder(ctx, writers, writeBare) })
		}
		list = append(list, m)
	}
	return list
}

// garbagePercent is the GOGC value that sidekey sets while it uses little memory. It applies to both
// sides of these rows, because both run in this process.
const garbagePercent = 200

// inNewFolder runs write in a new folder and removes the folder afterwards.
func (l *lab) inNewFolder(ctx context.Context, writers int, write func(dir string, w writeLoad) (float64, error)) (sample, error) {
	dir, err := os.MkdirTemp(l.dir, "writes")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir)
	defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
	perSecond, err := write(dir, writeLoad{ctx, writers, l.time})
	return sample{figure: perSecond}, err
}

// writtenSession is the session that the writers write. Bare bbolt writes values of the same size.
var writtenSession = session.Session{
	OrgID: "default", Alias: "Benchmark User", Tags: []string{"edge", "edge-eu"},
	Rate: 100, Per: 60, QuotaMax: 1_000_000, QuotaRenewalRate: 86_400,
	AccessRights: map[string]session.Right{"orders": {APIID: "orders", Versions: []string{"Default"}}},
	BasicAuth:    session.BasicAuth{Password: "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W", HashType: "bcrypt"},
}

// writeLoad is a number of concurrent writers and the time that they write for.
type writeLoad struct {
	ctx     context.Context
	writers int
	length  time.Duration
}

// run lets each writer write the records of its own users repeatedly, and returns the number of
// acknowledged writes per second.
func (l writeLoad) run(write func(user string) error) (perSecond float64, err error) {
	var count atomic.Int64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	start := time.Now()
	for w := range l.writers {
		group.Go(func() {
			for n := 0; time.Since(start) < l.length && l.ctx.Err() == nil; n++ {
				if err := write(userName(w*1000 + n%1000)); err != nil {
					failed.Store(&err)
					return
				}
				count.Add(1)
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return float64(count.Load()) / time.Since(start).Seconds(), nil
}

func writeRecords(dir string, l writeLoad) (perSecond float64, err error) {
	s, err := bolt.Open(filepath.Join(dir, "sidekey.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return l.run(func(user string) error {
		_, err := s.Update("default", user, func(*session.Record) (*session.Record, error) {
			return &session.Record{Org: "default", User: user, Session: writtenSession}, nil
		})
		return err
	})
}

// bareWrite is a write that waits for its commit.
type bareWrite struct {
	key, value []byte
	done       chan error
}

func writeBare(dir string, l writeLoad) (perSecond float64, err error) {
	db, err := bbolt.Open(filepath.Join(dir, "bare.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, InitialMmapSize: 64 << 20})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	size, err := recordSize(session.Record{Org: "default", User: userName(0), Session: writtenSession})
	if err != nil {
		return 0, err
	}
	bucket := []byte("users")
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	}); err != nil {
		return 0, err
	}
	queue := make(chan bareWrite, l.writers)
	var group sync.WaitGroup
	group.Go(func() {
		for first := range queue {
			batch := []bareWrite{first}
			for more := true; more; {
				select {
				case w, open := <-queue:
					if more = open; open {
						batch = append(batch, w)
					}
				default:
					more = false
				}
			}
			err := db.Update(func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucket)
				for _, w := range batch {
					if err := b.Put(w.key, w.value); err != nil {
						return err
					}
				}
				return nil
			})
			for _, w := range batch {
				w.done <- err
			}
		}
	})
	perSecond, err = l.run(func(user string) error {
		w := bareWrite{[]byte("default\x00" + user), make([]byte, size), make(chan error, 1)}
		queue <- w
		return <-w.done
	})
	close(queue)
	group.Wait()
	return perSecond, err
}
