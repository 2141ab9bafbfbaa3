// Flood sends wrong passwords to the real program at a given rate and measures how this affects
// other users.
//
//	go run ./bench/flood [-rounds N] [-time D] [-rate N] [-names N] [-spread D] [-procs N] [-nice N]
//
// Users whose passwords are remembered send requests at a steady rate, however long the answers
// take. In turns, there are no other requests ("quiet"), or connections of many client addresses
// send wrong passwords, each only once, for existing and unknown names ("flood"). During the flood,
// users who have not logged in yet arrive, each from an address of its own.
//
// Flood then sends -names unknown names, and measures how much memory and file content they add.
//
// At the end it sends guesses for the time -spread, each from another /64. At the same time, there
// are requests of remembered users, of users whose remembered password expires between their
// requests, and of users who log in for the first time.
//
// Everything runs on one machine. The guesses come from another process with a nice value, so that
// its work does not slow down sidekey. The exit status is 1 if a promise of docs/security.md is
// broken.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

type options struct {
	rounds int
	time   time.Duration // length of the quiet and of the flood in each round
	rate   int           // guesses per second
	names  int
	spread time.Duration // length of the flood in which each guess has a new network
	procs  int           // GOMAXPROCS of sidekey; 0 = not set
	nice   int           // nice value of the guessing process
	judge  bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == guessCommand {
		if err := guessAsTold(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "flood:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 9, "rounds of quiet and flood")
	flag.DurationVar(&o.time, "time", 5*time.Second, "length of each quiet and each flood")
	flag.IntVar(&o.rate, "rate", 5000, "wrong passwords per second")
	flag.IntVar(&o.names, "names", 1_000_000, "number of unknown names to send")
	flag.DurationVar(&o.spread, "spread", time.Minute, "length of the flood in which each guess has a new network; 0: none")
	flag.IntVar(&o.procs, "procs", 0, "GOMAXPROCS of sidekey; 0: not set")
	flag.IntVar(&o.nice, "nice", 10, "nice value of the guessing process")
	flag.BoolVar(&o.judge, "judge", true, "fail if a promise is BROKEN; switch it off for runs that are shorter or slower than the defaults, which are not reliable enough")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var v verdicts
	err := o.run(ctx, &v)
	if err == nil && o.spread > 0 {
		err = o.runSpread(ctx, &v)
	}
	if o.judge {
		err = errors.Join(err, v.broken)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

// The promises of docs/security.md. One of maxRatio and maxP99 is enough.
const (
	maxRatio    = 2                    // p99 during the flood divided by p99 during the quiet
	maxP99      = 5 * time.Millisecond // p99 during the flood
	maxNewcomer = 2 * time.Second      // until a user who has not logged in yet is admitted
	maxLapsed   = time.Second          // until a user whose remembered password has expired is admitted
	maxGrowth   = 16 << 10             // memory that the unknown names add, in KiB
)

// verdicts collects the broken promises.
type verdicts struct{ broken error }

// say prints a result, and records it if a promise does not hold.
func (v *verdicts) say(holds bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !holds {
		v.broken = errors.Join(v.broken, errors.New(text))
		text += "  BROKEN"
	}
	fmt.Println(text)
}

// remembered judges how a flood affects remembered users.
func (v *verdicts) remembered(of string, quiet, flood time.Duration, ratio float64, refused int) {
	v.say(ratio <= maxRatio || flood <= maxP99, "remembered users, %s: p99 quiet %v, flood %v, ratio %.2f", of, round(quiet), round(flood), ratio)
	v.say(refused == 0, "remembered users refused: %d", refused)
}

// begin logs in the regular users and starts the guessing process.
func (o options) begin(ctx context.Context, p *program) (*regulars, *guessing, error) {
	remembered, err := login(p.addr)
	if err != nil {
		remembered.close()
		return nil, nil, err
	}
	guesses, err := startGuessing(ctx, p.addr, o.nice)
	if err != nil {
		remembered.close()
		return nil, nil, err
	}
	return remembered, guesses, nil
}

func (o options) run(ctx context.Context, v *verdicts) error {
	if o.rounds == 0 {
		return nil
	}
	p, err := serve(ctx, o, "24h")
	if err != nil {
		return err
	}
	defer p.stop()
	remembered, guesses, err := o.begin(ctx, p)
	if err != nil {
		return err
	}
	defer remembered.close()
	defer guesses.stop()

	var quiet, flood []time.Duration // p99 of each round
	var ratios []float64
	var newcomers []time.Duration
	refused, guessed, before := 0, 0, p.metrics()
	for range o.rounds {
		calm := remembered.ask(ctx, o.time)
		stop := guesses.begin(task{rate: o.rate})
		time.Sleep(time.Second) // until all connections are open
		storm := make(chan asked)
		go func() { storm <- remembered.ask(ctx, o.time) }()
		for range 3 {
			took, err := p.newcomer(len(newcomers))
			if err != nil {
				return err
			}
			newcomers = append(newcomers, took)
		}
		stormy := <-storm
		guessed += stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		quiet, flood = append(quiet, calm.p99()), append(flood, stormy.p99())
		ratios = append(ratios, float64(stormy.p99())/float64(calm.p99()))
		refused += calm.refused + stormy.refused
		fmt.Printf("quiet p50 %8v p99 %8v   flood p50 %8v p99 %8v   of %d and %d\n", round(calm.median()), round(calm.p99()), round(stormy.median()), round(stormy.p99()), len(calm.took), len(stormy.took))
	}
	after := p.metrics()
	hashed := after.hashed - before.hashed
	perSecond := float64(guessed) / (float64(o.rounds) * (o.time + time.Second).Seconds())
	fmt.Printf("%d guesses, %.0f per second: %d hashed, %d refused without hashing (%d busy, %d too many failures)\n",
		guessed, perSecond, hashed-len(newcomers), after.refused()-before.refused(), after.busy-before.busy, after.tooMany-before.tooMany)

	slices.Sort(newcomers)
	ratio := median(ratios)
	v.remembered(fmt.Sprintf("medians of %d rounds", o.rounds), median(quiet), median(flood), ratio, refused)
	v.say(newcomers[len(newcomers)-1] <= maxNewcomer, "users who had not logged in yet: median %v, longest %v of %d", round(median(newcomers)), round(newcomers[len(newcomers)-1]), len(newcomers))
	// A guess that is being answered during the counting may count on either side.
	v.say(hashed+after.refused()-before.refused() >= guessed, "guesses neither hashed nor refused: %d", max(0, guessed-hashed-after.refused()+before.refused()))

	guesses.begin(task{rate: o.rate, names: min(20*o.rate, o.names)})() // so that the fixed cost of the first guesses is not measured
	resident, files := p.residentKiB(), p.files()
	sent := guesses.begin(task{names: o.names})()
	grown := p.residentKiB() - resident
	v.say(grown <= maxGrowth, "%d unknown names added %d KiB of memory", sent, grown)
	v.say(p.files() == files, "files: %s", files)
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func median[T time.Duration | float64](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
