package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/store"
)

// writers is how many wait for their write to be acknowledged at a time.
const writers = 64

// measureWrites compares acknowledged writes of users' records with what bbolt can do for
// a program that does nothing else: takes all that waits into one transaction, puts values
// of the same size under keys of the same size, and acknowledges them.
func measureWrites(o options, dir string) (row, error) {
	r := row{Name: fmt.Sprintf("acknowledged user writes, %d writers", writers), Unit: "writes/s"}
	for i := range o.runs + 1 { // the first turn is not counted
		ours, err := writeRecords(filepath.Join(dir, fmt.Sprintf("writes%d", i)), o.time)
		if err != nil {
			return r, err
		}
		bare, err := writeBare(filepath.Join(dir, fmt.Sprintf("bare%d", i)), o.time)
		if err != nil {
			return r, err
		}
		if i > 0 {
			r.Sidekey, r.Rival = append(r.Sidekey, ours), append(r.Rival, bare)
		}
	}
	r.finish()
	return r, nil
}

// benchSession is what both write, as sidekey would encode it.
var benchSession = auth.Session{
	OrgID: "default", Alias: "Benchmark User", Tags: []string{"edge", "edge-eu"},
	Rate: 100, Per: 60, QuotaMax: 1_000_000, QuotaRenewalRate: 86_400,
	AccessRights: map[string]auth.Right{"orders": {APIID: "orders", Versions: []string{"Default"}}},
	BasicAuth:    auth.BasicAuth{Password: "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W", HashType: "bcrypt"},
}

// recordSize returns what a user's record takes in the file: version, checksum,
// generation and JSON.
func recordSize() (int, error) {
	text, err := json.Marshal(auth.Record{Org: "default", User: userName(1), Session: benchSession}, json.OmitZeroStructFields(true))
	return 1 + 4 + 8 + len(text), err
}

// load has each writer write its users' records again and again, and returns how many
// writes were acknowledged a second.
func load(length time.Duration, write func(user string) error) (perSecond float64, err error) {
	var count atomic.Int64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	start := time.Now()
	for w := range writers {
		group.Go(func() {
			for n := 0; time.Since(start) < length; n++ {
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
	return float64(count.Load()) / time.Since(start).Seconds(), nil
}

func writeRecords(dir string, length time.Duration) (perSecond float64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	s, err := store.Open(filepath.Join(dir, "sidekey.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return load(length, func(user string) error {
		_, err := s.Update("default", user, func(*auth.Record) (*auth.Record, error) {
			return &auth.Record{Org: "default", User: user, Session: benchSession}, nil
		})
		return err
	})
}

// bareWrite is one write that waits for its commit.
type bareWrite struct {
	key, value []byte
	done       chan error
}

func writeBare(dir string, length time.Duration) (perSecond float64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	db, err := bbolt.Open(filepath.Join(dir, "bare.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, InitialMmapSize: 64 << 20})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	size, err := recordSize()
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
	queue := make(chan bareWrite, writers)
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
	perSecond, err = load(length, func(user string) error {
		w := bareWrite{[]byte("default\x00" + user), make([]byte, size), make(chan error, 1)}
		queue <- w
		return <-w.done
	})
	close(queue)
	group.Wait()
	return perSecond, err
}
