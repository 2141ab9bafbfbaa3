package command

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func apiCommand(p Program) *cobra.Command {
	cmd := noun("api", "Show the APIs of the configuration in force", &cobra.Command{
		Use:   "list",
		Short: "List APIs",
		Args:  exactly(),
		RunE: withClient(p, false, func(cmd *cobra.Command, _ []string, c *client) error {
			type api struct {
				ID         string   `json:"id"`
				Name       string   `json:"name"`
				OrgID      string   `json:"org_id"`
				Hosts      []string `json:"hosts"`
				ListenPath string   `json:"listen_path"`
				Versions   []string `json:"versions"`
				Active     bool     `json:"active"`
				Rate       float64  `json:"rate"`
				Per        float64  `json:"per"`
			}
			var answer struct {
				APIs []api `json:"apis"`
			}
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
