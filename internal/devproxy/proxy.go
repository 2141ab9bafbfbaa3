// Package devproxy is a proxy in front of a service on a developer's machine that asks the check
// listener for each request, as Caddy, Traefik or HAProxy do: in dialect "forward", over HTTP. It is
// not part of the decision, and does not replace these proxies.
package devproxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Proxy passes on the requests that the check listener allows.
type Proxy struct {
	check   string // URL of the check
	asking  *http.Client
	forward *httputil.ReverseProxy
}

// New returns a proxy in front of upstream that uses the check listener at HOST:PORT.
func New(upstream *url.URL, check string) *Proxy {
	return &Proxy{
		check: "http://" + check + "/auth/forward",
		asking: &http.Client{
			Timeout:       30 * time.Second,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		forward: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(upstream)
				r.SetXForwarded()
				r.Out.Host = upstream.Host
				identify(r.Out)
			},
			FlushInterval:  -1, // streams pass unbuffered
			ModifyResponse: addLimits,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				refuse(w, http.StatusBadGateway, "the upstream does not answer: "+err.Error())
			},
		},
	}
}

// identity is the prefix of the headers that name the user to the upstream. Headers of clients with
// this prefix are dropped.
const identity = "X-Auth-"

// limitHeaders tell the client about its limits.
var limitHeaders = []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "Ratelimit-Policy", "Ratelimit"}

// answered is the context key for the answer of the check.
type answered struct{}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = withoutOtherUpgrades(r)
	answer, err := p.ask(r)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "the check listener does not answer")
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		pass(w, answer)
		return
	}
	io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<10)) // so that the connection is reused
	onward := r.WithContext(context.WithValue(r.Context(), answered{}, answer.Header))
	p.forward.ServeHTTP(w, onward)
}

// withoutOtherUpgrades returns the request with no offer to upgrade except one to WebSocket.
// A request that was decided on stays one request: sidekey is not asked about what a client
// sends in a tunnel, such as one of HTTP/2 (h2c). A server may ignore an offer (RFC 9110, 7.8).
func withoutOtherUpgrades(r *http.Request) *http.Request {
	offers := r.Header["Upgrade"]
	websocket := slices.ContainsFunc(offers, func(offer string) bool { return strings.EqualFold(offer, "websocket") })
	r = r.Clone(r.Context())
	r.Trailer = nil // it comes after the decision, under any name
	r.Header.Del("Upgrade")
	r.Header.Del("Http2-Settings")
	if websocket {
		r.Header.Set("Upgrade", "websocket")
	}
	return r
}

// identify replaces the client's identity headers by those of the answer, under any name that an
// application may confuse with them. The ReverseProxy has already removed the headers that the
// client named in Connection, so the client cannot name these.
func identify(out *http.Request) {
	answer, _ := out.Context().Value(answered{}).(http.Header)
	out.Header.Del("Authorization")
	for _, name := range tellsOfAnother {
		out.Header.Del(name)
	}
	for name := range out.Header {
		plain := http.CanonicalHeaderKey(likeDash.Replace(name))
		if _, ours := answer[plain]; strings.HasPrefix(plain, identity) || ours && !notForUpstream[plain] {
			delete(out.Header, name)
		}
	}
	for name, values := range answer {
		if !notForUpstream[name] {
			out.Header[name] = values
		}
	}
}

// tellsOfAnother are headers from which some applications take the host, the target or the method
// of a request: they would obey another request than the one that was decided on. The ReverseProxy
// removes Forwarded and X-Forwarded-Host.
var tellsOfAnother = []string{
	"X-Host", "X-Http-Host-Override", "X-Original-Host", "X-Original-Url", "X-Rewrite-Url",
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override",
}

// likeDash are characters that gateways to applications confuse with a dash.
var likeDash = strings.NewReplacer("_", "-", ".", "-")

// notForUpstream are headers of an answer that say nothing about the user. All others go to the
// upstream, so check.meta_headers need not be known here.
var notForUpstream = map[string]bool{
	"Cache-Control": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Date": true,
	"X-Ratelimit-Limit": true, "X-Ratelimit-Remaining": true, "X-Ratelimit-Reset": true, "Ratelimit-Policy": true, "Ratelimit": true,
}

// ask sends the check request of a proxy of the forward-auth family.
func (p *Proxy) ask(r *http.Request) (*http.Response, error) {
	question, err := http.NewRequestWithContext(r.Context(), http.MethodGet, p.check, nil)
	if err != nil {
		return nil, err
	}
	question.Header = r.Header.Clone()
	for _, name := range []string{"Connection", "Upgrade", "Te", "Trailer", "Transfer-Encoding", "Content-Length", "Expect"} {
		question.Header.Del(name)
	}
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, fmt.Errorf("client address %q: %w", r.RemoteAddr, err)
	}
	question.Header.Set("X-Forwarded-For", peer)
	question.Header.Set("X-Forwarded-Method", r.Method)
	question.Header.Set("X-Forwarded-Uri", r.RequestURI)
	question.Header.Set("X-Forwarded-Host", r.Host)
	return p.asking.Do(question)
}

// pass passes a refusal on unchanged.
func pass(w http.ResponseWriter, answer *http.Response) {
	for name, values := range answer.Header {
		if name != "Connection" && name != "Date" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
}

// addLimits adds the client's limits to the upstream's answer.
func addLimits(response *http.Response) error {
	answer, _ := response.Request.Context().Value(answered{}).(http.Header)
	for _, name := range limitHeaders {
		if values := answer[name]; len(values) > 0 {
			response.Header[name] = values
		}
	}
	return nil
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"error\": %q}", text)
}
