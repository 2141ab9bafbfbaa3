package proxies

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
)

// T-23: hop-by-hop headers and trailers of a client do not change the identity headers that the
// application gets. An application may be a gateway that drops the headers that Connection names,
// and it may treat trailers as headers.

// gateway is an application that obeys Connection: a net/http server that passes requests with
// httputil.ReverseProxy to another server, which records them.
type gateway struct {
	Addr string

	mu      sync.Mutex
	trailer http.Header // received by the gateway
	header  http.Header // that it passed on; nil: no request came
	body    string
}

func startGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{}
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.header, g.body = r.Header.Clone(), string(body)
	}))
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	hand := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // the trailer is complete after it
		g.mu.Lock()
		g.trailer = r.Trailer.Clone()
		g.mu.Unlock()
		r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil, nil
		hand.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	g.Addr = strings.TrimPrefix(front.URL, "http://")
	return g
}

// Take returns the headers and trailers received since the last call.
func (g *gateway) Take() (header, trailer http.Header, body string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	header, trailer, body = g.header, g.trailer, g.body
	g.header, g.trailer, g.body = nil, nil, ""
	return header, trailer, body
}

// startFront runs sidekey, the gateway and the front between them and the user ann.
func startFront(t *testing.T, f front) (addr string, g *gateway) {
	t.Helper()
	s := sidekeytest.Start(t, sidekeytest.StoryConfig)
	s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("orders"), `"alias": "Ann"`, `"tags": ["gold"]`))
	g = startGateway(t)
	return f.start(t, g.Addr, s.CheckAddr), g
}

// told returns the identity headers in a request; the application must get ann's.
func told(header http.Header) string {
	return fmt.Sprintf("%s of %s, %s, %s, Authorization %q", header["X-Auth-User"], header["X-Auth-Org"], header["X-Auth-Alias"], header["X-Auth-Tags"], header["Authorization"])
}

const ann = `[ann] of [default], [Ann], [gold], Authorization []`

func TestT23ConnectionNamesIdentity(t *testing.T) {
	for _, f := range fronts() {
		t.Run(f.name, func(t *testing.T) {
			addr, application := startFront(t, f)
			for _, header := range []string{
				"Connection: X-Auth-User",
				"Connection: x-auth-user, x-auth-org, x-auth-alias, x-auth-tags",
				"Connection: keep-alive\r\nConnection: X-Auth-User",
				"Connection: close, X-Auth-User, Upgrade",
				"Connection: Authorization",
				"Connection: Authorization, X-Auth-User\r\nX-Auth-User: evil",
				"Connection: upgrade, X-Auth-User\r\nUpgrade: h2c",
				"Connection: X-Forwarded-For, X-Forwarded-Uri, X-Forwarded-Method, X-Forwarded-Host, X-Original-URI, X-Original-Method",
				"Proxy-Connection: X-Auth-User\r\nKeep-Alive: X-Auth-User\r\nTE: trailers, X-Auth-User",
			} {
				status, _ := converse(t, addr, "GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n"+sidekeytest.Basic("ann", "pw")+"\r\n"+header+"\r\n\r\n", "")
				got, _, _ := application.Take()
				switch {
				case got != nil && told(got) != ann:
					t.Errorf("%q: the application is told %s", header, told(got))
				case got == nil && !slices.Contains([]int{400, 401, 403}, status):
					t.Errorf("%q: status %d, and nothing came to the application", header, status)
				}
			}
		})
	}
}

func TestT23Trailers(t *testing.T) {
	const evil = "x-auth-user: evil\r\nX-Auth-Alias: evil\r\nauthorization: Basic ZXZpbDplZWs=\r\nx-developer-id: evil\r\nx-note: evil\r\n"
	for _, f := range fronts() {
		t.Run(f.name, func(t *testing.T) {
			addr, application := startFront(t, f)
			check := func(what string, status int, lengthKnown bool) {
				t.Helper()
				header, trailer, body := application.Take()
				for name, values := range trailer {
					if len(values) > 0 {
						t.Errorf("%s: the trailer %s: %q came to the application", what, name, values)
					}
				}
				switch {
				case header != nil && (told(header) != ann || body != "hello"):
					t.Errorf("%s: the application is told %s with the body %q", what, told(header), body)
				case header == nil && (lengthKnown || status != http.StatusLengthRequired):
					t.Errorf("%s: status %d, and nothing came to the application", what, status)
				}
			}
			for _, announced := range []string{"", "Trailer: x-auth-user, X-Auth-Alias, authorization, x-developer-id, x-note\r\n"} {
				status, _ := converse(t, addr, "POST /orders/1 HTTP/1.1\r\nHost: localhost\r\n"+sidekeytest.Basic("ann", "pw")+"\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n"+announced+
					"\r\n5\r\nhello\r\n0\r\n"+evil+"\r\n", "")
				check(fmt.Sprintf("HTTP/1.1, %q", announced), status, false)
			}
			status, _ := converse(t, addr, "POST /orders/1 HTTP/1.1\r\nHost: localhost\r\n"+sidekeytest.Basic("ann", "pw")+"\r\nTrailer: x-auth-user\r\nContent-Length: 5\r\n\r\nhello", "")
			check("HTTP/1.1 with a length", status, true)

			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetUnencryptedHTTP2(true)
			defer transport.CloseIdleConnections()
			for _, length := range []int64{-1, 5} {
				request, err := http.NewRequest("POST", "http://"+addr+"/orders/1", io.NopCloser(strings.NewReader("hello")))
				if err != nil {
					t.Fatal(err)
				}
				request.ContentLength = length
				request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:pw")))
				request.Trailer = http.Header{"X-Auth-User": {"evil"}, "X-Auth-Alias": {"evil"}, "X-Note": {"evil"}}
				answer, err := transport.RoundTrip(request)
				if err != nil {
					t.Logf("no HTTP/2 without TLS: %v", err)
					break
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				check(fmt.Sprintf("HTTP/2, length %d", length), answer.StatusCode, length >= 0)
			}
		})
	}
}
