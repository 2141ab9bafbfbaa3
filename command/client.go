package command

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"sidekey/admin/api"
	"sidekey/config"
)

// secretVariable is the environment variable with the admin secret. It overrides the configured file.
const secretVariable = "SIDEKEY_ADMIN_SECRET"

// maxAnswer is the maximum size of an answer in bytes. A part of a list is far shorter.
const maxAnswer = 64 << 20

// client sends requests to an admin listener.
type client struct {
	base    string // http://HOST:PORT
	host    string // of the Host header
	secret  string // "": none is sent
	org     string // of commands without -org
	http    *http.Client
	proving prover   // proves each connection before the secret is sent over it
	owners  []int    // ids of the users whose secret file and socket are trusted; nil: the socket of any user
	offline *Offline // the open database; nil: the client uses a running sidekey
	stderr  io.Writer
}

// connectFlags adds the flags that select the admin listener or the database file.
func connectFlags(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.String("admin", "", "`URL` of another admin listener; its secret must be in "+secretVariable)
	flags.Bool("offline", false, "work on the database file; sidekey must not be running")
}

// orgFlag adds -org.
func orgFlag(cmd *cobra.Command) {
	cmd.Flags().String("org", "", "the user's `ORG`; by default admin.org_id")
}

// orgOf returns -org, or else the configured org.
func (c *client) orgOf(cmd *cobra.Command) string {
	org, err := cmd.Flags().GetString("org")
	must(err)
	return cmp.Or(org, c.org)
}

// withClient returns the function of a command that needs a client. With create, the command creates
// the database if there is none yet and it works -offline.
func withClient(p Program, create bool, run func(cmd *cobra.Command, args []string, c *client) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if _, err := wantsJSON(cmd); err != nil {
			return err
		}
		c, err := connect(cmd, p, create)
		if err != nil {
			return err
		}
		return errors.Join(run(cmd, args, c), c.close())
	}
}

// connect returns the client that the flags select.
func connect(cmd *cobra.Command, p Program, create bool) (*client, error) {
	cfg, err := Config(cmd)
	if err != nil {
		return nil, err
	}
	flags := cmd.Flags()
	at, err := flags.GetString("admin")
	must(err)
	offline, err := flags.GetBool("offline")
	must(err)
	c := &client{org: cfg.Admin.OrgID, owners: trustedOwners(cmd, cfg), stderr: cmd.ErrOrStderr()}
	switch {
	case offline && at != "":
		return nil, usage("-admin and -offline exclude each other")
	case offline:
		return c, c.open(p, cfg, create)
	case at != "":
		return c, c.pointAt(at)
	}
	return c, c.configure(cfg)
}

// open makes the client work on the database file.
func (c *client) open(p Program, cfg config.Config, create bool) (err error) {
	log := slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c.offline, err = p.Offline(cfg, create, log)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no database in data_dir = %q: is -config right?", cfg.DataDir)
	}
	if err != nil {
		return err
	}
	c.base, c.host, c.secret = "http://localhost", "localhost", c.offline.Secret
	c.use(func(context.Context) (net.Conn, error) { return c.offline.Dial() }, nil)
	return nil
}

// pointAt makes the client use the listener at the URL of -admin. The configured secret is only for
// the configured listener, so this one's must be in the environment.
func (c *client) pointAt(at string) error {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return usage("-admin %q: must be http://HOST:PORT or https://HOST:PORT", at)
	}
	if c.secret = secretFromEnvironment(); c.secret == "" {
		return usage("-admin: missing the secret of that listener in %s", secretVariable)
	}
	c.base, c.host = u.Scheme+"://"+u.Host, u.Host
	c.proving = newProver(c.secret, c.host)
	var secured *tls.Config
	if u.Scheme == "https" {
		secured = &tls.Config{ServerName: u.Hostname()}
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	c.use(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	}, secured)
	return nil
}

// configure makes the client use the configured listener and its secret.
func (c *client) configure(cfg config.Config) (err error) {
	if c.secret, err = readSecret(cfg, c.owners); err != nil {
		return err
	}
	return c.dialConfigured(cfg)
}

// dialConfigured makes the client dial the configured admin listener. The secret, if it is set, is
// sent only to that listener at its own address.
func (c *client) dialConfigured(cfg config.Config) error {
	a, err := config.ParseAddress(cfg.Admin.Listen)
	if err != nil {
		return badConfig{err}
	}
	where := a.Where
	if host, port, err := net.SplitHostPort(where); err == nil && a.Network != "unix" {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			where = net.JoinHostPort("localhost", port) // it listens on all addresses of this machine
		}
	}
	// The listener checks the name in Host; the address that is dialled is the configured one.
	c.base, c.host = "http://"+where, "localhost"
	if a.Network == "unix" {
		c.base = "http://localhost"
	}
	c.proving = newProver(c.secret, c.host)
	c.proving.atItsAddress, c.proving.owners = true, c.owners
	var secured *tls.Config
	if cfg.Admin.TLS() {
		if secured, err = pinned(cfg.Admin.TLSCert); err != nil {
			return err
		}
		c.base = "https" + strings.TrimPrefix(c.base, "http")
	}
	c.use(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, a.Network, where)
	}, secured)
	return nil
}

