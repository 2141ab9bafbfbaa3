package admin

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"sidekey/internal/proof"
)

// T-107: a caller without the secret gets a proof for each secret, from anywhere, and nothing else: not
// for a page of another site, and not without a nonce.
func TestT107Proof(t *testing.T) {
	l := start(t)
	nonce := strings.Repeat("5f", 32)
	key := proof.NewKey(secret).Of(nonce, "localhost", "InmemoryListener")
	right := fmt.Sprintf(`{"address":"InmemoryListener","proofs":["%s"]}`+"\n", key)
	before := peer
	defer func() { peer = before }()
	for _, from := range []net.Addr{peer, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.UnixAddr{Name: "@", Net: "unix"}} {
		peer = from
		l.askAs("GET", proof.Path+"/"+nonce, "").want(t, from.String(), 200, right)
	}
	l.ask("GET", proof.Path+"/"+nonce, "").want(t, "with the secret", 200, right)
	l.askAs("GET", proof.Path+"/"+nonce, "", "Host: admin.example.com").want(t, "another host", 200,
		fmt.Sprintf(`{"address":"InmemoryListener","proofs":["%s"]}`+"\n", proof.NewKey(secret).Of(nonce, "admin.example.com", "InmemoryListener")))

	l.askAs("GET", proof.Path+"/"+nonce, "", "Authorization: wrong").want(t, "a wrong secret", 401, dashboardError("Not authorised"))
	l.askAs("GET", proof.Path+"/"+nonce, "", "Host: evil.example.com").want(t, "DNS rebinding", 403, dashboardError("Host is not a loopback name and not one of admin.hosts"))
	l.askAs("GET", proof.Path+"/"+nonce, "", "Origin: http://evil.example.com").want(t, "another site", 403, dashboardError("Origin is another site"))
	l.askAs("POST", proof.Path+"/"+nonce, "").want(t, "POST", 405, dashboardError("Method not supported"))
	for _, bad := range []string{nonce[2:], nonce + "00", strings.Repeat("x", 64), "a%0ab"} {
		if a := l.askAs("GET", proof.Path+"/"+bad, ""); a.status != 400 || !strings.Contains(a.body, "must be 64 hexadecimal digits") {
			t.Errorf("nonce %s: %v", bad, a)
		}
	}
	for _, other := range []string{proof.Path, proof.Path + "/", proof.Path + "/../apis", proof.Path + "/%2e%2e/apis", proof.Path + "/" + nonce + "/x"} {
		if a := l.askAs("GET", other, ""); a.status/100 == 2 {
			t.Errorf("%s: %v", other, a)
		}
	}

	// While a secret is being replaced, clients with either secret find their proof.
	l.handler.SetSecrets([]string{"another-secret-of-the-tests", secret})
	l.askAs("GET", proof.Path+"/"+nonce, "").want(t, "two secrets", 200,
		fmt.Sprintf(`{"address":"InmemoryListener","proofs":["%s","%s"]}`+"\n", proof.NewKey("another-secret-of-the-tests").Of(nonce, "localhost", "InmemoryListener"), key))
}

// A connection whose source and destination are the same address comes from this machine: a health check
// of a listener on one address of the machine needs no secret.
func TestFromThisMachine(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 5} }
	f := func(peer, own net.Addr, want bool) {
		t.Helper()
		if fromThisMachine(peer, own) != want {
			t.Errorf("from %v to %v: want %t", peer, own, want)
		}
	}
	f(tcp("127.0.0.1"), tcp("127.0.0.1"), true)
	f(tcp("10.0.0.1"), tcp("10.0.0.1"), true)
	f(tcp("2001:db8::1"), tcp("2001:db8::1"), true)
	f(&net.UnixAddr{Name: "@", Net: "unix"}, &net.UnixAddr{Name: "/run/a", Net: "unix"}, true)
	f(tcp("10.0.0.2"), tcp("10.0.0.1"), false)
	f(tcp("0.0.0.0"), tcp("0.0.0.0"), false)
	f(tcp("10.0.0.1"), &net.UnixAddr{Name: "x", Net: "unix"}, false)
}
