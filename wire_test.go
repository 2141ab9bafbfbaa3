package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The two ends of the wire that a proxy stands in: a client that sends its request
// byte for byte, and an application that keeps what it got as it came. net/http does
// neither: it cleans paths and folds header names.

// message is a request, as the client sends it or as the application got it.
type message struct {
	method string
	target string   // as it stands in the request line
	header []string // "Name: value"
	body   string
}

// get is a GET of target with these headers.
func get(target string, header ...string) message {
	return message{method: "GET", target: target, header: header}
}

// values returns the values of every header with that name, in any case.
func (m message) values(name string) []string {
	var values []string
	for _, line := range m.header {
		if n, v, _ := strings.Cut(line, ":"); strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

// answer is what the client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %v %s", a.status, a.header, a.body) }

// send sends a request on a connection of its own and reads the answer. A host is
// added where the request names none. It is not ok when the proxy closes the
// connection without an answer.
func send(t *testing.T, addr string, m message) (a answer, ok bool) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * patience)) // Traefik waits 30 s for sidekey

	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\n", m.method, m.target)
	if len(m.values("Host")) == 0 {
		text.WriteString("Host: localhost\r\n")
	}
	for _, line := range m.header {
		text.WriteString(line + "\r\n")
	}
	if m.body != "" {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(m.body))
	}
	text.WriteString("Connection: close\r\n\r\n" + m.body)
	// A refusal may come, and the connection go, before all was sent.
	_, sendErr := io.WriteString(c, text.String())

	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: m.method})
	if err != nil {
		t.Logf("no answer to %s %.100q: %v, %v", m.method, m.target, sendErr, err)
		return answer{}, false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %.100q: body of the answer: %v", m.method, m.target, err)
	}
	return answer{response.StatusCode, response.Header, string(body)}, true
}

// upstream is the application behind the proxy.
type upstream struct {
	Addr string

	mu   sync.Mutex
	seen []message
}

// startUpstream runs an application that answers everything with 200 and "welcome".
func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	u.Addr = serveEach(t, func(c net.Conn) { u.serve(t, c) })
	return u
}

// serveEach listens until the test ends, calls serve for each connection on a goroutine of
// its own, and returns the address.
func serveEach(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed: the test is over
			}
			serving.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// serve answers one request and closes the connection.
func (u *upstream) serve(t *testing.T, c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	m, err := readMessage(bufio.NewReader(c))
	if m.method == "" && err != nil {
		return // connected, and said nothing
	}
	u.mu.Lock()
	u.seen = append(u.seen, m)
	u.mu.Unlock()
	if err != nil {
		t.Errorf("the application got a request that it cannot read: %v after %.300q", err, m)
	}
	body := "welcome"
	if m.method == "HEAD" {
		body = ""
	}
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n%s", body)
}

func readMessage(r *bufio.Reader) (m message, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return m, err
	}
	first, last := strings.IndexByte(line, ' '), strings.LastIndexByte(line, ' ')
	if first == last {
		return message{method: "?", target: line}, fmt.Errorf("request line %q", line)
	}
	m.method, m.target = line[:first], line[first+1:last]
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return m, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		m.header = append(m.header, line)
	}
	var body io.Reader
	if strings.Join(m.values("Transfer-Encoding"), ",") == "chunked" {
		body = httputil.NewChunkedReader(r)
	} else {
		length, _ := strconv.ParseInt(strings.Join(m.values("Content-Length"), ","), 10, 64)
		body = io.LimitReader(r, length)
	}
	text, err := io.ReadAll(body)
	m.body = string(text)
	return m, err
}

// take returns the requests that arrived since the last call.
func (u *upstream) take() []message {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}
