package command

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"sidekey/admin/api"
	"sidekey/config"
	"sidekey/internal/proof"
)

// The secret is sent only to the listener that -admin names: neither a redirect nor a proxy of the
// environment gets it.
func TestSecretStays(t *testing.T) {
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	listener := httptest.NewServer(provingSecret("the-secret", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer listener.Close()
	t.Setenv("HTTP_PROXY", other.URL)
	t.Setenv("http_proxy", other.URL)
	t.Setenv(secretVariable, "the-secret\n")

	var said bytes.Buffer
	c := &client{stderr: &said}
	if err := c.pointAt(listener.URL); err != nil || c.secret != "the-secret" {
		t.Fatalf("%q, %v", c.secret, err)
	}
	if err := c.do(request{method: "GET", path: "/api/users"}, nil); !isStatus(err, http.StatusTemporaryRedirect) {
		t.Errorf("a redirect: %v", err)
	}
	if len(elsewhere) > 0 {
		t.Errorf("sent elsewhere: %q", elsewhere)
	}
	for _, wrong := range []string{"", "x", "127.0.0.1:9192", "ftp://x", "http://", "http://u:p@x", "http://x/path", "http://x?q"} {
		if err := c.pointAt(wrong); err == nil {
			t.Errorf("-admin %q is taken", wrong)
		}
	}
}

// provingSecret is a listener that proves that it knows the secret, as sidekey does.
func provingSecret(secret string, next http.HandlerFunc) http.Handler {
	key := proof.NewKey(secret)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce, is := strings.CutPrefix(r.URL.Path, proof.Path+"/")
		if !is {
			next(w, r)
			return
		}
		address := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		text, err := json.Marshal(api.Proof{Address: address, Proofs: []string{key.Of(nonce, r.Host, address)}})
		if err != nil {
			panic(err)
		}
		w.Write(text)
	})
}

// A listener on all addresses is asked on this machine, with a Host header that it accepts.
func TestConfiguredListener(t *testing.T) {
	var host string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host = r.Host
		w.Header().Add("X-Sidekey-Warning", "careful")
		w.Write([]byte(`{}`))
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"127.0.0.1", "0.0.0.0", "", "[::]", "localhost"} {
		cfg := config.Default()
		cfg.Admin.Listen = listen + ":" + u.Port()
		var said bytes.Buffer
		c := &client{stderr: &said}
		if err := c.dialConfigured(cfg); err != nil {
			t.Errorf("%s: %v", listen, err)
			continue
		}
		if err := c.do(request{method: "GET", path: "/"}, &struct{}{}); err != nil || host != "localhost" || said.String() != "sidekey: warning: careful\n" {
			t.Errorf("%s: %v, Host %q, said %q", listen, err, host, said.String())
		}
		c.close()
	}
}

func TestProgress(t *testing.T) {
	var said bytes.Buffer
	p := newProgress(&said, "writing", 4) // no terminal
	p.next = time.Now()
	p.add(1)
	p.end()
	compare(t, "no terminal", said.String(), "")

	p = &progress{out: &said, what: "writing", total: 4, next: time.Now().Add(time.Hour)}
	p.add(1)
	p.end()
	compare(t, "quick", said.String(), "")

	p.next = time.Now()
	p.add(1)
	p.add(1) // too soon for another
	p.end()
	compare(t, "slow", said.String(), "\rwriting ["+strings.Repeat("#", 15)+strings.Repeat(".", 15)+"] 2 of 4\r\x1b[K")
}
