package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	spreadTTL     = 10 * time.Second // how long an unused password is remembered
	lapsedUsers   = 20
	lapsedEvery   = spreadTTL + time.Second // each
	newcomerEvery = 2 * time.Second
)

// runSpread sends guesses from changing networks of a few providers, so that no address repeats.
// In the meantime, regular users always send requests and stay remembered; others send them so
// rarely that their remembered password has expired each time; and others log in for the first
// time, from networks of their own.
func (o options) runSpread(ctx context.Context, v *verdicts) error {
	p, err := serve(ctx, o, spreadTTL.String())
	if err != nil {
		return err
	}
	defer p.stop()
	for i := range lapsedUsers {
		if _, err := p.letIn(lapsed(i)); err != nil {
			return err
		}
	}
	remembered, guesses, err := o.begin(ctx, p)
	if err != nil {
		return err
	}
	defer remembered.close()
	defer guesses.stop()
	quiet := remembered.ask(ctx, max(o.spread/4, spreadTTL+time.Second))

	before, began := p.metrics(), time.Now()
	stop := guesses.begin(task{rate: o.rate, spread: true})
	var group sync.WaitGroup
	var flood asked
	var back, came visits
	group.Go(func() { flood = remembered.ask(ctx, o.spread) })
	for i := range lapsedUsers {
		group.Go(func() {
			back.every(ctx, time.Duration(i)*lapsedEvery/lapsedUsers, lapsedEvery, o.spread, func(int) (time.Duration, error) {
				return p.letIn(lapsed(i))
			})
		})
	}
	group.Go(func() {
		came.every(ctx, time.Second, newcomerEvery, o.spread, func(i int) (time.Duration, error) {
			address := fmt.Sprintf("198.%d.%d.1", 51+i/256, i%256)
			if i%2 == 0 {
				address = fmt.Sprintf("2001:dc%x::1", i)
			}
			return p.letIn(address, "newcomer"+strconv.Itoa(i))
		})
	})
	group.Wait()
	guessed := stop()
	if err := errors.Join(ctx.Err(), back.err, came.err); err != nil {
		return err
	}
	after := p.metrics()
	fmt.Printf("%d guesses from as many /64 networks, %.0f per second: %d hashed, %d refused without hashing\n",
		guessed, float64(guessed)/time.Since(began).Seconds(), after.hashed-before.hashed, after.refused()-before.refused())
	v.remembered(fmt.Sprintf("%d requests in %v", len(flood.took), o.spread), quiet.p99(), flood.p99(), float64(flood.p99())/float64(quiet.p99()), quiet.refused+flood.refused)
	back.judge(v, maxLapsed, "users whose remembered password had expired")
	came.judge(v, maxNewcomer, "users who had not logged in yet, from networks of their own")
	return nil
}

// lapsed returns a user whose remembered password expires between requests. Every second one shares
// a provider with the guesses.
func lapsed(i int) (address, user string) {
	address = fmt.Sprintf("203.%d.113.1", i)
	if i%2 == 0 {
		address = fmt.Sprintf("2001:db%d:%x::1", i%providers, i)
	}
	return address, "lapsed" + strconv.Itoa(i)
}

// visits collects how long it took until users were admitted.
type visits struct {
	mu   sync.Mutex // protects all below
	took []time.Duration
	err  error
}

// every calls letIn at a steady pace: first after first, then every every, until lasts has passed.
func (s *visits) every(ctx context.Context, first, every, lasts time.Duration, letIn func(i int) (time.Duration, error)) {
	start := time.Now()
	for i := 0; ; i++ {
		due := first + time.Duration(i)*every
		if due >= lasts || ctx.Err() != nil {
			return
		}
		time.Sleep(time.Until(start.Add(due)))
		took, err := letIn(i)
		s.mu.Lock()
		s.took, s.err = append(s.took, took), errors.Join(s.err, err)
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *visits) judge(v *verdicts, limit time.Duration, which string) {
	slices.Sort(s.took)
	if len(s.took) == 0 {
		return
	}
	longest := s.took[len(s.took)-1]
	v.say(longest <= limit, "%s: median %v, longest %v of %d", which, round(median(s.took)), round(longest), len(s.took))
}
