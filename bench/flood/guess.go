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
)

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

// begin has it guess, so often a second or as fast as it can (0). What it returns waits for
// the end and says how many guesses were answered: with names the end is when so many names
// that nobody has were sent, without it is now.
func (g *guessing) begin(rate, names int) (stop func() int) {
	fmt.Fprintln(g.in, rate, names)
	return func() (n int) {
		if names == 0 {
			fmt.Fprintln(g.in, 0, 0)
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
		var rate, names int
		if _, err := fmt.Scanln(&rate, &names); err != nil {
			return nil // told to end
		}
		ctx, cancel := context.WithCancel(context.Background())
		if names == 0 {
			go func() {
				var end [2]int
				fmt.Scanln(&end[0], &end[1])
				cancel()
			}()
		}
		fmt.Println(guess(ctx, args[0], rate, names))
		cancel()
	}
}

// guess sends wrong passwords, no two alike: without a number of names for users and for
// names that nobody has, else for so many of the latter.
func guess(ctx context.Context, addr string, rate, names int) (answered int64) {
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
			if rate > 0 {
				every = time.Second * guessers / time.Duration(rate)
			}
			for turn := 0; ctx.Err() == nil; turn++ {
				k := sent.Add(1)
				if names > 0 && k > int64(names) {
					return
				}
				if rate > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(turn)*every + time.Duration(i)*every/guessers)))
				}
				user := fmt.Sprintf("nobody-%d-%d", salt, k)
				if names == 0 && k%2 == 0 {
					user = "user" + strconv.Itoa(rand.IntN(users))
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
