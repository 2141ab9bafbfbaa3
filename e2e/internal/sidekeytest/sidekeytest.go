// Package sidekeytest runs the built sidekey in a process of its own, and speaks to it and to
// proxies in front of it. Everything listens on free loopback ports and ends with its test.
package sidekeytest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sidekey/internal/openapitest"
	"sidekey/internal/testutil"
	"sidekey/internal/tyktest"
)

var program = testutil.Builds{Flags: []string{"-trimpath"}} // as make build, which shares the build cache then

// Binary returns the path of the program, which it builds at the first call.
func Binary() (path string, err error) { return program.Binary() }

// Main is the TestMain of a package of e2e: it runs the tests with the root of the module as the
// working directory, as people type commands there, and returns the exit code.
func Main(m *testing.M) int {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err == nil {
		err = os.Chdir(filepath.Dir(strings.TrimSpace(string(out))))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot find the root of the module:", err)
		return 1
	}
	return program.Main(m)
}

// Listeners begins the configuration of every test. Start replaces the words in capitals; tables
// and [[apis]] can follow.
const Listeners = `
data_dir = "DATA"
check.listen = "CHECK"
admin.listen = "ADMIN"
passwords.bcrypt_cost = 8
limits.quota_wait = "10s" # the disk may be slow
`

// Sidekey is a running program.
type Sidekey struct {
	AdminURL  string // http://HOST:PORT
	CheckAddr string // HOST:PORT
	DataDir   string
	Secret    string

	T       *testing.T
	Process *testutil.Process
}

// Start starts the program with a configuration, in which it replaces DATA, CHECK and ADMIN by a
// new folder and free addresses, and returns when it is ready. maxFiles, if given, is how many
// files the program may have open.
func Start(t *testing.T, config string, maxFiles ...string) *Sidekey {
	t.Helper()
	path, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &Sidekey{T: t, CheckAddr: testutil.FreeAddr(t), DataDir: filepath.Join(dir, "data")}
	admin := testutil.FreeAddr(t)
	s.AdminURL = "http://" + admin
	config = strings.NewReplacer(`"DATA"`, fmt.Sprintf("%q", s.DataDir), "CHECK", s.CheckAddr, "ADMIN", admin).Replace(config)
	file := testutil.WriteFile(t, dir, "sidecar.toml", config)

	if args := []string{"serve", "-config", file}; len(maxFiles) == 0 {
		s.Process = testutil.Start(t, path, args...)
	} else {
		s.Process = testutil.Start(t, "sh", append([]string{"-c", "ulimit -n " + maxFiles[0] + ` && exec "$0" "$@"`, path}, args...)...)
	}
	s.Process.Await("GET /readyz answers 200", func() bool {
		answer, err := Client(t, http.DefaultTransport).Get(s.AdminURL + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	secret, err := os.ReadFile(filepath.Join(s.DataDir, "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	s.Secret = strings.TrimSpace(string(secret))
	return s
}

// Stop ends the program as an operator does. If its exit code is not 0, the test fails.
func (s *Sidekey) Stop() {
	s.T.Helper()
	if err := s.Process.Stop(); err != nil {
		s.T.Errorf("sidekey after SIGTERM: %v", err)
	}
}

// Admin sends a request with the secret to the admin listener.
func (s *Sidekey) Admin(method, path, body string) (status int, answer string, header http.Header) {
	s.T.Helper()
	request, err := http.NewRequest(method, s.AdminURL+path, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	request.Header.Set("Authorization", s.Secret)
	response, err := Client(s.T, http.DefaultTransport).Do(request)
	if err != nil {
		s.T.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

// Compare compares an exchange with the admin listener with the OpenAPI descriptions of sidekey
// and of Tyk.
func Compare(x openapitest.Exchange) error {
	return errors.Join(openapitest.Check(x), tyktest.Check(x))
}

// Client returns a client of the admin listener that compares every exchange.
func Client(t testing.TB, through http.RoundTripper) *http.Client {
	return &http.Client{Transport: Comparing{Failing(t), through}}
}

// Failing returns a function that fails the test if it gets an error.
func Failing(t testing.TB) func(error) {
	return func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
}

// Comparing is a transport that compares each exchange and calls Note with the result.
type Comparing struct {
	Note    func(error)
	Through http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (c Comparing) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	answer, err := c.Through.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	c.Note(Compare(openapitest.Exchange{Method: r.Method, Target: r.URL.RequestURI(), Sent: sent, Status: answer.StatusCode, Header: answer.Header, Body: body}))
	return answer, nil
}

// PutUser creates or overwrites a user from the members of a session object.
func (s *Sidekey) PutUser(name, session string) {
	s.T.Helper()
	if status, answer, _ := s.Admin("POST", "/api/apis/keys/basic/"+name, session); status != http.StatusOK {
		s.T.Fatalf("POST user %s %s: %d %s", name, session, status, answer)
	}
}

// DeleteUser removes a user.
func (s *Sidekey) DeleteUser(name string) {
	s.T.Helper()
	if status, answer, _ := s.Admin("DELETE", "/api/apis/keys/basic/"+name, ""); status != http.StatusOK {
		s.T.Fatalf("DELETE user %s: %d %s", name, status, answer)
	}
}

// Basic returns a request header with credentials.
func Basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
