package bolt

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"sidekey/auth/session"
)

var stalls = flag.Int("stalls", 1, "rounds that BenchmarkStalls measures, of 3 s for each row")

// How long do 64 writers wait for an answer, alone and beside what an operator may do to a
// database of 60 MB? A busy disk makes writers wait in any case, so only the differences
// between the rows of alternating rounds say something.
func BenchmarkStalls(b *testing.B) {
	const users, writers = 60_000, 64
	s := mustOpen(b, newPath(b))
	name := func(i int) string { return fmt.Sprintf("user-%06d", i) }
	text := strings.Repeat("text", 200)
	s.file.Load().db.NoSync = true
	must(b, s.update(func(tx *bbolt.Tx) error {
		for i := range users {
			r := record("default", name(i), text)
			if _, err := s.putUser(tx, userKey(r.Org, r.User), &r); err != nil {
				return err
			}
		}
		return nil
	}))
	s.file.Load().db.NoSync = false
	must(b, s.file.Load().db.Sync())

	until := func(end chan struct{}, again func() error) {
		for {
			select {
			case <-end:
				return
			default:
			}
			if err := again(); err != nil {
				b.Error(err)
				return
			}
		}
	}
	backup := func(end chan struct{}, read func(io.Reader) error) {
		until(end, func() error {
			file, err := s.Backup()
			if err != nil {
				return err
			}
			// As the kernel does by itself, but not within 3 s.
			return errors.Join(file.Sync(), read(file), file.Close())
		})
	}
	slowly := func(end chan struct{}) func(io.Reader) error {
		return func(r io.Reader) error {
			for b := make([]byte, 1); ; {
				if _, err := r.Read(b); err != nil {
					return err
				}
				select {
				case <-end:
					return nil
				case <-time.After(time.Second):
				}
			}
		}
	}
	all := func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	rows := []struct {
		name   string
		beside func(end chan struct{})
	}{
		{"alone", func(end chan struct{}) { <-end }},
		{"slow readers of 3 backups", func(end chan struct{}) {
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() { backup(end, slowly(end)) })
			}
			group.Wait()
		}},
		{"backup after backup", func(end chan struct{}) { backup(end, all) }},
		{"compaction after compaction", func(end chan struct{}) {
			until(end, func() error { _, err := s.Compact(); return err })
		}},
	}
	longest, mostly := make([][]time.Duration, len(rows)), make([][]time.Duration, len(rows))
	for range *stalls {
		for i, row := range rows {
			end := make(chan struct{})
			var beside, group sync.WaitGroup
			beside.Go(func() { row.beside(end) })
			waits := make([][]time.Duration, writers)
			for w := range writers {
				group.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-end:
							return
						default:
						}
						r := record("default", name((n*7919%(users/writers))*writers+w), text)
						began := time.Now()
						if _, err := s.Update(r.Org, r.User, func(*session.Record) (*session.Record, error) { return &r, nil }); err != nil {
							b.Error(err)
							return
						}
						waits[w] = append(waits[w], time.Since(began))
					}
				})
			}
			time.Sleep(3 * time.Second)
			close(end)
			group.Wait()
			beside.Wait()
			sorted := slices.Concat(waits...)
			slices.Sort(sorted)
			longest[i] = append(longest[i], sorted[len(sorted)-1])
			mostly[i] = append(mostly[i], sorted[len(sorted)*999/1000])
			b.Logf("%-28s %6d writes, p99.9 %v, longest %v", row.name, len(sorted), mostly[i][len(mostly[i])-1], longest[i][len(longest[i])-1])
		}
	}
	median := func(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }
	b.Log("medians of the rounds:")
	for i, row := range rows {
		b.Logf("%-28s p99.9 %8v, longest %8v", row.name, median(mostly[i]).Round(time.Millisecond/10), median(longest[i]).Round(time.Millisecond/10))
	}
}
