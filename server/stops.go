package server

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stops are the functions that end what a Server began, in the order in which it began. They run
// in reverse, so a part stops before the parts that it uses.
type stops []stop

type stop struct {
	name    string
	run     func(ctx context.Context) error
	patient bool
}

// maxLate is how long after the deadline the last function ends at the latest.
const maxLate = 2 * time.Second

// lastMoment is how long a part may take to end even if the parts before it used all of
// shutdown_timeout, and how long it may take to return after its context has ended. It is short
// enough for maxLate to hold if every part stalls.
const lastMoment = 50 * time.Millisecond

// add makes f the next function to run. Its error gets the name in front. The context of f ends at
// the deadline, but not before f had lastMoment.
func (s *stops) add(name string, f func(ctx context.Context) error) {
	*s = append(*s, stop{name, f, false})
}

// addPatient is add for a part that loses something if a slow disk does not let it finish: its
// context ends later, when the remaining parts need the rest of maxLate.
func (s *stops) addPatient(name string, f func(ctx context.Context) error) {
	*s = append(*s, stop{name, f, true})
}

// run runs and forgets all functions, last to first. Neither an error nor a function that does not
// return, because the disk hangs, keeps the others from running.
func (s *stops) run(deadline time.Time) error {
	var errs []error
	for len(*s) > 0 {
		last := (*s)[len(*s)-1]
		*s = (*s)[:len(*s)-1]
		end := later(deadline, time.Now().Add(lastMoment))
		if last.patient {
			remaining := time.Duration(len(*s) + 1)
			end = later(end, deadline.Add(maxLate-remaining*2*lastMoment))
		}
		if err := last.endBy(end); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}

// endBy runs the function with a context that ends at end. If the function does not return within
// lastMoment after that, endBy leaves it behind.
func (s stop) endBy(end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	returned := make(chan error, 1)
	go func() { returned <- s.run(ctx) }()
	select {
	case err := <-returned:
		return err
	case <-time.After(time.Until(end) + lastMoment):
		return errors.New("did not end within shutdown_timeout")
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
