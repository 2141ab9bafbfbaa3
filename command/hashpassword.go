package command

import (
	"github.com/spf13/cobra"

	"sidekey/auth/session"
)

func hashPasswordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash-password",
		Short: "Hash a password as configured; import htpasswd takes the result",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := Config(cmd)
			if err != nil {
				return err
			}
			password, err := readPassword(cmd, true)
			if err != nil {
				return err
			}
			hash := cfg.Passwords.Maker()
			if err := session.CheckPassword(password, hash.MaxPassword()); err != nil {
				return err
			}
			text, err := hash.Make([]byte(password))
			if err != nil {
				return err
			}
			result := struct {
				Kind string `json:"kind"`
				Hash string `json:"hash"`
			}{hash.Kind(), text}
			return show(cmd, result, func(t *table) { t.line(text) })
		},
	}
	passwordFlag(cmd)
	return cmd
}
