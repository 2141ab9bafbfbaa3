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

// boundedListener is a listener that survives errors of Accept. fasthttp treats every such error
// as final, so a client that opens more connections than the process may have files would stop
// the program.
type boundedListener struct {
	net.Listener
	name    string
	maxOpen int64 // of open connections; 0 = no bound here
	log     *slog.Logger

	open   atomic.Int64
	warned time.Time // used by Accept alone
}

// Bound returns a listener that has at most maxOpen connections open at once and closes further ones
// unanswered; maxOpen = 0 sets no bound. Its Accept waits while the process has no file or memory for
// a connection, and does not return such errors. The name is for log messages.
func Bound(l net.Listener, name string, maxOpen int64, log *slog.Logger) net.Listener {
	return &boundedListener{Listener: l, name: name, maxOpen: maxOpen, log: log}
}

const (
	acceptRetry  = 20 * time.Millisecond // after files or memory have run out
	warnInterval = 10 * time.Second
)

// Accept returns the next connection. If files have run out, it waits: existing connections keep
// working, and new ones wait in the kernel's queue.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil && l.maxOpen == 0:
			return c, nil
		case err == nil && l.open.Add(1) > l.maxOpen:
			l.open.Add(-1)
			c.Close()
			l.warn("too many connections: closed one", "max", l.maxOpen)
		case err == nil:
			return &countedConn{Conn: c, open: &l.open}, nil
		case isTemporary(err):
			l.warn("cannot accept a connection for now", "error", err)
			time.Sleep(acceptRetry)
		default:
			return nil, err
		}
	}
}

func (l *boundedListener) warn(text string, args ...any) {
	if time.Since(l.warned) < warnInterval {
		return
	}
	l.warned = time.Now()
	l.log.Warn(text, append([]any{"listener", l.name}, args...)...)
}

// isTemporary reports errors that end when the process, or another one, frees what it holds.
func isTemporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// countedConn is a connection of a boundedListener.
type countedConn struct {
	net.Conn
	open   *atomic.Int64
	closed sync.Once
}

func (c *countedConn) Close() error {
	c.closed.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// spareFiles is the number of files that connections of the check listener leave for the
// database, the configuration, the admin listener, and clients that are told there is no room.
const spareFiles = 200

// MaxConnections returns how many connections the check listener can serve: the configured
// number, or fewer if the process may not have that many files.
func MaxConnections(configured int, log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= uint64(configured)+spareFiles {
		return configured
	}
	n := max(1, int(limit.Cur)-spareFiles, int(limit.Cur)/2)
	log.Info("serving fewer connections than configured: the process may not open more files (LimitNOFILE, ulimit -n)", "check.max_connections", configured, "max", n, "files", limit.Cur)
	return n
}
