package command

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sidekey/admin/api"
)

func apiCommand(p Program) *cobra.Command {
	cmd := noun("api", "Show the APIs of the configuration in force", &cobra.Command{
		Use:   "list",
		Short: "List APIs",
		Args:  exactly(),
		RunE: withClient(p, false, func(cmd *cobra.Command, _ []string, c *client) error {
			var answer api.APIs
			if err := c.do(request{method: "GET", path: "/api/apis"}, &answer); err != nil {
				return err
			}
			return show(cmd, answer.APIs, func(t *table) {
				t.row("API", "ORG", "HOSTS", "PATH", "VERSIONS", "ACTIVE", "RATE", "NAME")
				for _, a := range answer.APIs {
					t.row(a.ID, a.OrgID, strings.Join(a.Hosts, ","), a.ListenPath, strings.Join(a.Versions, ","), strconv.FormatBool(a.Active), rateText(a.Rate, a.Per), a.Name)
				}
			})
		}),
	})
	connectFlags(cmd)
	return cmd
}
