package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scarceListener has no file for a connection until the time has come, and ends then.
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

func (l *scarceListener) Close() error   { return nil }
func (l *scarceListener) Addr() net.Addr { return nil }

// T-98: files that have run out are waited for, without spinning and without a line in the
// log for each try.
func TestT98AcceptGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		scarce := &scarceListener{until: time.Now().Add(25 * time.Second)}
		l := &listener{Listener: scarce, name: "check", log: slog.New(slog.NewTextHandler(&log, nil))}
		if c, err := l.Accept(); c != nil || err != net.ErrClosed {
			t.Errorf("%v, %v", c, err)
		}
		if most := int(25*time.Second/acceptAgain) + 1; scarce.calls > most {
			t.Errorf("tried %d times, want at most %d", scarce.calls, most)
		}
		if n := strings.Count(log.String(), "no connection can be accepted for now"); n != 3 {
			t.Errorf("%d lines in the log, want one each 10 s:\n%s", n, log.String())
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
	l := &listener{Listener: tcp, most: 2, log: slog.New(slog.DiscardHandler)}
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
		c.SetDeadline(time.Now().Add(patience))
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

// T-98: with no more than 64 files the program goes on: who is connected is answered, who
// connects beyond is refused or waits, and nobody gets a wrong answer or a 5xx.
func TestT98FewFiles(t *testing.T) {
	s := startSidekey(t, listeners, "64")
	s.putUser("ann", `{"basic_auth_data":{"password":"pw"}}`)
	request := "GET /auth/nginx HTTP/1.1\r\nHost: example.com\r\nX-Original-Method: GET\r\nX-Original-URI: /\r\nX-Forwarded-For: 192.0.2.1\r\n"
	ann, nobody := request+basic("ann", "pw")+"\r\n\r\n", request+basic("nobody", "pw")+"\r\n\r\n"
	type client struct {
		net.Conn
		in *bufio.Reader
	}
	dial := func() client {
		c, err := net.Dial("tcp", s.CheckAddr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return client{c, bufio.NewReader(c)}
	}
	ask := func(c client, request string, patience time.Duration) (status int, err error) {
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, request)
		answer, err := http.ReadResponse(c.in, nil)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
		if user := answer.Header.Get("X-Auth-User"); (user == "ann") != (answer.StatusCode == 200) {
			t.Errorf("%d for %q", answer.StatusCode, user)
		}
		return answer.StatusCode, err
	}
	good := dial()
	if status, err := ask(good, ann, patience); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	statuses := make(map[string]int)
	var crowd []client
	for range 200 {
		crowd = append(crowd, dial())
	}
	for i, c := range crowd {
		request, wanted := ann, "200 403"
		if i%2 == 1 {
			request, wanted = nobody, "401 403 429"
		}
		status, err := ask(c, request, 100*time.Millisecond)
		if err != nil {
			statuses["waits"]++
			continue
		}
		statuses[fmt.Sprint(status)]++
		if !strings.Contains(wanted, fmt.Sprint(status)) {
			t.Errorf("connection %d: %d, want %s", i, status, wanted)
		}
		if status, err := ask(good, ann, patience); status != 200 || err != nil {
			t.Fatalf("who was connected before, after %d others: %d, %v", i, status, err)
		}
	}
	t.Log(statuses)
	for _, c := range crowd {
		c.Close()
	}
	// And all of it has room again.
	s.process.await("a connection is served", func() bool {
		status, err := ask(dial(), ann, time.Second)
		return status == 200 && err == nil
	})
	s.putUser("bob", `{"basic_auth_data":{"password":"pw"}}`)
	if output := s.process.output.String(); !strings.Contains(output, "fewer connections are served than configured") || strings.Contains(output, "panic") {
		t.Errorf("the log:\n%s", output)
	}
}
