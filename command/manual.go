package command

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manualCommand writes man pages, from the same text as the help.
func manualCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "manual FOLDER",
		Short:   "Write the man pages into a folder",
		Example: "  sidekey manual /usr/local/share/man/man1",
		Args:    exactly("FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // without a date, so that the same version makes the same pages
			header := doc.GenManHeader{Title: "SIDEKEY", Section: "1", Source: "sidekey " + root.Version, Manual: "sidekey"}
			if err := doc.GenManTree(root, &header, args[0]); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "wrote the man pages into", args[0])
			return nil
		},
	}
}
