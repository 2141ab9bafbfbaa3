// Package command is the command line of sidekey.
//
// Commands about users and policies use the admin API of a running sidekey. With -offline, they use
// the same API over a database that no other process has open. So there is one way to do a thing, and
// this package does not import the store.
//
// Results go to stdout, as a table or, with "-o json", as JSON, and nothing else does. Errors,
// warnings, prompts and progress go to stderr. An error is one or two lines that say what is wrong and
// what to do about it. A password is typed at a prompt or read from stdin. It is never an argument,
// which other users of the machine could see, and is never printed. The admin secret is sent only
// over a connection that is proved to lead to sidekey, see package proof.
//
// The package is large because it has one file per noun, and every command uses the same client, flags
// and tables. Smaller packages would have to export these to each other.
//
// # Choices
//
// We read the command line with Cobra, because completions, man pages and help come from one text.
// Instead of the flag package, which has none of them. It costs a rewriting of flags (longFlags):
// Cobra knows two dashes, while Go's programs and the contract have one.
//
// We import in two passes: all lines are checked, then written in requests of thousands, each one
// commit, in the order of the keys. A million users are too many for one transaction. It costs
// atomicity: a crash in between leaves a part, and the same import again does the rest.
//
// We change a user by PATCH of what is stored. Instead of GET and PUT: GET shows policies applied, and
// sending that back would write them into the session.
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
	"github.com/spf13/pflag"

	"sidekey/auth/session"
	"sidekey/config"
	"sidekey/internal/ownership"
)

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1 // the command failed, or its answer is no
	ExitUsage  = 2 // wrong command line or bad configuration
)

// Program holds the functions of the program that commands call.
type Program struct {
	Version string
	// Serve serves proxies and the admin API until a signal, and returns an exit code.
	Serve func(configFile string, stderr io.Writer) int
	// Start starts both listeners.
	Start func(c config.Config, log *slog.Logger) (*Running, error)
	// Offline opens the database, which no other process may have open. If there is none, Offline
	// creates it or, without create, returns an error that is fs.ErrNotExist.
	Offline func(c config.Config, create bool, log *slog.Logger) (*Offline, error)
	// These are commands about the database as a whole.
	Backup, Restore, CheckDatabase, Compact func(DatabaseOptions) (DatabaseOutcome, error)
}

// Running is a sidekey that serves in this process.
type Running struct {
	Check, Admin string // addresses of the listeners, HOST:PORT
	Secret       string
	Wait         func(stop context.Context) error // returns when stop ends or a listener fails
	Stop         func() error
}

// Offline is the admin API over an open database, without a network listener.
type Offline struct {
	Dial   func() (net.Conn, error)
	Secret string
	// Records returns up to n records after one, in the order of org and name, with their password
	// hashes. Damaged records are marked.
	Records func(after session.Name, n int) ([]session.Record, error)
	Close   func() error
}

// New returns the root command with all others below it.
func New(p Program) *cobra.Command {
	root := &cobra.Command{
		Use:   "sidekey",
		Short: "Basic Auth, rights, rates and quotas for proxies that ask before each request",
		Long: `NGINX, Envoy, Caddy, Traefik and HAProxy ask sidekey for every request whether it may
pass. Without a command, sidekey serves. Flags take one dash or two.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unknown command %q", args[0])
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
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	flags := root.PersistentFlags()
	flags.String("config", "", "configuration `FILE`; by default sidecar.toml in this folder if it exists, else the built-in defaults")
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

// must panics on an error that only a bug in this package can cause, such as the wrong name of a flag.
func must(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}

// Run runs a command line and returns the exit code.
func Run(root *cobra.Command, args []string, in io.Reader, out, stderr io.Writer) int {
	root.SetArgs(longFlags(args))
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	return exitCode(cmd, err, stderr)
}

// exitCode prints the error of a command and returns its exit code.
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
		fmt.Fprintf(stderr, "sidekey: %v\nFor help: %s -h\n", err, cmd.CommandPath())
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

// exit is an error that only sets the exit code: everything is printed already.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is an error in the command line.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// flagError puts an error of the flag parser in the words of this package: with one dash, and with
// what the value must be.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	var noValue *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool":
		return usage("invalid -%s %q: want true or false", invalid.GetFlag().Name, invalid.GetValue())
	case errors.As(err, &invalid):
		return usage("invalid -%s %q: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	case errors.As(err, &noValue):
		return usage("missing value of -%s", noValue.GetSpecifiedName())
	case errors.As(err, &unknown):
		return usage("unknown flag -%s", unknown.GetSpecifiedName())
	}
	return usageError{err}
}

// badConfig is a configuration that cannot be used.
type badConfig struct{ error }

// singleDash matches a long flag with one dash, which is the spelling of Go's own programs and of
// sidekey's documentation. A dash and one letter is a short flag.
var singleDash = regexp.MustCompile(`^-[a-z][a-z-]+(=|$)`)

// longFlags gives long flags two dashes, which the parser requires. A value that looks like a flag
// must be written -tag=-value.
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

// exactly requires one argument for each of the names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("missing argument %s", names[len(args)])
		case len(args) > len(names):
			return usage("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// noun returns a command that does nothing itself and has others below it.
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
				return usage("unknown command %q: must be one of %s", name+" "+args[0], strings.Join(names, ", "))
			}
			return usage("missing subcommand: must be one of %s", strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(below...)
	return cmd
}

const defaultConfigFile = "sidecar.toml"

// ConfigFile returns the file that -config names, or sidecar.toml in the current folder if it exists,
// or "" for the built-in configuration.
//
// A sidecar.toml that is merely found must not belong to another user, because it decides which file
// is read as the secret, where the secret is sent, and which files are written. ConfigFile returns an
// error if the file fails [ownership.Check].
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
		return "", badConfig{fmt.Errorf("cannot trust %s in this folder: %w: to use it anyway, add -config %[1]s", defaultConfigFile, err)}
	}
	return defaultConfigFile, nil
}

// Config loads the configuration that the command line selects.
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
