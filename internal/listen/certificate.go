package listen

import (
	"crypto/tls"
	"sync/atomic"
)

// certificate is what the admin listener shows to its clients. It can be replaced while
// the listener is served.
type Certificate struct {
	pair atomic.Pointer[tls.Certificate]
}

// set shows another certificate from the next handshake on.
func (c *Certificate) Set(pair *tls.Certificate) { c.pair.Store(pair) }

// get is [tls.Config.GetCertificate].
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil }
