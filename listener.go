package main

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// patientListener waits where there is no file descriptor, or no memory, for one more
// connection: fasthttp's server would take that for the end of the listener. Those who are
// connected already are served meanwhile.
type patientListener struct {
	net.Listener
	log *slog.Logger
}

// acceptAgain is how long a listener waits before it tries again.
const acceptAgain = 50 * time.Millisecond

func (l patientListener) Accept() (net.Conn, error) {
	for said := false; ; time.Sleep(acceptAgain) {
		conn, err := l.Listener.Accept()
		if !exhausted(err) {
			return conn, err
		}
		if !said {
			said = true
			l.log.Error("no further connections can be accepted for now", "address", l.Addr().String(), "error", err)
		}
	}
}

func exhausted(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
