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

// generator is a load generator. Like wrk, it uses many connections from one thread. Unlike wrk, it
// sends each request as the next user of a list, and can send at a fixed rate.
type generator struct {
	addr        string   // IPv4 and port
	requests    [][]byte // one for each user
	order       []uint32 // indexes in requests, in the order of sending; repeated from the start
	connections int

	// rate is in requests per second. Each request then has a time at which it is due, and its
	// latency is counted from that time, even if all connections are busy: a slow server does not
	// get fewer requests. If rate is 0, each connection sends a request as soon as it has an answer.
	rate float64

	count  int           // number of requests to send
	length time.Duration // if count is 0: how long to send requests
}

// answers are the results of a generator. Any answer other than a 200 without a body is an error.
type answers struct {
	took      time.Duration
	latencies []float64 // in µs, one for each request
}

func (a answers) perSecond() float64 { return float64(len(a.latencies)) / a.took.Seconds() }

// connection is a connection to the server with at most one request at a time.
type connection struct {
	fd   int
	due  time.Duration // when the request was due, since the start
	got  int           // bytes in text
	text [4096]byte    // the answer
}

// maxSilence is the longest time without any answer before a run fails.
const maxSilence = 10 * time.Second

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
		if len(idle) < len(connections) && now-heard > maxSilence {
			return a, fmt.Errorf("%s has not answered for %v", g.addr, maxSilence)
		}
	}
}

// ended reports whether all requests have been sent.
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
		err = fmt.Errorf("only %d of %d bytes were sent", n, len(request))
	}
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	return nil
}

// receive reads the bytes that have arrived and reports whether the answer is complete.
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
		return false, fmt.Errorf("must answer 200 without body, not %q", text)
	}
	return true, nil
}
