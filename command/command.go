// Package command is the program's command line: what people type. Commands about users
// and policies speak to the admin API of a running sidekey, or with -offline to the same
// API over a database that nobody else has open; so there is one way of doing things, and
// nothing here knows the store.
//
// Rules for what a command prints: results go to stdout, as a table for people or with
// "-o json" for programs, and nothing else does. Everything said to the person (errors,
// warnings, prompts, progress) goes to stderr. An error is one or two lines that say what
// is wrong and what to do. A password is asked for or read from stdin, never an argument,
// and is never printed.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"sidekey/auth/session"
	"sidekey/config"
	"sidekey/internal/ownership"
)

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1 // failed or refused
	ExitUsage  = 2 // wrong usage or bad configuration
)

// Program is what the commands need of the program that they belong to.
type Program struct {
	Version string
	// Serve answers proxies and the admin API until a signal. It returns an exit code.
	Serve func(configFile string, stderr io.Writer) int
	// Start brings up both listeners.
	Start func(c config.Config, log *slog.Logger) (*Running, error)
	// Offline opens the database that nobody else has open. Where there is none it makes
	// one if create is set, and else returns an error that is fs.ErrNotExist.
	Offline func(c config.Config, create bool, log *slog.Logger) (*Offline, error)
	// The commands about the database as a whole.
	Backup, Restore, CheckDatabase, Compact func(DatabaseOptions) (DatabaseOutcome, error)
}

// Running is a sidekey in this process.
type Running struct {
	Check, Admin string // addresses of the listeners, HOST:PORT
	Secret       string
	Wait         func(stop context.Context) error // until stop, or a listener fails
	Stop         func() error
}

// Offline is the admin API over an open database, without a listener.
type Offline struct {
	Dial   func() (net.Conn, error)
	Secret string
	// Records returns up to n records after one, in order, hashes included. Damaged ones
	// are marked as such.
	Records func(after session.Name, n int) ([]session.Record, error)
	Close   func() error
}

// New returns all commands.
func New(p Program) *cobra.Command {
	root := &cobra.Command{
		Use:   "sidekey",
		Short: "Basic Auth, rights, rates and quotas for proxies that ask before each request",
		Long: `sidekey answers NGINX, Envoy, Caddy, Traefik and HAProxy for every request whether it may
pass. Without a command it serves. Flags take one dash or two.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("there is no command %q", args[0])
			}
			return nil
		},
		RunE:              serve(p),
		SilenceErrors:     true,
		SilenceUsage:      true,
		Version:           p.Version,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetVersionTemplate("sidekey {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.String("config", "", "configuration `FILE`; by default sidecar.toml in this folder where there is one, else the built-in defaults")
	flags.StringP("output", "o", "table", `"table" for people or "json" for programs`)
	must(root.MarkPersistentFlagFilename("config", "toml"))
	must(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)))
	root.AddCommand(
		serveCommand(p),
		checkConfigCommand(),
		versionCommand(p),
		userCommand(p),
		policyCommand(p),
		apiCommand(p),
		importCommand(p),
		exportCommand(p),
		explainCommand(p),
		hashPasswordCommand(),
		healthcheckCommand(),
		secretCommand(),
		devCommand(p),
		manualCommand(),
	)
	for _, d := range databaseCommands(p) {
		root.AddCommand(databaseCommand(d))
	}
	return root
}

// must is for what only a wrong name in this package can cause.
func must(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}

// Run executes a command line and returns the exit code.
func Run(root *cobra.Command, args []string, in io.Reader, out, stderr io.Writer) int {
	root.SetArgs(longFlags(args))
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	return exitCode(cmd, err, stderr)
}

// exitCode prints what a command failed with.
func exitCode(cmd *cobra.Command, err error, stderr io.Writer) int {
	var code exit
	var wrong usageError
	var broken badConfig
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "sidekey: %v\n%s -h explains.\n", err, cmd.CommandPath())
		return ExitUsage
	case errors.As(err, &broken):
		for _, line := range config.Lines(broken.error) {
			fmt.Fprintln(stderr, "sidekey:", line)
		}
		return ExitUsage
	}
	fmt.Fprintln(stderr, "sidekey:", err)
	return ExitFailed
}

// exit ends the program with a code; everything has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a wrong command line.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// badConfig is a configuration that cannot be used.
type badConfig struct{ error }

// singleDash matches a long flag that is spelled with one dash, as Go's own programs and
// our documentation spell it. A dash with one letter is a short flag.
var singleDash = regexp.MustCompile(`^-[a-z][a-z-]+(=|$)`)

// longFlags spells long flags with two dashes, as the parser wants them. A value that
// looks like a flag is written -tag=-value.
func longFlags(args []string) []string {
	long := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(long, args[i:]...)
		}
		if singleDash.MatchString(arg) {
			arg = "-" + arg
		}
		long = append(long, arg)
	}
	return long
}

// exactly wants so many arguments, which names lists.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("missing argument %s", names[len(args)])
		case len(args) > len(names):
			return usage("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// noun is a command that only has others below it.
func noun(name, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			if len(args) > 0 {
				return usage("there is no command %q; there are %s", name+" "+args[0], strings.Join(names, ", "))
			}
			return usage("missing subcommand: must be one of %s", strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(below...)
	return cmd
}

const defaultConfigFile = "sidecar.toml"

// ConfigFile returns the file that -config names, or sidecar.toml of the current folder if it
// exists, or "" for the built-in configuration.
//
// A file that is found and not named must not be another user's: it says which file is read
// as the secret, where the secret is sent, and what is written to. It is not used if it fails
// [ownership.Check].
func ConfigFile(cmd *cobra.Command) (string, error) {
	path, err := cmd.Flags().GetString("config")
	must(err)
	if path != "" {
		return path, nil
	}
	if _, err := os.Lstat(defaultConfigFile); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err := ownership.Check(defaultConfigFile); err != nil {
		return "", badConfig{fmt.Errorf("%s of this folder is not used: %w: to use it all the same, name it: -config %[1]s", defaultConfigFile, err)}
	}
	return defaultConfigFile, nil
}

// Config loads the configuration that a command line means.
func Config(cmd *cobra.Command) (config.Config, error) {
	path, err := ConfigFile(cmd)
	if err != nil {
		return config.Config{}, err
	}
	c, err := config.Load(path)
	if err != nil {
		return c, badConfig{err}
	}
	return c, nil
}
