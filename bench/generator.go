//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// generator asks over many connections from one thread, as wrk does, but each time for
// the next user of a list, and on demand at a rate.
type generator struct {
	addr        string   // IPv4 and port
	requests    [][]byte // of each user
	order       []uint32 // of the users who are asked for; begins again at its end
	connections int

	// With a rate (requests a second) each request is due at a time of its own, and the time
	// that it takes is counted from then on, also where all connections wait for an answer:
	// who is slow is not asked less. Without, each connection asks when it has its answer.
	rate float64

	count  int           // of requests, after which it ends
	length time.Duration // or after so long, where count is 0
}

// answers are what a generator got. Any answer but 200 without a body is an error.
type answers struct {
	took      time.Duration
	latencies []float64 // µs, one for each request
}

func (a answers) perSecond() float64 { return float64(len(a.latencies)) / a.took.Seconds() }

// connection is one to the server, with at most one question at a time.
type connection struct {
	fd   int
	due  time.Duration // of the question, since the start
	got  int
	text [4096]byte // of the answer
}

// silence is how long nobody may answer.
const silence = 10 * time.Second

func (g generator) run(ctx context.Context) (a answers, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return a, fmt.Errorf("epoll: %w", err)
	}
	defer unix.Close(poll)
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return a, fmt.Errorf("timer: %w", err)
	}
	defer unix.Close(timer)
	if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, timer, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}); err != nil {
		return a, fmt.Errorf("epoll: %w", err)
	}
	connections := make([]connection, g.connections)
	idle := make([]int32, 0, g.connections)
	for i := range connections {
		c := &connections[i]
		if c.fd, err = connect(g.addr); err != nil {
			return a, fmt.Errorf("connect to %s: %w", g.addr, err)
		}
		defer unix.Close(c.fd)
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			return a, fmt.Errorf("epoll: %w", err)
		}
		idle = append(idle, int32(i))
	}

	a.latencies = make([]float64, 0, max(g.count, int(g.rate*g.length.Seconds()), 1<<18))
	events := make([]unix.EpollEvent, g.connections+1)
	start, heard := time.Now(), time.Duration(0)
	for sent := 0; ; {
		now := time.Since(start)
		due := now
		for len(idle) > 0 && !g.ended(sent, now) {
			if g.rate > 0 {
				due = time.Duration(float64(sent) / g.rate * float64(time.Second))
			}
			if due > now {
				break
			}
			c := &connections[idle[len(idle)-1]]
			idle = idle[:len(idle)-1]
			if err := c.ask(g.requests[g.order[sent%len(g.order)]], due); err != nil {
				return a, err
			}
			sent++
		}
		if g.ended(sent, now) && len(idle) == len(connections) {
			a.took = now
			return a, nil
		}
		if due > now {
			in := unix.NsecToTimespec(int64(due - now))
			if err := unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Value: in}, nil); err != nil {
				return a, fmt.Errorf("timer: %w", err)
			}
		}

		n, err := unix.EpollWait(poll, events, 100)
		if err != nil && err != unix.EINTR {
			return a, fmt.Errorf("epoll: %w", err)
		}
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		now = time.Since(start)
		for _, e := range events[:max(n, 0)] {
			if e.Fd < 0 {
				var expired [8]byte
				unix.Read(timer, expired[:])
				continue
			}
			c := &connections[e.Fd]
			whole, err := c.receive()
			if err != nil {
				return a, err
			}
			if whole {
				a.latencies = append(a.latencies, float64(time.Since(start)-c.due)/float64(time.Microsecond))
				idle = append(idle, e.Fd)
			}
			heard = now
		}
		if len(idle) < len(connections) && now-heard > silence {
			return a, fmt.Errorf("%s has not answered for %v", g.addr, silence)
		}
	}
}

// ended reports whether no further request is to be sent.
func (g generator) ended(sent int, now time.Duration) bool {
	if g.count > 0 {
		return sent == g.count
	}
	return now >= g.length
}

func connect(addr string) (fd int, err error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return 0, err
	}
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

func (c *connection) ask(request []byte, due time.Duration) error {
	c.due, c.got = due, 0
	n, err := unix.Write(c.fd, request)
	if err == nil && n < len(request) {
		err = fmt.Errorf("only %d of %d bytes were taken", n, len(request))
	}
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	return nil
}

// receive reads what has come, and reports whether the answer is whole.
func (c *connection) receive() (whole bool, err error) {
	n, err := unix.Read(c.fd, c.text[c.got:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("answer: %w", err)
	case n == 0:
		return false, fmt.Errorf("the connection was closed after %q", c.text[:c.got])
	}
	c.got += n
	text := c.text[:c.got]
	end := bytes.Index(text, []byte("\r\n\r\n"))
	switch {
	case end < 0 && c.got < len(c.text):
		return false, nil
	case !bytes.HasPrefix(text, []byte("HTTP/1.1 200 ")) || end != c.got-4:
		return false, fmt.Errorf("not a 200 without body: %q", text)
	}
	return true, nil
}
