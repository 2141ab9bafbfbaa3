package listen

import (
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/internal/testutil"
)

// scarceListener fails with EMFILE until a time, and then is closed.
type scarceListener struct {
	until time.Time
	calls int
}

func (l *scarceListener) Accept() (net.Conn, error) {
	l.calls++
	if time.Now().Before(l.until) {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return nil, net.ErrClosed
}

func (l *scarceListener) Close() error { return nil }

func (l *scarceListener) Addr() net.Addr { return nil }

// T-98: Accept waits while files have run out, without spinning and without a log line for each
// attempt.
func TestT98AcceptGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testutil.LockedBuffer
		scarce := &scarceListener{until: time.Now().Add(25 * time.Second)}
		l := Bound(scarce, "check", 0, slog.New(slog.NewTextHandler(&log, nil)))
		if c, err := l.Accept(); c != nil || err != net.ErrClosed {
			t.Errorf("%v, %v", c, err)
		}
		if most := int(25*time.Second/acceptRetry) + 1; scarce.calls > most {
			t.Errorf("tried %d times, want at most %d", scarce.calls, most)
		}
		if n := strings.Count(log.String(), "cannot accept a connection for now"); n != 3 {
			t.Errorf("%d log lines, want one every 10 s:\n%s", n, log.String())
		}
	})
}

// Connections beyond the bound are closed, and those that end make room.
func TestListenerBound(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	l := Bound(tcp, "admin", 2, slog.New(slog.DiscardHandler))
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(testutil.Patience))
		return c
	}
	dial()
	first := <-accepted
	dial()
	defer (<-accepted).Close()
	if n, err := dial().Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("one too many: %d, %v", n, err)
	}
	first.Close()
	first.Close() // counts once
	dial()
	defer (<-accepted).Close()
	if n, err := dial().Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("one too many, again: %d, %v", n, err)
	}
}
