package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// guessCommand is the first argument of the guessing process.
const guessCommand = "guess"

const (
	guessers  = 1000 // connections
	addresses = 200  // client addresses
	providers = 4    // /32 networks; with task.spread, each guess comes from another /64 of them
)

// task is a task for the guessing process. It is written on one line.
type task struct {
	rate   int  // guesses per second; 0: as fast as possible
	names  int  // number of guesses, all for unknown names; 0: until told to end, half of them for existing users
	spread bool // each guess comes from another /64
}

func (o task) String() string { return fmt.Sprint(o.rate, o.names, o.spread) }

// guessing is the guessing process. It reads one task per line and answers each with the number of
// guesses that were answered.
type guessing struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startGuessing(ctx context.Context, addr string, nice int) (*guessing, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	g := &guessing{cmd: exec.CommandContext(ctx, self, guessCommand, addr, strconv.Itoa(nice))}
	g.cmd.Stderr = os.Stderr
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g.out = bufio.NewReader(out)
	return g, g.cmd.Start()
}

func (g *guessing) stop() {
	g.in.Close()
	g.cmd.Wait()
}

// begin starts a task. The function that it returns ends the task, or waits for its end if it has a
// number of names, and returns how many guesses were answered.
func (g *guessing) begin(o task) (stop func() int) {
	fmt.Fprintln(g.in, o)
	return func() (n int) {
		if o.names == 0 {
			fmt.Fprintln(g.in, task{})
		}
		fmt.Fscanln(g.out, &n)
		return n
	}
}

// guessAsTold is the main function of the guessing process.
func guessAsTold(args []string) error {
	if len(args) != 2 {
		return errors.New("guess: must be started by flood itself")
	}
	nice, _ := strconv.Atoi(args[1])
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice); err != nil {
		return err
	}
	for {
		var o task
		if !o.scan() {
			return nil // told to end
		}
		ctx, cancel := context.WithCancel(context.Background())
		if o.names == 0 {
			go func() {
				new(task).scan()
				cancel()
			}()
		}
		fmt.Println(guess(ctx, args[0], o))
		cancel()
	}
}

func (o *task) scan() bool {
	_, err := fmt.Scanln(&o.rate, &o.names, &o.spread)
	return err == nil
}

// guess sends wrong passwords, each of them only once.
func guess(ctx context.Context, addr string, o task) (answered int64) {
	var n, sent atomic.Int64
	var group sync.WaitGroup
	salt := rand.Uint32()
	start := time.Now()
	for i := range guessers {
		group.Go(func() {
			c, err := dial(addr)
			if err != nil {
				fmt.Fprintln(os.Stderr, "guess:", err)
				return
			}
			defer c.Close()
			address := fmt.Sprintf("10.0.0.%d", i%addresses)
			var every time.Duration
			if o.rate > 0 {
				every = time.Second * guessers / time.Duration(o.rate)
			}
			for turn := 0; ctx.Err() == nil; turn++ {
				k := sent.Add(1)
				if o.names > 0 && k > int64(o.names) {
					return
				}
				if o.rate > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(turn)*every + time.Duration(i)*every/guessers)))
				}
				user := fmt.Sprintf("unknown-%d-%d", salt, k)
				if o.names == 0 && k%2 == 0 {
					user = "user" + strconv.Itoa(rand.IntN(users))
				}
				if o.spread {
					address = fmt.Sprintf("2001:db%d:%x:%x::1", k%providers, rand.Uint32()>>16, rand.Uint32()>>16)
				}
				if code, err := c.ask(address, user, strconv.FormatInt(k, 36)); err != nil || code == 200 {
					fmt.Fprintln(os.Stderr, "guess:", code, err)
					return
				}
				n.Add(1)
			}
		})
	}
	group.Wait()
	return n.Load()
}
