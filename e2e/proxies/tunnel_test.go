package proxies

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sidekey/e2e/internal/proxytest"
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/devproxy"
	"sidekey/internal/testutil"
)

// T-100: one decision is about one request. After an upgrade or a CONNECT that an application
// accepts, the client's bytes go to the application without further questions. So a proxy must not
// let any upgrade but a WebSocket succeed.

// front is a proxy with its example configuration, or the proxy of sidekey dev.
type front struct {
	name  string
	start func(t *testing.T, application, check string) (addr string)
}

// fronts returns all proxies that the project ships or has examples for.
func fronts() []front {
	var list []front
	for _, p := range proxytest.Proxies {
		list = append(list, front{p.Name, func(t *testing.T, application, check string) string { return p.Start(t, application, check) }})
	}
	return append(list, front{"dev", func(t *testing.T, application, check string) string {
		server := httptest.NewServer(devproxy.New(&url.URL{Scheme: "http", Host: application}, check))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}})
}

// willing is an application that switches to any protocol that it is offered, preferably h2c, even
// without Connection and HTTP2-Settings. It answers other requests, including CONNECT, with 200 and
// keeps the connection open.
type willing struct {
	Addr string

	mu       sync.Mutex
	switched []string // the protocols that it switched to
	tunneled string   // all bytes that came after a switch
	targets  []string // of all requests
}

func startWilling(t *testing.T) *willing {
	t.Helper()
	w := &willing{}
	w.Addr = sidekeytest.ServeEach(t, w.serve)
	return w
}

func (w *willing) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Patience))
	for r := bufio.NewReader(c); ; {
		m, err := sidekeytest.ReadMessage(r)
		if err != nil {
			return
		}
		offer := strings.ToLower(strings.Join(m.Values("Upgrade"), ","))
		w.mu.Lock()
		w.targets = append(w.targets, m.Method+" "+m.Target)
		w.mu.Unlock()
		if offer == "" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome")
			continue
		}
		protocol, _, _ := strings.Cut(offer, ",")
		if strings.Contains(offer, "h2c") {
			protocol = "h2c"
		}
		w.mu.Lock()
		w.switched = append(w.switched, protocol)
		w.mu.Unlock()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", protocol)
		if keys := m.Values("Sec-WebSocket-Key"); len(keys) == 1 {
			io.WriteString(c, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
		}
		io.WriteString(c, "\r\n")
		for buffer := make([]byte, 1024); ; {
			n, err := r.Read(buffer)
			w.mu.Lock()
			w.tunneled += string(buffer[:n])
			w.mu.Unlock()
			if c.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}

// Take returns the events since the last call.
func (w *willing) Take() (switched, targets []string, tunneled string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switched, targets, tunneled = w.switched, w.targets, w.tunneled
	w.switched, w.targets, w.tunneled = nil, nil, ""
	return switched, targets, tunneled
}

// converse sends first and, after the answer, second on the same connection. It returns the status
// of the first answer, or 0, and all bytes after that answer.
func converse(t *testing.T, addr, first, second string) (status int, rest string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Patience))
	io.WriteString(c, first)
	r := bufio.NewReader(c)
	method, _, _ := strings.Cut(first, " ")
	answer, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return 0, ""
	}
	if answer.StatusCode != http.StatusSwitchingProtocols && (method != http.MethodConnect || answer.StatusCode/100 != 2) {
		io.Copy(io.Discard, answer.Body)
	}
	if second == "" || answer.StatusCode >= 400 {
		return answer.StatusCode, ""
	}
	io.WriteString(c, second) // fails if the connection was closed
	buffer := make([]byte, 1024)
	n, _ := r.Read(buffer)
	return answer.StatusCode, string(buffer[:n])
}

