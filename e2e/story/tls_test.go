package story

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// writeCertificate writes a certificate for 127.0.0.1 with a name, and its key.
func writeCertificate(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	testutil.WriteFile(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	testutil.WriteFile(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
}

// The admin listener with TLS, and what a reload reads again: the certificate and the secrets.
func TestAdminTLS(t *testing.T) {
	path, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	admin := testutil.FreeAddr(t)
	writeCertificate(t, dir, "first")
	testutil.WriteFile(t, dir, "secret", "the-secret-of-today\n")
	config := testutil.WriteFile(t, dir, "sidecar.toml", fmt.Sprintf(`
data_dir = "%[1]s/data"
check.listen = "%[2]s"
[admin]
listen = "%[3]s"
tls_cert = "%[1]s/cert.pem"
tls_key = "%[1]s/key.pem"
secret_file = "%[1]s/secret"
`, dir, testutil.FreeAddr(t), admin))
	p := testutil.Start(t, path, "serve", "-config", config)

	// ask returns the status and the name in the certificate.
	ask := func(secret, origin string) (status int, name string) {
		client := sidekeytest.Client(t, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true})
		request, err := http.NewRequest("GET", "https://"+admin+"/tyk/keys", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", secret)
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		answer, err := client.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		answer.Body.Close()
		return answer.StatusCode, answer.TLS.PeerCertificates[0].Subject.CommonName
	}
	want := func(secret, origin string, status int, name string) {
		t.Helper()
		if gotStatus, gotName := ask(secret, origin); gotStatus != status || gotName != name {
			t.Errorf("secret %q, origin %q: %d %s, want %d %s", secret, origin, gotStatus, gotName, status, name)
		}
	}
	reload := func(log string) {
		t.Helper()
		before := strings.Count(p.Output.String(), log)
		if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.Await(log, func() bool { return strings.Count(p.Output.String(), log) > before })
	}

	p.AwaitPort(admin)
	want("the-secret-of-today", "", 200, "first")
	want("the-secret-of-today", "https://"+admin, 200, "first")
	want("the-secret-of-today", "http://"+admin, 403, "first")
	// The commands trust the configured certificate, whatever name it is for, and use the first secret.
	// With -admin they trust the authorities of the system, and the secret is proved over TLS as
	// well (T-107).
	for secret, want := range map[string]int{"the-secret-of-today": 0, "another-secret-of-today": 1} {
		env := []string{"SIDEKEY_ADMIN_SECRET=" + secret, "SSL_CERT_FILE=" + filepath.Join(dir, "cert.pem")}
		if status, said := runIn(t, dir, env, "user", "list", "-admin", "https://"+admin); status != want || want != 0 && !strings.Contains(said, "does not know this admin secret") {
			t.Errorf("-admin https, %s: exit code %d, said\n%s", secret, status, said)
		}
	}
	list := exec.Command(path, "user", "list", "-config", config)
	if out, err := list.CombinedOutput(); err != nil {
		t.Errorf("sidekey user list: %v\n%s", err, out)
	}
	if answer, err := http.Get("http://" + admin + "/healthz"); err == nil {
		answer.Body.Close()
		t.Errorf("without TLS: %s", answer.Status)
	}

	writeCertificate(t, dir, "second")
	testutil.WriteFile(t, dir, "secret", "the-secret-of-tomorrow\nthe-secret-of-today\n")
	reload("reloaded the configuration")
	want("the-secret-of-today", "", 200, "second")
	want("the-secret-of-tomorrow", "", 200, "second")
	testutil.WriteFile(t, dir, "secret", "the-secret-of-tomorrow\n")
	reload("reloaded the configuration")
	want("the-secret-of-today", "", 403, "second")
	want("the-secret-of-tomorrow", "", 200, "second")

	// Files that cannot be read change nothing.
	for name, file := range map[string]string{"cert.pem": "no certificate", "secret": "short"} {
		before := testutil.ReadFile(t, filepath.Join(dir, name))
		testutil.WriteFile(t, dir, name, file)
		reload("the configuration was not reloaded")
		want("the-secret-of-tomorrow", "", 200, "second")
		testutil.WriteFile(t, dir, name, before)
	}
	if err := os.Remove(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	reload("the configuration was not reloaded")
	want("the-secret-of-tomorrow", "", 200, "second")
	if log := p.Output.String(); strings.Contains(log, "the-secret-of") || strings.Contains(log, "PRIVATE") {
		t.Errorf("a secret was logged:\n%s", log)
	}
}
