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
	name string
	run  func(deadline context.Context) error
}

// add makes f the next function to run. Its error gets the name in front. The deadline that f
// gets may have passed already: a part that must not be skipped allows itself some more time.
func (s *stops) add(name string, f func(deadline context.Context) error) {
	*s = append(*s, stop{name, f})
}

// run runs and forgets all functions, last to first. An error does not keep the others from
// running.
func (s *stops) run(deadline context.Context) error {
	var errs []error
	for len(*s) > 0 {
		last := (*s)[len(*s)-1]
		*s = (*s)[:len(*s)-1]
		if err := last.run(deadline); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}

// lastMoment is how long a part may take to end even if the listeners used all of
// shutdown_timeout.
const lastMoment = 250 * time.Millisecond

// extend returns a context that ends at the deadline, but not before lastMoment has passed.
func extend(deadline context.Context) (context.Context, context.CancelFunc) {
	end, _ := deadline.Deadline()
	return context.WithTimeout(context.Background(), max(time.Until(end), lastMoment))
}

// waitFor waits until end returns. If it does not by the extended deadline, because it waits for a
// disk that hangs, waitFor gives up.
func waitFor(deadline context.Context, end func()) error {
	ctx, cancel := extend(deadline)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		end()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.New("did not end within shutdown_timeout")
	}
}
