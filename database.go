package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sidekey/admin"
	"sidekey/config"
	"sidekey/store"
)

// The commands for the database as a whole. Where sidekey runs they go through its admin
// listener; -offline works on the file itself, which no process may have open then.

// database is what the admin listener does with the store as a whole.
func (p *program) database() admin.Database {
	return admin.Database{
		Backup: p.store.Backup,
		Check:  func() (any, error) { return p.store.Check() },
		Compact: func() (any, error) {
			done, err := p.store.Compact()
			if errors.Is(err, store.ErrCompacting) {
				err = admin.ErrUnderWay
			}
			return done, err
		},
	}
}

// databaseOptions are the flags and arguments of these commands.
type databaseOptions struct {
	config  config.Config
	file    string // argument; "" where there is none
	admin   string // URL of another admin listener than the configured one
	secret  string // for the admin listener; "": the configured file's
	offline bool
}

// outcome is what a command has done: an object, and the same in words.
type outcome struct {
	object any
	text   string
	failed bool // what was asked for is done, and the answer is bad
}

// backup writes a copy of the database to a file. The file is whole and verified, or it is
// what it was before.
func backup(o databaseOptions) (outcome, error) {
	if same(o.file, databasePath(o.config)) {
		return outcome{}, fmt.Errorf("%s is the database itself", o.file)
	}
	if info, err := os.Lstat(o.file); err == nil && !info.Mode().IsRegular() {
		return outcome{}, fmt.Errorf("%s: a regular file is wanted, not %s", o.file, info.Mode().Type())
	}
	temp, err := os.CreateTemp(filepath.Dir(o.file), filepath.Base(o.file)+".new-*")
	if err != nil {
		return outcome{}, err
	}
	defer os.Remove(temp.Name())
	if o.offline {
		err = store.BackupFile(databasePath(o.config), temp)
	} else {
		err = download(o, "/api/backup", temp)
	}
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return outcome{}, err
	}
	report, err := store.Verify(temp.Name())
	if err == nil {
		err = report.Usable()
	}
	if err != nil {
		return outcome{}, fmt.Errorf("the copy is not kept: %w", err)
	}
	info, err := os.Stat(temp.Name())
	if err != nil {
		return outcome{}, err
	}
	if err := errors.Join(os.Rename(temp.Name(), o.file), syncDir(filepath.Dir(o.file))); err != nil {
		return outcome{}, err
	}
	written := struct {
		File  string `json:"file"`
		Bytes int64  `json:"bytes"`
		store.Report
	}{o.file, info.Size(), report}
	return outcome{written, fmt.Sprintf("wrote %s, %d bytes: %s", o.file, info.Size(), describe(report)), !report.Clean()}, nil
}

// restore puts a backup in the place of the database.
func restore(o databaseOptions) (outcome, error) {
	if o.admin != "" {
		return outcome{}, errors.New("a database can be restored only where it is: -admin is not for this command")
	}
	path := databasePath(o.config)
	done, err := store.Restore(path, o.file, time.Now())
	if errors.Is(err, store.ErrInUse) {
		err = fmt.Errorf("%w: stop it first", err)
	}
	if err != nil {
		return outcome{}, err
	}
	text := fmt.Sprintf("restored %s from %s: %s", path, o.file, describe(done.Report))
	if done.Kept != "" {
		text += "\nthe database that was there is kept as " + done.Kept
	}
	return outcome{done, text, false}, nil
}

// checkDatabase verifies the database, or the file that is named.
func checkDatabase(o databaseOptions) (outcome, error) {
	path := o.file
	if path == "" {
		path = databasePath(o.config)
	}
	var report store.Report
	var err error
	if o.file == "" && !o.offline {
		path = "the database"
		err = ask(o, http.MethodGet, "/api/check-db", &report)
		if errors.Is(err, errNotRunning) && o.admin == "" {
			path = databasePath(o.config)
			report, err = store.Verify(path)
		}
	} else {
		report, err = store.Verify(path)
	}
	if err != nil {
		return outcome{}, err
	}
	return outcome{report, path + ": " + describe(report), !report.Clean()}, nil
}

// describe says what is in a database, and what is wrong with it, a line each.
func describe(r store.Report) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d users, %d quotas, %d policies", r.Users, r.Quotas, r.Policies)
	for _, problem := range r.Problems {
		fmt.Fprintf(&text, "\ndamaged: %s", problem)
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(&text, "\ndamaged: %s", d)
	}
	return text.String()
}

// compact gives room that is not used any more back to the disk.
func compact(o databaseOptions) (outcome, error) {
	var done store.Compaction
	var err error
	if o.offline {
		done, err = compactFile(o)
	} else {
		err = ask(o, http.MethodPost, "/api/compact", &done)
	}
	if err != nil {
		return outcome{}, err
	}
	pause := time.Duration(done.Pause * float64(time.Second)).Round(100 * time.Microsecond)
	return outcome{done, fmt.Sprintf("compacted: %d bytes, %d before; writers waited %v", done.After, done.Before, pause), false}, nil
}

func compactFile(o databaseOptions) (done store.Compaction, err error) {
	path := databasePath(o.config)
	if _, err := os.Stat(path); err != nil {
		return done, err // opening would make one
	}
	s, err := openVerified(path, o.config.Log.Logger(os.Stderr))
	if err != nil {
		return done, err
	}
	done, err = s.Compact()
	return done, errors.Join(err, s.Close())
}

// errNotRunning says that nobody listens where the admin listener should be.
var errNotRunning = errors.New("sidekey does not run there")

// ask sends a request to the admin listener and reads the answer into a value.
func ask(o databaseOptions, method, path string, into any) error {
	answer, err := request(o, method, path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(into)
}

// download copies the answer to a GET.
func download(o databaseOptions, path string, to io.Writer) error {
	answer, err := request(o, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(to, answer.Body)
	return err
}

// request sends a request without a body. The answer has status 200.
func request(o databaseOptions, method, path string) (*http.Response, error) {
	base, transport, err := o.adminListener()
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(method, base+path, nil)
	if err != nil {
		return nil, err
	}
	secret := o.secret
	if secret == "" {
		text, err := os.ReadFile(o.config.SecretPath())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w, or never did: there is no %s; -offline works on the file", errNotRunning, o.config.SecretPath())
		}
		if err != nil {
			return nil, fmt.Errorf("admin secret: %w", err)
		}
		secret = strings.TrimRight(string(text), "\r\n")
	}
	r.Header.Set("Authorization", secret)
	if o.admin == "" {
		r.Host = "localhost" // a name that is always allowed, whatever address is listened on
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w (%s); -offline works on the file", errNotRunning, base)
	case err != nil:
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		var said struct{ Message string }
		json.NewDecoder(io.LimitReader(answer.Body, 1<<16)).Decode(&said)
		return nil, fmt.Errorf("%s answers %s: %s", base, answer.Status, said.Message)
	}
	return answer, nil
}

// adminListener returns where the admin listener is, and how it is reached.
func (o databaseOptions) adminListener() (base string, _ http.RoundTripper, err error) {
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	if o.admin != "" {
		u, err := url.Parse(o.admin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return "", nil, fmt.Errorf("-admin %q: a URL is wanted, like http://127.0.0.1:9192", o.admin)
		}
		return strings.TrimSuffix(o.admin, "/"), transport, nil
	}
	a, err := config.ParseAddress(o.config.Admin.Listen)
	if err != nil {
		return "", nil, err
	}
	if a.Network == "unix" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.Where)
		}
		return "http://localhost", transport, nil
	}
	host, port, err := net.SplitHostPort(a.Where)
	if err != nil {
		return "", nil, err
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), transport, nil
}

func same(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// databaseCommand reads flags and the argument, where need is 1 a file that has to be
// named, and runs a command.
func databaseCommand(name string, need int, run func(databaseOptions) (outcome, error)) func(args []string, stdout, stderr io.Writer) int {
	return func(args []string, stdout, stderr io.Writer) int {
		var o databaseOptions
		var configFile, output string
		flags := flag.NewFlagSet("sidekey "+name, flag.ContinueOnError)
		flags.SetOutput(stderr)
		flags.StringVar(&configFile, "config", "", "`file`; by default sidecar.toml in this folder where there is one, else the built-in defaults")
		flags.StringVar(&o.admin, "admin", "", "`URL` of another admin listener than the configured one")
		flags.BoolVar(&o.offline, "offline", false, "work on the file, which no process may have open")
		flags.StringVar(&output, "o", "text", "`form` of the answer: text or json")
		var words []string
		for rest := args; ; { // flags may stand behind the file
			if err := flags.Parse(rest); errors.Is(err, flag.ErrHelp) {
				return exitDone
			} else if err != nil {
				return exitUsage
			}
			if flags.NArg() == 0 {
				break
			}
			words, rest = append(words, flags.Arg(0)), flags.Args()[1:]
		}
		switch {
		case len(words) < need:
			fmt.Fprintf(stderr, "sidekey %s: a FILE is wanted\n", name)
			return exitUsage
		case len(words) > 1 || need == 0 && len(words) == 1 && name != "check-db":
			fmt.Fprintf(stderr, "sidekey %s: %q is one argument too many\n", name, words[len(words)-1])
			return exitUsage
		case output != "text" && output != "json":
			fmt.Fprintf(stderr, "sidekey %s: -o %q: text or json is wanted\n", name, output)
			return exitUsage
		case len(words) == 1:
			o.file = words[0]
		}
		if configFile == "" {
			if _, err := os.Stat(defaultConfigFile); err == nil {
				configFile = defaultConfigFile
			}
		}
		var err error
		if o.config, err = config.Load(configFile); err != nil {
			printProblems(stderr, err)
			return exitUsage
		}
		o.secret = os.Getenv("SIDEKEY_ADMIN_SECRET")
		done, err := run(o)
		if err != nil {
			fmt.Fprintln(stderr, "sidekey:", err)
			return exitFailed
		}
		if output == "json" {
			if err := json.NewEncoder(stdout).Encode(done.object); err != nil {
				return exitFailed
			}
		} else {
			fmt.Fprintln(stdout, done.text)
		}
		if done.failed {
			return exitFailed
		}
		return exitDone
	}
}
