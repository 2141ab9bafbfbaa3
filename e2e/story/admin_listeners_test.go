package story

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/openapitest"
	"sidekey/internal/testutil"
)

// T-70, T-71, T-72: without TLS, with TLS and on a unix socket, the admin listener refuses every
// request that a page of another site can make a browser send, and every request without the
// secret. Refused requests change nothing, and silent clients delay no other client.
func TestT70EveryListener(t *testing.T) {
	path, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	const secret = "the-secret-of-this-test"
	for _, kind := range []string{"plain", "tls", "unix"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			where := testutil.FreeAddr(t)
			listen, more := where, ""
			network, origin, other := "tcp", "http://", "https://"
			switch kind {
			case "tls":
				writeCertificate(t, dir, "sidekey")
				more = fmt.Sprintf("tls_cert = %q\ntls_key = %q\n", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
				origin, other = other, origin
			case "unix":
				network, where = "unix", filepath.Join(dir, "a.sock")
				listen = "unix:" + where
			}
			file := testutil.WriteFile(t, dir, "secret", secret+"\n")
			config := testutil.WriteFile(t, dir, "sidecar.toml", fmt.Sprintf("data_dir = %q\ncheck.listen = %q\npasswords.bcrypt_cost = 8\n[admin]\nlisten = %q\nhosts = [\"admin.example.com\"]\nsecret_file = %q\n%s",
				filepath.Join(dir, "data"), testutil.FreeAddr(t), listen, file, more))
			p := testutil.Start(t, path, "serve", "-config", config)
			dial := func() net.Conn {
				c, err := net.Dial(network, where)
				if err != nil {
					t.Fatal(err)
				}
				c.SetDeadline(time.Now().Add(testutil.Patience))
				return c
			}
			p.Await("the admin listener", func() bool {
				c, err := net.Dial(network, where)
				if err == nil {
					c.Close()
				}
				return err == nil
			})
			ask := func(method, target, body string, header ...string) (status int, text string) {
				t.Helper()
				c := dial()
				defer c.Close()
				if kind == "tls" {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				request := fmt.Sprintf("%s %s HTTP/1.1\r\n%s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, target, strings.Join(header, "\r\n"), len(body), body)
				io.WriteString(c, request)
				answer, _ := io.ReadAll(c)
				x, err := openapitest.Read(request, answer)
				if err := errors.Join(err, sidekeytest.Compare(x)); err != nil {
					t.Error(err)
				}
				fmt.Sscanf(string(answer), "HTTP/1.1 %d ", &status)
				if strings.Contains(string(answer), "Access-Control-") {
					t.Errorf("%s %s %q: another site is allowed: %s", method, target, header, answer)
				}
				return status, string(answer)
			}
			const user = `{"basic_auth_data":{"password":"pw"}}`
			f := func(status int, header ...string) {
				t.Helper()
				name := "mallory"
				if status == 200 {
					name = "ann"
				}
				for _, target := range []string{"/tyk/keys/" + name, "/api/apis/keys/basic/" + name} {
					if got, text := ask("POST", target, user, header...); got != status {
						t.Errorf("POST %s %q: %d, want %d: %s", target, header, got, status, text)
					}
				}
				if got, text := ask("GET", "/api/apis/keys", "", header...); got != status || status != 200 && strings.Contains(text, "defaultann") {
					t.Errorf("GET %q: %d, want %d: %s", header, got, status, text)
				}
			}
			const right = "Authorization: " + secret
			for _, host := range []string{"127.0.0.1", "127.0.0.1:9192", "localhost", "LOCALHOST:1", "[::1]:9192", "admin.example.com:9192"} {
				f(200, "Host: "+host, right)
				f(200, "Host: "+host, right, "Origin: "+origin+host, "Sec-Fetch-Site: same-origin")
				f(403, "Host: "+host, right, "Origin: "+other+host)
				f(403, "Host: "+host, right, "Origin: "+origin+"evil.com")
				f(403, "Host: "+host, right, "Origin: null")
				f(403, "Host: "+host, right, "Sec-Fetch-Site: cross-site")
				f(403, "Host: "+host, right, "Sec-Fetch-Site: same-site")
				f(403, "Host: "+host, right, "Origin: "+origin+host, "Sec-Fetch-Site: cross-site")
			}
			for _, host := range []string{"evil.com", "evil.com:9192", "127.0.0.1.nip.io", "localhost.", "0.0.0.0", "10.0.0.1", "localhost.evil.com", "a.sock"} {
				f(403, "Host: "+host, right)
				f(403, "Host: "+host, right, "Origin: "+origin+host, "Sec-Fetch-Site: same-origin")
			}
			// Each wrong secret costs 200 ms, so send only some.
			for _, header := range []string{"X: y", "Authorization: " + secret[1:], "Cookie: secret=" + secret, "X_Tyk_Authorization: " + secret} {
				if status, _ := ask("POST", "/api/apis/keys/basic/mallory?secret="+secret, user, "Host: localhost", header); status != 401 {
					t.Errorf("%q: %d", header, status)
				}
			}
			if status, text := ask("GET", "/api/apis/keys", "", "Host: localhost", right); status != 200 || strings.Contains(text, "mallory") || !strings.Contains(text, "defaultann") {
				t.Errorf("a user was created: %d %s", status, text)
			}

			// Clients that send nothing, and clients that send half a request.
			for i := range 200 {
				c := dial()
				defer c.Close()
				switch {
				case i%2 == 0:
				case kind == "tls":
					c.Write([]byte{22, 3, 1, 2, 0, 1})
				default:
					io.WriteString(c, "POST /tyk/keys/mallory HTTP/1.1\r\nHost: localhost\r\nAuthorization: ")
				}
			}
			began := time.Now()
			if status, _ := ask("GET", "/api/apis/keys", "", "Host: localhost", right); status != 200 {
				t.Errorf("among those who say nothing: %d", status)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("among those who say nothing: %v", took)
			}
		})
	}
}
