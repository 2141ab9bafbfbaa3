package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"sidekey/config"
)

// certificate is what the admin listener shows to its clients. It can be replaced while
// the listener is served.
type certificate struct {
	pair atomic.Pointer[tls.Certificate]
}

// loadCertificate reads the files that the configuration names; nil where there is no
// TLS.
func loadCertificate(c config.AdminConfig) (*certificate, error) {
	if !c.TLS() {
		return nil, nil
	}
	pair, err := readCertificate(c)
	if err != nil {
		return nil, err
	}
	cert := new(certificate)
	cert.pair.Store(pair)
	return cert, nil
}

func readCertificate(c config.AdminConfig) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("admin.tls_cert = %q, admin.tls_key = %q: %w", c.TLSCert, c.TLSKey, err)
	}
	return &pair, nil
}

// get is [tls.Config.GetCertificate].
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil }
