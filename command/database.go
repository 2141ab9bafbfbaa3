package command

import (
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sidekey/config"
)

// databaseAction is a command about the database as a whole. The program provides its function, because
// it may work on the file, while commands about users only use the admin API.
type databaseAction struct {
	use   string
	short string
	run   func(DatabaseOptions) (DatabaseOutcome, error)
	// readsFile makes the command read the file if sidekey is not running.
	readsFile bool
}

func databaseCommands(p Program) []databaseAction {
	return []databaseAction{
		{"backup FILE", "write a copy of the database to a file", p.Backup, false},
		{"restore FILE", "replace the database with a backup; the old one stays under another name", p.Restore, false},
		{"check-db [FILE]", "list the damaged records of the database, or of a backup", p.CheckDatabase, true},
		{"compact", "give the disk space of deleted records back", p.Compact, false},
	}
}

// DatabaseOptions holds the flags and the argument of a command about the database as a whole.
type DatabaseOptions struct {
	Config  config.Config
	File    string // "" = not given
	Admin   string // URL of an admin listener other than the configured one
	Offline bool
	// Ask sends a request without a body to the admin listener and copies the body of the answer. If
	// no process listens, the error is [ErrNotRunning].
	Ask func(method, path string, answer io.Writer) error
}

// DatabaseOutcome is the result of such a command: as an object for -o json, and as text.
type DatabaseOutcome struct {
	Object any
	Text   string
	Failed bool // the command has done its work, and the result is bad
}

func databaseCommand(d databaseAction) *cobra.Command {
	cmd := &cobra.Command{
		Use:   d.use,
		Short: d.short,
		Args:  fileArgument(d.use),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := wantsJSON(cmd); err != nil {
				return err
			}
			cfg, err := Config(cmd)
			if err != nil {
				return err
			}
			o := DatabaseOptions{Config: cfg}
			if len(args) > 0 {
				o.File = args[0]
			}
			o.Admin, err = cmd.Flags().GetString("admin")
			must(err)
			o.Offline, err = cmd.Flags().GetBool("offline")
			must(err)
			switch {
			case o.Offline && o.Admin != "":
				return usage("-admin and -offline exclude each other")
			case o.Admin != "" && secretFromEnvironment() == "":
				return usage("-admin: missing the secret of that listener in %s", secretVariable)
			}
			o.Ask = func(method, path string, answer io.Writer) error {
				c := &client{org: cfg.Admin.OrgID, owners: trustedOwners(cmd, cfg), stderr: cmd.ErrOrStderr()}
				connect := func() error { return c.configure(cfg) }
				if o.Admin != "" {
					connect = func() error { return c.pointAt(o.Admin) }
				}
				if err := connect(); err != nil {
					return err
				}
				return errors.Join(c.copy(request{method: method, path: path}, answer), c.close())
			}
			outcome, err := d.run(o)
			if d.readsFile && errors.Is(err, ErrNotRunning) && o.Admin == "" {
				o.Offline = true
				outcome, err = d.run(o)
			}
			if err != nil {
				return err
			}
			if err := show(cmd, outcome.Object, func(t *table) { t.line(outcome.Text) }); err != nil || !outcome.Failed {
				return err
			}
			return exit(ExitFailed)
		},
	}
	connectFlags(cmd)
	return cmd
}

// fileArgument requires the argument that the command's line of use names.
func fileArgument(use string) cobra.PositionalArgs {
	switch {
	case strings.HasSuffix(use, " FILE"):
		return exactly("FILE")
	case strings.HasSuffix(use, " [FILE]"):
		return func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("FILE")(cmd, args)
		}
	}
	return exactly()
}
