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

// guessCommand is the first argument of the process that guesses.
const guessCommand = "guess"

const (
	guessers  = 1000 // connections
	addresses = 200  // of clients
	providers = 4    // whose /32 each guess takes a /64 of, if none comes from the same twice
)

// task is what the process is told to do, and written on one line.
type task struct {
	rate   int  // guesses a second; 0: as fast as it can
	names  int  // so many, for names that nobody has; 0: until it is told to end, and half of them for users
	spread bool // each guess comes from another /64
}

func (o task) String() string { return fmt.Sprint(o.rate, o.names, o.spread) }

// guessing is that process. It is told what to do by lines, and answers each with how many
// guesses were answered.
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

// begin has it guess. The function that it returns waits for the end, which is now unless a
// number of names was given, and returns how many guesses were answered.
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

// guessAsTold is that process's main function.
func guessAsTold(args []string) error {
	if len(args) != 2 {
		return errors.New("it is started by itself")
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

// guess sends wrong passwords, no two alike.
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
				user := fmt.Sprintf("nobody-%d-%d", salt, k)
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
