package command

import (
	"strings"

	"github.com/spf13/cobra"

	"sidekey/auth"
)

func explainCommand(p Program) *cobra.Command {
	question := auth.Question{Headers: make(map[string]string)}
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Show, check by check, how a request would be decided; nothing is used up",
		Example: "  sidekey explain -user alice -path /orders/1\n" +
			"  sidekey explain -header 'Authorization: Basic YWxpY2U6cHcK' -dialect envoy",
		Args: exactly(),
		RunE: withClient(p, false, func(cmd *cobra.Command, _ []string, c *client) error {
			if d := question.Dialect; d != "envoy" && d != "nginx" && d != "forward" {
				return usage(`-dialect %q: must be "nginx", "envoy" or "forward"`, d)
			}
			lines, err := cmd.Flags().GetStringArray("header")
			must(err)
			for _, line := range lines {
				name, value, found := strings.Cut(line, ":")
				if !found {
					return usage("-header %q: must be 'NAME: VALUE'; without a value, the proxy leaves the header out", line)
				}
				question.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
			if question.User != "" {
				if question.Password, err = readPassword(cmd, false); err != nil {
					return err
				}
			}
			var e auth.Explanation
			if err := c.do(request{method: "POST", path: "/api/explain", body: question}, &e); err != nil {
				return err
			}
			if err := show(cmd, e, func(t *table) { explained(t, e) }); err != nil || e.Passed {
				return err
			}
			return exit(ExitFailed)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&question.User, "user", "", "`USER` of the request; its password comes from the terminal or -password-stdin")
	flags.StringVar(&question.Org, "org", "", "`ORG` of the user; by default that of the API")
	flags.StringVar(&question.API, "api", "", "`API` that the proxy names; by default it is found by host and path")
	flags.StringVar(&question.Method, "method", "GET", "`METHOD` of the request")
	flags.StringVar(&question.Host, "host", "", "`HOST` of the request")
	flags.StringVar(&question.Path, "path", "/", "`PATH` of the request, with its query")
	flags.StringVar(&question.Dialect, "dialect", "nginx", `how the proxy asks: "nginx", "envoy" or "forward"`)
	flags.StringArray("header", nil, "`'NAME: VALUE'` that the proxy sends in addition, or instead of its usual header")
	passwordFlag(cmd)
	connectFlags(cmd)
	return cmd
}

// explained writes an explanation as a table with the outcome below it.
func explained(t *table, e auth.Explanation) {
	t.row("CHECK", "RESULT", "WHAT DECIDED", "HINT")
	for _, s := range e.Steps {
		mark := "passed"
		if !s.Passed {
			mark = "REFUSED"
		}
		t.row(s.Check, mark, s.Value, s.Hint)
	}
	if e.Passed {
		t.line("\nIt would pass.")
		return
	}
	t.line("\nIt would be refused: " + e.Reason + " (" + e.Message + ")")
}
