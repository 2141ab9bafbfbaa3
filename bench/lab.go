//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// lab holds what all measurements share.
type lab struct {
	options
	dir      string // for all files; removed at the end
	binary   string // path of the sidekey binary, "" until it is built
	progress io.Writer
}

func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(l.progress, "bench: "+format+"\n", args...)
}

// measureAll measures one row after the other. Each measurement starts and ends its own processes.
// A row that cannot be measured is left out and reported in the error.
func measureAll(ctx context.Context, o options, plan []measurement, progress io.Writer) (rows []row, err error) {
	dir, err := os.MkdirTemp("", "sidekey-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // NGINX's workers run as another user
		return nil, err
	}
	l := &lab{options: o, dir: dir, progress: progress}
	var failures []error
	for i, m := range plan {
		l.say("%d of %d: %s", i+1, len(plan), m.row.Name)
		r := m.row
		times := 1
		if m.closely {
			times = 3
		}
		var err error
		for range times {
			if err = m.measure(ctx, l, &r); err != nil {
				break
			}
		}
		switch {
		case ctx.Err() != nil:
			return rows, errors.Join(append(failures, errors.New("interrupted"))...)
		case err != nil:
			l.say("leaving out %s: %v", r.Name, err)
			failures = append(failures, fmt.Errorf("%s: %w", r.Name, err))
		default:
			rows = append(rows, r)
		}
	}
	return rows, errors.Join(failures...)
}

// side is one side of a comparison.
type side struct {
	processes []*process // whose processor time counts
	ask       func() (load, error)
}

// load is the result of a load generator.
type load struct {
	figure   float64 // in the row's unit
	requests int
}

// inTurns measures both sides alternately, l.runs times each. Each side goes first in every second
// turn. A turn for warming up is not counted.
func (l *lab) inTurns(r *row, ours, rival func() (sample, error)) error {
	for turn := range l.runs + 1 {
		var samples [2]sample
		for i := range samples {
			which := (turn + i) % 2
			var err error
			if samples[which], err = []func() (sample, error){ours, rival}[which](); err != nil {
				return fmt.Errorf("%s: %w", []string{"sidekey", "rival"}[which], err)
			}
		}
		if turn > 0 {
			r.addPair(samples[0], samples[1])
		}
	}
	return nil
}

// compare measures both sides in turns.
func (l *lab) compare(r *row, ours, rival side) error {
	return l.inTurns(r, ours.measure, rival.measure)
}

func (s side) measure() (sample, error) {
	before, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	done, err := s.ask()
	if err != nil {
		return sample{}, err
	}
	after, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	if done.requests == 0 {
		return sample{}, errors.New("no request was answered in time: choose longer runs (-time)")
	}
	return sample{done.figure, float64(after-before) / float64(time.Microsecond) / float64(done.requests)}, nil
}

// cpu returns the processor time that all processes of the side have used so far.
func (s side) cpu() (sum time.Duration, err error) {
	for _, p := range s.processes {
		used, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// withBare runs f while sidekey with n users and the bare handler run.
func (l *lab) withBare(ctx context.Context, n int, f func(ours, bare *server) error) error {
	return l.withSidekey(ctx, n, func(ours *server) error {
		bare, err := l.bare(ctx, ours)
		if err != nil {
			return err
		}
		defer bare.stop()
		return f(ours, bare)
	})
}

// withSidekey runs f while sidekey with n users runs. f starts when sidekey is idle.
func (l *lab) withSidekey(ctx context.Context, n int, f func(*server) error) error {
	dir, err := l.database(ctx, n)
	if err != nil {
		return err
	}
	s, err := l.sidekey(ctx, dir, "none")
	if err != nil {
		return err
	}
	defer s.stop()
	if err := s.awaitIdle(ctx); err != nil {
		return err
	}
	return f(s)
}
