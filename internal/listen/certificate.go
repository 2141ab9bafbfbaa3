package listen

import (
	"crypto/tls"
	"sync/atomic"
)

// Certificate is the certificate of a TLS listener. [Certificate.Set] replaces it while the
// listener serves. The zero value has none: set one before the first handshake.
type Certificate struct {
	pair atomic.Pointer[tls.Certificate]
}

// Set makes all later handshakes use another certificate.
func (c *Certificate) Set(pair *tls.Certificate) { c.pair.Store(pair) }

// Get returns the current certificate, as [tls.Config.GetCertificate].
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil }
