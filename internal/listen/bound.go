package listen

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// listener is what a server is served on. It goes on where fasthttp would end, which takes
// every error of Accept for the last one: who opens more connections than the process may
// have files would stop the program.
type listener struct {
	net.Listener
	name string
	most int64 // connections open at once; one more is closed unanswered; 0 = not bounded here
	log  *slog.Logger

	open   atomic.Int64
	warned time.Time // of Accept alone
}

// boundListener serves at most that many connections of a listener at once; 0 = all.
func Bound(l net.Listener, name string, most int64, log *slog.Logger) net.Listener {
	return &listener{Listener: l, name: name, most: most, log: log}
}

const (
	acceptAgain = 20 * time.Millisecond // after files or memory have run out
	warnAgain   = 10 * time.Second
)

// Accept returns the next connection. Files that have run out are waited for: those who
// are connected go on, and the others stand in the system's queue.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil && l.most == 0:
			return c, nil
		case err == nil && l.open.Add(1) > l.most:
			l.open.Add(-1)
			c.Close()
			l.warn("more connections than can be served: one is closed", "most", l.most)
		case err == nil:
			return &countedConn{Conn: c, open: &l.open}, nil
		case runOut(err):
			l.warn("no connection can be accepted for now", "error", err)
			time.Sleep(acceptAgain)
		default:
			return nil, err
		}
	}
}

func (l *listener) warn(text string, args ...any) {
	if time.Since(l.warned) < warnAgain {
		return
	}
	l.warned = time.Now()
	l.log.Warn(text, append([]any{"listener", l.name}, args...)...)
}

// runOut reports errors that end by themselves when others let go of what they hold.
func runOut(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// countedConn is a connection of a listener that bounds them.
type countedConn struct {
	net.Conn
	open   *atomic.Int64
	closed sync.Once
}

func (c *countedConn) Close() error {
	c.closed.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// spareFiles are kept for the database, the configuration, the admin listener and those
// who are told that there is no room for them.
const spareFiles = 200

// roomFor returns how many connections of the check listener can be served where most are
// configured: no more than the process may have files.
func RoomFor(most int, log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= uint64(most)+spareFiles {
		return most
	}
	room := max(1, int(limit.Cur)-spareFiles, int(limit.Cur)/2)
	log.Info("fewer connections are served than configured: the process may not have more files (LimitNOFILE, ulimit -n)", "check.max_connections", most, "served", room, "files", limit.Cur)
	return room
}
