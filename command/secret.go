package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sidekey/config"
	"sidekey/internal/ownership"
	"sidekey/internal/secretfile"
)

// secretCommand prints the admin secret to users that can read its file, for programs such as curl.
// With -header, curl can read it from a file and not from an argument, which every user of the machine
// could see.
func secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "secret",
		Short:   "Print the admin secret",
		Example: "  curl -H @<(sidekey secret -header) http://127.0.0.1:9192/api/apis",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			inJSON, err := wantsJSON(cmd)
			if err != nil {
				return err
			}
			asHeader, err := cmd.Flags().GetBool("header")
			must(err)
			if inJSON && asHeader {
				return usage("-header and -o json exclude each other")
			}
			cfg, err := Config(cmd)
			if err != nil {
				return err
			}
			secret, err := readSecret(cfg, trustedOwners(cmd, cfg))
			if err != nil {
				return err
			}
			if asHeader {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "Authorization:", secret)
				return err
			}
			return show(cmd, map[string]string{"secret": secret}, func(t *table) { t.line(secret) })
		},
	}
	cmd.Flags().Bool("header", false, "print it as an HTTP header, for curl -H @FILE")
	return cmd
}

// readSecret returns the secret in the environment, or else in the configured file. The file must pass
// the same checks as at the start of the program, and belong to one of owners.
func readSecret(cfg config.Config, owners []int) (string, error) {
	if secret := secretFromEnvironment(); secret != "" {
		return secret, nil
	}
	text, err := secretfile.Read(cfg.SecretPath(), owners...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", notRunning{fmt.Errorf("no admin secret at %s: start sidekey once, add its -config, or set %s", cfg.SecretPath(), secretVariable)}
	case err != nil:
		return "", fmt.Errorf("cannot read the admin secret: %w: run this command as the user that runs sidekey, or set %s", err, secretVariable)
	}
	first, _, _ := strings.Cut(text, "\n") // there are two while clients change over
	return strings.TrimRight(first, "\r"), nil
}

func secretFromEnvironment() string { return strings.TrimRight(os.Getenv(secretVariable), "\r\n") }

// trustedOwners returns the ids of the users whose secret file and socket a command trusts: root and
// the caller; if the caller is root, also the owner of data_dir, as which sidekey runs.
//
// Without a configuration file, data_dir is whatever folder of that name the current folder has. Its
// owner is not trusted then: another user can have put it there, with a secret that a listener of
// that user proves to know.
func trustedOwners(cmd *cobra.Command, cfg config.Config) []int {
	owners := []int{0, os.Geteuid()}
	if file, err := ConfigFile(cmd); err != nil || file == "" {
		return owners
	}
	if info, err := os.Stat(cfg.DataDir); err == nil && os.Geteuid() == 0 {
		if owner, known := ownership.Owner(info); known {
			owners = append(owners, owner)
		}
	}
	return owners
}
