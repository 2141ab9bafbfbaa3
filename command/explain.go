package command

import (
	"strings"

	"github.com/spf13/cobra"

	"sidekey/auth"
)

func explainCommand(p Program) *cobra.Command {
	question := map[string]any{}
	headers := map[string]string{}
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say, check by check, what would become of a request; nothing is used up",
		Example: "  sidekey explain -user alice -path /orders/1\n" +
			"  sidekey explain -header 'Authorization: Basic YWxpY2U6cHcK' -dialect envoy",
		Args: exactly(),
		RunE: withClient(p, false, func(cmd *cobra.Command, _ []string, c *client) error {
			for _, name := range []string{"user", "org", "api", "method", "host", "path", "dialect"} {
				value, err := cmd.Flags().GetString(name)
				must(err)
				question[name] = value
			}
			if d := question["dialect"]; d != "envoy" && d != "nginx" && d != "forward" {
				return usage(`-dialect %q: must be "nginx", "envoy" or "forward"`, d)
			}
			lines, err := cmd.Flags().GetStringArray("header")
			must(err)
			for _, line := range lines {
				name, value, found := strings.Cut(line, ":")
				if !found {
					return usage("-header %q: must be 'NAME: VALUE'; without a value, the proxy leaves the header out", line)
				}
				headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
			question["headers"] = headers
			if question["user"] != "" {
				if question["password"], err = readPassword(cmd, false); err != nil {
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
	flags.String("user", "", "`USER` who asks; the password comes from the terminal or -password-stdin")
	flags.String("org", "", "`ORG` that the user is thought to be of")
	flags.String("api", "", "`API` that the proxy names; by default it is found by host and path")
	flags.String("method", "GET", "request `METHOD`")
	flags.String("host", "", "`HOST` of the request")
	flags.String("path", "/", "`PATH` of the request, with its query")
	flags.String("dialect", "nginx", `how the proxy asks: "nginx", "envoy" or "forward"`)
	flags.StringArray("header", nil, "`'NAME: VALUE'` that the proxy sends besides, or in the place of what it usually sends")
	passwordFlag(cmd)
	connectFlags(cmd)
	return cmd
}

// explained writes an explanation as a table, and then what would become of the request.
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
