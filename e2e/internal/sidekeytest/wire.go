package sidekeytest

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

	"sidekey/internal/testutil"
)

// The two ends of the wire with a proxy in the middle: a client that sends its request byte for
// byte, and an application that records what it received unchanged. net/http does neither: it
// cleans paths and folds header names.

// Message is a request, as the client sends it or as the application received it.
type Message struct {
	Method string
	Target string   // as it stands in the request line
	Header []string // "Name: value"
	Body   string
}

// Get returns a GET of target with these headers.
func Get(target string, header ...string) Message {
	return Message{Method: "GET", Target: target, Header: header}
}

// Values returns the values of every header with that name, in any case.
func (m Message) Values(name string) []string {
	var values []string
	for _, line := range m.Header {
		if n, v, _ := strings.Cut(line, ":"); strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

// Answer is what the client received.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

func (a Answer) String() string { return fmt.Sprintf("%d %v %s", a.Status, a.Header, a.Body) }

// Send sends a request on a connection of its own and reads the answer. It adds a Host header if
// the request has none. ok is false if the proxy closes the connection without an answer.
func Send(t *testing.T, addr string, m Message) (a Answer, ok bool) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * testutil.Patience)) // Traefik waits 30 s for sidekey

	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\n", m.Method, m.Target)
	if len(m.Values("Host")) == 0 {
		text.WriteString("Host: localhost\r\n")
	}
	for _, line := range m.Header {
		text.WriteString(line + "\r\n")
	}
	if m.Body != "" {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(m.Body))
	}
	text.WriteString("Connection: close\r\n\r\n" + m.Body)
	// A refusal may come, and the connection go, before all was sent.
	_, sendErr := io.WriteString(c, text.String())

	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: m.Method})
	if err != nil {
		t.Logf("no answer to %s %.100q: %v, %v", m.Method, m.Target, sendErr, err)
		return Answer{}, false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %.100q: body of the answer: %v", m.Method, m.Target, err)
	}
	return Answer{response.StatusCode, response.Header, string(body)}, true
}

// Upstream is the application behind the proxy.
type Upstream struct {
	Addr string

	mu   sync.Mutex
	seen []Message
}

// StartUpstream starts an application that answers everything with 200 and "welcome".
func StartUpstream(t *testing.T) *Upstream {
	t.Helper()
	u := &Upstream{}
	u.Addr = ServeEach(t, func(c net.Conn) { u.serve(t, c) })
	return u
}

// ServeEach listens until the test ends, calls serve for each connection on a goroutine of its
// own, and returns the address.
func ServeEach(t *testing.T, serve func(net.Conn)) (addr string) {
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
func (u *Upstream) serve(t *testing.T, c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Patience))
	m, err := ReadMessage(bufio.NewReader(c))
	if m.Method == "" && err != nil {
		return // a connection without a request
	}
	u.mu.Lock()
	u.seen = append(u.seen, m)
	u.mu.Unlock()
	if err != nil {
		t.Errorf("the application got a request that it cannot read: %v after %.300q", err, m)
	}
	body := "welcome"
	if m.Method == "HEAD" {
		body = ""
	}
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n%s", body)
}

func ReadMessage(r *bufio.Reader) (m Message, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return m, err
	}
	first, last := strings.IndexByte(line, ' '), strings.LastIndexByte(line, ' ')
	if first == last {
		return Message{Method: "?", Target: line}, fmt.Errorf("request line %q", line)
	}
	m.Method, m.Target = line[:first], line[first+1:last]
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return m, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		m.Header = append(m.Header, line)
	}
	var body io.Reader
	if strings.Join(m.Values("Transfer-Encoding"), ",") == "chunked" {
		body = httputil.NewChunkedReader(r)
	} else {
		length, _ := strconv.ParseInt(strings.Join(m.Values("Content-Length"), ","), 10, 64)
		body = io.LimitReader(r, length)
	}
	text, err := io.ReadAll(body)
	m.Body = string(text)
	return m, err
}

// Take returns the requests that arrived since the last call.
func (u *Upstream) Take() []Message {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}
