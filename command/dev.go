package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sidekey/config"
	"sidekey/internal/devproxy"
)

// Names of what dev creates. Its policy is so low that a person can exceed it by hand.
const (
	devUser     = "alice"
	devPassword = "test123"
	devPolicy   = "demo"
)

func devCommand(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try sidekey out in a temporary folder",
		Long: `Serve on loopback with a temporary database that has an API, a policy of 3 requests in
10 seconds and the user ` + devUser + `, and print commands to try. With -upstream no proxy is
needed: requests that pass are forwarded to that URL. With -config, APIs and limits are
the configured ones.`,
		Example: "  sidekey dev -upstream http://127.0.0.1:3000",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			stop, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer cancel()
			cfg, err := Config(cmd)
			if err != nil {
				return err
			}
			upstream, err := cmd.Flags().GetString("upstream")
			must(err)
			listen, err := cmd.Flags().GetString("listen")
			must(err)
			return dev(stop, cmd, p, cfg, upstream, listen)
		},
	}
	cmd.Flags().String("upstream", "", "`URL` of the service that requests are forwarded to if they pass")
	cmd.Flags().String("listen", "127.0.0.1:0", "loopback `ADDRESS` in front of -upstream; port 0 = any free port")
	return cmd
}

func dev(stop context.Context, cmd *cobra.Command, p Program, cfg config.Config, upstream, listen string) (err error) {
	folder, err := os.MkdirTemp("", "sidekey-dev-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	cfg.DataDir = folder
	cfg.Check.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Admin.SecretFile, cfg.Admin.Hosts = "", nil
	if len(cfg.APIs) == 0 {
		cfg.APIs = []config.API{config.DefaultAPI("demo", "Demo API")}
	}
	front, err := devFront(upstream, listen)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	running, err := p.Start(cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		if stopped := running.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := devUsers(cmd, running, cfg); err != nil {
		return err
	}
	if front != nil {
		stopFront := front.start(running.Check)
		defer stopFront()
	}
	devHelp(cmd.OutOrStdout(), running, cfg, filepath.Join(folder, "admin.secret"), front)
	return running.Wait(stop)
}

// devUsers creates the policy and the user.
func devUsers(cmd *cobra.Command, r *Running, cfg config.Config) error {
	c := &client{secret: r.Secret, stderr: cmd.ErrOrStderr()}
	own := config.Default()
	own.Admin.Listen = r.Admin
	if err := c.dialConfigured(own); err != nil {
		return err
	}
	defer c.close()
	api := cfg.APIList()[0]
	policy := members{
		"id": devPolicy, "name": "Demo", "org_id": api.Org, "rate": 3, "per": 10, "quota_max": 1000, "quota_renewal_rate": 86400,
		"access_rights": members{api.ID: members{"api_id": api.ID, "api_name": api.Name}},
	}
	if err := c.do(request{method: "POST", path: policiesPath, body: policy}, nil); err != nil {
		return fmt.Errorf("the demo policy: %w", err)
	}
	user := members{
		"org_id": api.Org, "alias": "Alice", "apply_policies": []string{devPolicy},
		"basic_auth_data": members{"password": devPassword},
	}
	if err := c.do(request{method: "POST", path: userPath(devUser), body: user}, nil); err != nil {
		return fmt.Errorf("the demo user: %w", err)
	}
	return nil
}

// devHelp prints commands for bash, each with the status that it gets if they are run from top to
// bottom. Passwords are not arguments, which every user of the machine could see.
func devHelp(out io.Writer, r *Running, cfg config.Config, secretFile string, front *devProxy) {
	api := cfg.APIList()[0]
	ask := func(credentials, what string) {
		target := "http://" + r.Check + "/auth/envoy@" + api.ID + api.ListenPath
		headers := " -H 'X-Forwarded-For: 127.0.0.1'"
		if front != nil {
			target, headers = "http://"+front.listener.Addr().String()+api.ListenPath, ""
			if len(api.Hosts) > 0 {
				headers = " -H 'Host: " + api.Hosts[0] + "'"
			}
		}
		fmt.Fprintf(out, "  curl -i%s -K - '%s' <<<'user = %s'   # %s\n", headers, target, credentials, what)
	}
	fmt.Fprintf(out, "User %s with password %s may send 3 requests in 10 seconds.\n\n", devUser, devPassword)
	ask(devUser+":"+devPassword, "200")
	ask(devUser+":wrong", "401")
	ask(devUser+":"+devPassword, "run three times: 200, 200, 429")
	if front != nil {
		fmt.Fprintf(out, "\nIn front of %s: http://%s\n", front.upstream.Redacted(), front.listener.Addr())
	}
	fmt.Fprintf(out, "\nAdmin page and API: http://%s/\nIts secret: %s (in %s)\n", r.Admin, r.Secret, secretFile)
	fmt.Fprintf(out, "\nCheck listener, for your own proxy: http://%s\nCtrl-C stops sidekey and removes everything.\n", r.Check)
}

// devProxy is the listener in front of a service.
type devProxy struct {
	upstream *url.URL
	listener net.Listener
}

// devFront opens the address in front of upstream, or returns nil if upstream is "".
func devFront(upstream, listen string) (*devProxy, error) {
	if upstream == "" {
		return nil, nil
	}
	u, err := url.Parse(upstream)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usage("-upstream %q: must be a URL such as http://127.0.0.1:3000", upstream)
	}
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usage("-listen %q: must be a loopback address such as 127.0.0.1:8080", listen)
	}
	l, err := net.Listen("tcp", listen)
	return &devProxy{u, l}, err
}

// start serves until stop is called.
func (f *devProxy) start(check string) (stop func()) {
	server := &http.Server{
		Handler:           devproxy.New(f.upstream, check),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(f.listener) // until stop closes it
	}()
	return func() {
		server.Close()
		<-ended
	}
}