// pinned returns a TLS configuration that accepts only the certificate in a file. The names in the
// certificate do not matter, because the client dials the configured address.
func pinned(file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("admin.tls_cert: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, badConfig{fmt.Errorf("admin.tls_cert = %q: must be a PEM file with a certificate", file)}
	}
	return &tls.Config{
		InsecureSkipVerify: true, // replaced by the stricter check below
		VerifyPeerCertificate: func(shown [][]byte, _ [][]*x509.Certificate) error {
			if len(shown) == 0 || !bytes.Equal(shown[0], block.Bytes) {
				return fmt.Errorf("the certificate of the listener is not the one in %s", file)
			}
			return nil
		},
	}, nil
}

// use creates the HTTP client, over connections of dial, with TLS unless secured is nil. Each
// connection is proved to lead to sidekey before a request with the secret is sent over it. The
// client uses no proxy and follows no redirect, because both would get the secret.
func (c *client) use(dial func(context.Context) (net.Conn, error), secured *tls.Config) {
	proven := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return c.proving.prove(ctx, conn, secured)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: importers, DialContext: proven, DialTLSContext: proven}
	c.http = &http.Client{
		Transport:     transport,
		Timeout:       5 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *client) close() error {
	c.http.CloseIdleConnections()
	if c.offline != nil {
		return c.offline.Close()
	}
	return nil
}

// refusal is an answer with a status other than 200.
type refusal struct {
	status  int
	message string
}

func (r refusal) Error() string { return r.message }

// request is one request to the admin API.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         any // encoded as JSON; []byte is sent unchanged; nil: none
}

// do sends a request and decodes the answer into answer, unless that is nil. Warnings go to stderr.
func (c *client) do(r request, answer any) error {
	body, err := c.send(r)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%s %s: not an answer of sidekey's admin API: is -admin right?", r.method, c.base)
	}
	return nil
}

// send sends a request and returns the body of the answer.
func (c *client) send(r request) ([]byte, error) {
	res, err := c.ask(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode != http.StatusOK {
		return answer, refused(res.StatusCode, answer)
	}
	return answer, nil
}

// copy sends a request and copies the body of the answer, however large and slow it is.
func (c *client) copy(r request, to io.Writer) error {
	c.http.Timeout = 0
	res, err := c.ask(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return c.unreachable(err)
		}
		return refused(res.StatusCode, answer)
	}
	if _, err := io.Copy(to, res.Body); err != nil {
		return c.unreachable(err)
	}
	return nil
}

// ask sends a request. Warnings go to stderr. The caller closes the body of the answer.
func (c *client) ask(r request) (*http.Response, error) {
	text, isText := r.body.([]byte)
	if !isText && r.body != nil {
		var err error
		if text, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
	}
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequest(r.method, target, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if r.header != nil {
		req.Header = r.header
	}
	req.Host = c.host
	if c.secret != "" {
		req.Header.Set("Authorization", c.secret)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	for _, warning := range res.Header["X-Sidekey-Warning"] {
		fmt.Fprintln(c.stderr, "sidekey: warning:", warning)
	}
	return res, nil
}

// ErrNotRunning means that no program answers at the address of the admin listener.
var ErrNotRunning = errors.New("sidekey is not running")

// notRunning is an [ErrNotRunning] with its cause.
type notRunning struct{ error }

func (notRunning) Is(target error) bool { return target == ErrNotRunning }

// unreachable turns an error of the connection into one that says what to do.
func (c *client) unreachable(err error) error {
	var unproven unprovenError
	if errors.As(err, &unproven) {
		return unproven
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return notRunning{fmt.Errorf("no answer from the admin listener: %w\nIs sidekey running? If not, -offline works on its database file", err)}
}

// refused returns the message of a refusal, in the form of either dialect, as an error.
func refused(status int, body []byte) error {
	var answer struct {
		Dashboard string `json:"Message"`
		Gateway   string `json:"message"`
	}
	_ = json.Unmarshal(body, &answer)
	const wire = "Request malformed: " // the user did not write the request
	message := strings.TrimPrefix(cmp.Or(answer.Dashboard, answer.Gateway, fmt.Sprintf("the admin listener answered %d", status)), wire)
	if status == http.StatusUnauthorized {
		message += ": the secret is not the one of that admin listener"
	}
	return refusal{status, message}
}

// isStatus reports whether an error is a refusal with that status.
func isStatus(err error, status int) bool {
	var r refusal
	return errors.As(err, &r) && r.status == status
}

// userPath returns the path of one user.
func userPath(name string) string { return "/api/apis/keys/basic/" + url.PathEscape(name) }

// eachUser calls f for every user that the query selects, see GET /api/users.
func (c *client) eachUser(query url.Values, f func(api.User) error) error {
	query.Set("limit", "1000")
	for {
		var part api.Users
		if err := c.do(request{method: "GET", path: "/api/users", query: query}, &part); err != nil {
			return err
		}
		for _, u := range part.Users {
			if err := f(u); err != nil {
				return err
			}
		}
		if part.Next == nil {
			return nil
		}
		query.Set("after_org", part.Next.OrgID)
		query.Set("after", part.Next.Username)
	}
}
