package command

import (
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"sidekey/admin/api"
)

// healthcheckCommand is for the HEALTHCHECK of a container, which runs on the machine itself. It needs
// no secret there, and neither reads nor sends one.
func healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask whether sidekey is ready: exit code 0 if it is, else 1",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := Config(cmd)
			if err != nil {
				return err
			}
			c := &client{stderr: cmd.ErrOrStderr()}
			if err := c.dialConfigured(cfg); err != nil {
				return err
			}
			defer c.close()
			c.http.Timeout = 5 * time.Second
			var answer api.Readiness
			err = c.do(request{method: "GET", path: "/readyz"}, &answer)
			if isStatus(err, http.StatusServiceUnavailable) {
				return errors.New("not ready: the store cannot be used")
			}
			if err != nil {
				return err
			}
			return show(cmd, answer, func(t *table) { t.line(answer.Status) })
		},
	}
}