// offers are upgrades that must not succeed except as a WebSocket.
var offers = []string{
	"Upgrade: h2c",
	"Upgrade: H2C",
	"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
	"Upgrade: websocket, h2c",
	"Upgrade: h2c, websocket",
	"Upgrade: websocket,h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
	"Upgrade: websocket\r\nUpgrade: h2c",
	"Upgrade: h2c\r\nUpgrade: websocket",
	"Upgrade: WebSocket\r\nupgrade: h2c",
	"Upgrade: websocket\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
	"Upgrade: websocket/13, h2c",
	"Upgrade: websocket;h2c",
	"Upgrade: websocket h2c",
	"Upgrade: \th2c",
	"Upgrade: TLS/1.0",
	"Upgrade: anything",
}

func TestT100OnlyWebSocketTunnels(t *testing.T) {
	for _, f := range fronts() {
		t.Run(f.name, func(t *testing.T) {
			s := sidekeytest.Start(t, sidekeytest.StoryConfig)
			s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("orders")))
			application := startWilling(t)
			addr := f.start(t, application.Addr, s.CheckAddr)
			head := func(line, header string) string {
				return line + " HTTP/1.1\r\nHost: localhost\r\n" + sidekeytest.Basic("ann", "pw") + "\r\n" + header + "\r\n"
			}
			const unasked = "GET /unasked HTTP/1.1\r\nHost: localhost\r\n\r\n"
			try := func(first string) {
				t.Helper()
				status, _ := converse(t, addr, first, unasked)
				switched, targets, tunneled := application.Take()
				for _, protocol := range switched {
					if protocol != "websocket" {
						t.Errorf("%q: the application switched to %s", first, protocol)
					}
				}
				if len(switched) == 0 && tunneled != "" || strings.Contains(strings.Join(targets, "\n"), "/unasked") {
					t.Errorf("%q: the application got %q, %q without a question", first, targets, tunneled)
				}
				if own := strings.HasPrefix(first, "CONNECT ") && status == http.StatusNotImplemented; status == 0 || status >= 500 && !own {
					t.Errorf("%q: status %d", first, status)
				}
			}
			const key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" // RFC 6455, 1.3
			for _, offer := range offers {
				for _, connection := range []string{"Connection: Upgrade, HTTP2-Settings", "Connection: upgrade", "Connection: Upgrade\r\nConnection: HTTP2-Settings", "Connection: keep-alive"} {
					try(head("GET /orders/1", connection+"\r\n"+offer+"\r\n"+key))
				}
			}
			for _, target := range []string{"localhost:80", "/orders/1", "/orders/1:80", "http://localhost/orders/1", "*"} {
				try(head("CONNECT "+target, ""))
			}

			// Clients such as Java's offer h2c with each request: the request itself passes.
			const h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
			if status, _ := converse(t, addr, head("GET /orders/1", h2c), unasked); status != http.StatusOK {
				t.Errorf("a request that offers h2c: %d", status)
			}
			application.Take()

			const websocket = "Connection: keep-alive, Upgrade\r\nUpgrade: %s\r\n" + key
			const frame = "\x81\x85\x00\x00\x00\x00hello"
			for _, name := range []string{"websocket", "WebSocket"} {
				status, echoed := converse(t, addr, head("GET /orders/1", fmt.Sprintf(websocket, name)), frame)
				switched, _, _ := application.Take()
				if status != http.StatusSwitchingProtocols || echoed != frame || strings.Join(switched, ",") != "websocket" {
					t.Errorf("%s: status %d, %q came back, the application switched to %q", name, status, echoed, switched)
				}
			}
			stranger := "GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n" + fmt.Sprintf(websocket, "websocket") + "\r\n"
			if status, _ := converse(t, addr, stranger, frame); status != http.StatusUnauthorized {
				t.Errorf("a WebSocket without credentials: %d", status)
			}
			if _, targets, _ := application.Take(); len(targets) > 0 {
				t.Errorf("a WebSocket without credentials reached the application: %q", targets)
			}
		})
	}
}
