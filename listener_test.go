package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scarce is a listener that fails with each error before it accepts.
type scarce struct {
	net.Listener
	failures []error
}

func (l *scarce) Accept() (net.Conn, error) {
	if len(l.failures) > 0 {
		err := l.failures[0]
		l.failures = l.failures[1:]
		return nil, err
	}
	return &net.TCPConn{}, nil
}

func (l *scarce) Addr() net.Addr { return &net.TCPAddr{} }

// Where descriptors or memory run out the listener waits, says so once, and goes on. Any
// other error is the server's to hear.
func TestPatientListener(t *testing.T) {
	failure := func(errno syscall.Errno) error {
		return &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)}
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		start := time.Now()
		l := patientListener{&scarce{failures: []error{
			failure(syscall.EMFILE), failure(syscall.ENFILE), failure(syscall.ENOBUFS), failure(syscall.ENOMEM),
		}}, slog.New(slog.NewTextHandler(&log, nil))}
		conn, err := l.Accept()
		if conn == nil || err != nil {
			t.Errorf("got %v, %v, want a connection", conn, err)
		}
		if took := time.Since(start); took != 4*acceptAgain {
			t.Errorf("waited %v", took)
		}
		if n := strings.Count(log.String(), "no further connections"); n != 1 {
			t.Errorf("said %d times: %s", n, log.String())
		}

		for _, err := range []error{net.ErrClosed, failure(syscall.EINVAL)} {
			l.Listener = &scarce{failures: []error{err}}
			if _, got := l.Accept(); !errors.Is(got, err) {
				t.Errorf("got %v, want %v", got, err)
			}
		}
	})
}
