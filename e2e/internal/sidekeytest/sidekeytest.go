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
	"sync"
	"testing"

	"sidekey/internal/openapitest"
	"sidekey/internal/testutil"
	"sidekey/internal/tyktest"
)

// What tests of the whole program share: the real binary in a process of its own, and
// the few ways of talking to it. Everything listens on free loopback ports, everything
// is ended by its own process id.

// binary is the program, built once for all tests. TestMain removes it.
var Binary = sync.OnceValues(func() (path string, err error) {
	buildDir, err = os.MkdirTemp("", "sidekey-test-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "sidekey")
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".") // as make build, which then need not compile again
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var buildDir string

// runTests runs the tests of a package at the root of the module, as people type commands
// there, and returns the exit code.
func Main(m *testing.M) int {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err == nil {
		err = os.Chdir(filepath.Dir(strings.TrimSpace(string(out))))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the root of the module:", err)
		return 1
	}
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	return code
}

// listeners begins the configuration of every test. startSidekey fills in what stands
// in capitals; tables and [[apis]] can follow.
const Listeners = `
data_dir = "DATA"
check.listen = "CHECK"
admin.listen = "ADMIN"
passwords.bcrypt_cost = 8
limits.quota_wait = "10s" # the disk may be slow
`

// sidekey is a running program.
type Sidekey struct {
	AdminURL  string // http://HOST:PORT
	CheckAddr string // HOST:PORT
	DataDir   string
	Secret    string

	T       *testing.T
	Process *testutil.Process
}

// startSidekey runs the program with config, in which the words DATA, CHECK and ADMIN
// stand for a fresh folder and free addresses, and returns when it is ready.
// files is how many files it may have open, where it is not many.
func Start(t *testing.T, config string, files ...string) *Sidekey {
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

	if args := []string{"serve", "-config", file}; len(files) == 0 {
		s.Process = testutil.Start(t, path, args...)
	} else {
		s.Process = testutil.Start(t, "sh", append([]string{"-c", "ulimit -n " + files[0] + ` && exec "$0" "$@"`, path}, args...)...)
	}
	s.Process.Await("GET /readyz answers 200", func() bool {
		answer, err := Compared(t, http.DefaultTransport).Get(s.AdminURL + "/readyz")
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

// stop ends the program as an operator does, and wants it to end well.
func (s *Sidekey) Stop() {
	s.T.Helper()
	if err := s.Process.Stop(); err != nil {
		s.T.Errorf("sidekey after SIGTERM: %v", err)
	}
}

// admin asks the admin listener, with the secret.
func (s *Sidekey) Admin(method, path, body string) (status int, answer string, header http.Header) {
	s.T.Helper()
	request, err := http.NewRequest(method, s.AdminURL+path, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	request.Header.Set("Authorization", s.Secret)
	response, err := Compared(s.T, http.DefaultTransport).Do(request)
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

// compare compares an exchange with the admin listener with sidekey's description of its
// API, and with Tyk's.
func Compare(x openapitest.Exchange) error {
	return errors.Join(openapitest.Check(x), tyktest.Check(x))
}

// compared is a client of the admin listener whose every exchange is compared.
func Compared(t testing.TB, through http.RoundTripper) *http.Client {
	return &http.Client{Transport: Comparing{Failing(t), through}}
}

// failing fails the test with an error.
func Failing(t testing.TB) func(error) {
	return func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
}

// comparing tells note of each exchange what is wrong with it, or nil.
type Comparing struct {
	Note    func(error)
	Through http.RoundTripper
}

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

// putUser creates or overwrites a user from the members of a session object.
func (s *Sidekey) PutUser(name, session string) {
	s.T.Helper()
	if status, answer, _ := s.Admin("POST", "/api/apis/keys/basic/"+name, session); status != http.StatusOK {
		s.T.Fatalf("POST user %s %s: %d %s", name, session, status, answer)
	}
}

// deleteUser removes a user.
func (s *Sidekey) DeleteUser(name string) {
	s.T.Helper()
	if status, answer, _ := s.Admin("DELETE", "/api/apis/keys/basic/"+name, ""); status != http.StatusOK {
		s.T.Fatalf("DELETE user %s: %d %s", name, status, answer)
	}
}

// basic is a request header with credentials.
func Basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
