package command

import (
	"fmt"

	"github.com/spf13/cobra"
)

func serveCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve proxies and the admin API (the default)",
		Args:  exactly(),
		RunE:  serve(p),
	}
}

func serve(p Program) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		path, err := ConfigFile(cmd)
		if err != nil {
			return err
		}
		if code := p.Serve(path, cmd.ErrOrStderr()); code != ExitDone {
			return exit(code)
		}
		return nil
	}
}

func checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-config",
		Short: "Check a configuration and list its problems",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := ConfigFile(cmd)
			if err != nil {
				return err
			}
			cfg, err := Config(cmd)
			if err != nil {
				return err
			}
			for _, warning := range cfg.Warnings() {
				fmt.Fprintln(cmd.ErrOrStderr(), "sidekey: warning:", warning)
			}
			if path == "" {
				path = "the built-in configuration"
			}
			fmt.Fprintln(cmd.OutOrStdout(), path, "is good")
			return nil
		},
	}
}

func versionCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd, map[string]string{"version": p.Version}, func(t *table) { t.line("sidekey " + p.Version) })
		},
	}
}
