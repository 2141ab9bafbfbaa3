package server

import (
	"context"
	"errors"
	"fmt"
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
