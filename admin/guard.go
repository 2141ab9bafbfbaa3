package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/admin/web"
	"sidekey/internal/proof"
)

// guard decides who may talk to the admin listener at all.
//
// A page in a browser on this machine can send requests here: by DNS rebinding under
// a name of its own, or across sites without being able to read the answer. So Host
// must be a name that leads here by itself, Origin and Sec-Fetch-Site must not be
// foreign, and no GET changes anything (Caddy CVE-2026-27589, MCP SDKs
// CVE-2025-66414).
type guard struct {
	secrets atomic.Pointer[[mostSecrets][sha256.Size]byte] // digests
	hosts   []string
	scheme  string // of Origin: "http" or "https"

	wrong    time.Duration // how long the answer to a wrong secret takes
	awaiting atomic.Int64  // such answers
}

// mostAwaiting bounds the answers to wrong secrets that are held back at once.
const mostAwaiting = 64

// setSecrets lets those in that show one of secrets. There are one or two.
func (g *guard) setSecrets(secrets []string) {
	var digests [mostSecrets][sha256.Size]byte
	for i := range digests {
		digests[i] = sha256.Sum256([]byte(secrets[min(i, len(secrets)-1)]))
	}
	g.secrets.Store(&digests)
}

// openOnLoopback are the pages that need no secret from a caller on this machine. Without it
// they do not say what stands in the configuration, or who is a user.
var openOnLoopback = []string{"/healthz", "/readyz", "/hello", "/metrics"}

// isOpen reports whether a path needs no secret from a caller on this machine, or from any.
// The files of the web page hold nothing that is not in the source: what it shows, it asks
// for with the secret that is typed into it. A proof is for callers that do not send the
// secret before they have seen it.
func isOpen(path string, onThisMachine bool) bool {
	if strings.HasPrefix(path, proof.Path+"/") {
		return true
	}
	_, ofPage := web.Files[path]
	return onThisMachine && (ofPage || slices.Contains(openOnLoopback, strings.TrimSuffix(path, "/")))
}

// check returns an error if the caller may not talk to the listener. trusted reports that
// the request carries a right secret; without an error it is false only for an open page.
func (g *guard) check(ctx *fasthttp.RequestCtx, d dialect) (trusted bool, err error) {
	header := &ctx.Request.Header
	target := string(header.RequestURI())
	if !strings.HasPrefix(target, "/") {
		return false, failure(fasthttp.StatusBadRequest, "Request malformed: the request's target must be a path")
	}
	host := string(header.Host())
	if !g.allows(host) {
		return false, failure(fasthttp.StatusForbidden, "Host is not a loopback name and not one of admin.hosts")
	}
	if origins := header.PeekAll("Origin"); len(origins) > 1 || len(origins) == 1 && !strings.EqualFold(string(origins[0]), g.scheme+"://"+host) {
		return false, failure(fasthttp.StatusForbidden, "Origin is another site")
	}
	for _, site := range header.PeekAll("Sec-Fetch-Site") {
		if s := string(site); s != "same-origin" && s != "none" {
			return false, failure(fasthttp.StatusForbidden, "Sec-Fetch-Site is another site")
		}
	}
	path, _, _ := strings.Cut(target, "?")
	if isOpen(path, fromThisMachine(ctx.RemoteAddr(), ctx.LocalAddr())) && !g.showsSecret(header) {
		return false, nil
	}
	if !g.knowsSecret(header) {
		if !g.holdBack() {
			return false, failure(fasthttp.StatusTooManyRequests, "Too many wrong secrets")
		}
		if d == gateway {
			return false, failure(fasthttp.StatusForbidden, "Attempted administrative access with invalid or missing key!")
		}
		return false, failure(fasthttp.StatusUnauthorized, "Not authorised")
	}
	return true, nil
}

// allows reports whether a Host header names this listener: a loopback address or
// localhost, or one of the configured names, with any port.
func (g *guard) allows(host string) bool {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		name = h
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	name = strings.ToLower(name)
	if name == "localhost" || slices.Contains(g.hosts, name) {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// fromThisMachine reports whether a connection begins on this machine: from a loopback
// address, over a unix socket, or from the address that it leads to. The kernel drops
// packets from elsewhere that claim to come from an address of its own.
func fromThisMachine(peer, own net.Addr) bool {
	switch addr := peer.(type) {
	case *net.TCPAddr:
		to, ok := own.(*net.TCPAddr)
		return addr.IP.IsLoopback() || ok && !to.IP.IsUnspecified() && addr.IP.Equal(to.IP)
	case *net.UnixAddr:
		return true
	}
	return false
}

// holdBack slows guessing down: each wrong secret costs its sender time, a bounded number
// of them at once. A right one is never held back.
func (g *guard) holdBack() bool {
	defer g.awaiting.Add(-1)
	if g.awaiting.Add(1) > mostAwaiting {
		return false
	}
	time.Sleep(g.wrong)
	return true
}

// secretHeaders are where a secret may stand.
var secretHeaders = []string{"Authorization", "X-Tyk-Authorization"}

// showsSecret reports whether a secret is given at all, right or wrong.
func (g *guard) showsSecret(header *fasthttp.RequestHeader) bool {
	return slices.ContainsFunc(secretHeaders, func(name string) bool { return len(header.Peek(name)) > 0 })
}

// knowsSecret compares digests, so that neither the time nor the length of a wrong
// secret tells anything about the right one.
func (g *guard) knowsSecret(header *fasthttp.RequestHeader) bool {
	var given []byte
	count := 0
	for _, name := range secretHeaders {
		for _, value := range header.PeekAll(name) {
			given = value
			count++
		}
	}
	if count != 1 {
		return false
	}
	if scheme, rest, found := strings.Cut(string(given), " "); found && strings.EqualFold(scheme, "Bearer") {
		given = []byte(rest)
	}
	digest := sha256.Sum256(given)
	known := 0
	for _, secret := range g.secrets.Load() {
		known |= subtle.ConstantTimeCompare(digest[:], secret[:])
	}
	return known == 1
}
