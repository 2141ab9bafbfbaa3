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

// guard decides which requests the admin listener serves at all.
//
// A web page in a browser on this machine can send requests here: under a name of its own by DNS
// rebinding, or to another site without seeing the answer. So Host must be a loopback name or a
// configured one, Origin and Sec-Fetch-Site must not be those of another site, and no GET changes
// anything (Caddy CVE-2026-27589, MCP SDKs CVE-2025-66414).
type guard struct {
	secrets atomic.Pointer[[maxSecrets][sha256.Size]byte] // digests
	hosts   []string
	scheme  string // of Origin: "http" or "https"

	wrong    time.Duration // by how much the answer to a wrong secret is delayed
	awaiting atomic.Int64  // answers that are being delayed
}

// maxAwaiting bounds the answers to wrong secrets that are delayed at once. Further wrong secrets are
// refused immediately, with 429.
const maxAwaiting = 64

// setSecrets replaces the secrets, one or two, that the guard accepts.
func (g *guard) setSecrets(secrets []string) {
	var digests [maxSecrets][sha256.Size]byte
	for i := range digests {
		digests[i] = sha256.Sum256([]byte(secrets[min(i, len(secrets)-1)]))
	}
	g.secrets.Store(&digests)
}

// openOnLoopback lists the pages that callers on this machine may read without the secret. Without it
// the pages reveal neither the configuration nor the names of users.
var openOnLoopback = []string{"/healthz", "/readyz", "/hello", "/metrics"}

// isOpen reports whether a caller may read a path without the secret. From anywhere, that is a proof,
// which clients read before they send the secret. On this machine, it is also openOnLoopback and the
// files of the web page. These contain no data: the page loads it with the secret that the operator
// types in.
func isOpen(path string, onThisMachine bool) bool {
	if strings.HasPrefix(path, proof.Path+"/") {
		return true
	}
	_, ofPage := web.Files[path]
	return onThisMachine && (ofPage || slices.Contains(openOnLoopback, strings.TrimSuffix(path, "/")))
}

// check returns an error if the request must be refused. trusted reports whether the request carries
// a right secret; if there is no error, it is false only for an open page.
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

// allows reports whether a Host header names this listener: localhost, a loopback address, or a
// configured name, with any port.
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

// fromThisMachine reports whether a connection comes from this machine: from a loopback address, over
// a unix socket, or from the same address that it goes to. The kernel drops packets of other machines
// whose source is one of its own addresses.
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

// holdBack delays the answer to a wrong secret, to slow down guessing. It returns false at once if
// too many answers are being delayed. A right secret is never delayed.
func (g *guard) holdBack() bool {
	defer g.awaiting.Add(-1)
	if g.awaiting.Add(1) > maxAwaiting {
		return false
	}
	time.Sleep(g.wrong)
	return true
}

// secretHeaders are the headers that may carry the secret.
var secretHeaders = []string{"Authorization", "X-Tyk-Authorization"}

// showsSecret reports whether the request carries any secret, right or wrong.
func (g *guard) showsSecret(header *fasthttp.RequestHeader) bool {
	return slices.ContainsFunc(secretHeaders, func(name string) bool { return len(header.Peek(name)) > 0 })
}

// knowsSecret reports whether the request carries a right secret, in exactly one header. It compares
// digests, so that response times reveal neither the right secret nor its length.
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
