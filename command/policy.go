package command

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"sidekey/auth/session"
)

func policyCommand(p Program) *cobra.Command {
	cmd := noun("policy", "Show, write and remove policies", policyList(p), policyShow(p), policySet(p), policyDelete(p))
	connectFlags(cmd)
	return cmd
}

const policiesPath = "/api/portal/policies"

func policyPath(id string) string { return policiesPath + "/" + url.PathEscape(id) }

// unknownPolicy replaces the error of a 404 with one that names the policy.
func unknownPolicy(err error, id string) error {
	if isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("no policy %q", id)
	}
	return err
}

func policyList(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List policies",
		Args:  exactly(),
		RunE: withClient(p, false, func(cmd *cobra.Command, _ []string, c *client) error {
			var answer struct {
				Data []session.Policy `json:"Data"`
			}
			if err := c.do(request{method: "GET", path: policiesPath, query: url.Values{"p": {"-1"}}}, &answer); err != nil {
				return err
			}
			return show(cmd, answer.Data, func(t *table) {
				t.row("POLICY", "ORG", "NAME", "ACTIVE", "RATE", "QUOTA", "APIS")
				for _, p := range answer.Data {
					t.row(p.ID, p.OrgID, p.Name, strconv.FormatBool(!p.IsInactive && (p.Active == nil || *p.Active)),
						rateText(p.Rate, p.Per), quotaText(p.QuotaMax, p.QuotaRenewalRate), strings.Join(slices.Sorted(maps.Keys(p.AccessRights)), ","))
				}
			})
		}),
	}
}

func policyShow(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a policy in the JSON form that policy set takes",
		Args:  exactly("ID"),
		RunE: withClient(p, false, func(cmd *cobra.Command, args []string, c *client) error {
			text, err := c.send(request{method: "GET", path: policyPath(args[0])})
			if err != nil {
				return unknownPolicy(err, args[0])
			}
			asJSON, err := wantsJSON(cmd)
			if err != nil || asJSON {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			policy := jsontext.Value(text)
			if err := policy.Indent(jsontext.WithIndent("  ")); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), policy)
			return err
		}),
	}
}

func policySet(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "set ID",
		Short:   "Create or replace a policy; it applies to the next request of all its users",
		Example: "  sidekey policy set gold -file gold.json",
		Args:    exactly("ID"),
		RunE: withClient(p, true, func(cmd *cobra.Command, args []string, c *client) error {
			name, err := cmd.Flags().GetString("file")
			must(err)
			text, err := readFile(cmd, name)
			if err != nil {
				return err
			}
			err = c.do(request{method: "PUT", path: policyPath(args[0]), body: text}, nil)
			what := "changed"
			if isStatus(err, http.StatusNotFound) {
				what = "added"
				if text, err = withID(text, args[0]); err == nil {
					err = c.do(request{method: "POST", path: policiesPath, body: text}, nil)
				}
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return showPolicyDone(cmd, what, args[0])
		}),
	}
	cmd.Flags().String("file", "", "`FILE` with the policy as JSON; - for standard input")
	must(cmd.MarkFlagFilename("file", "json"))
	return cmd
}

// withID adds the id to a policy that is about to be created. A policy with another id has been refused
// by then.
func withID(text []byte, id string) ([]byte, error) {
	var policy map[string]jsontext.Value
	if err := json.Unmarshal(text, &policy); err != nil {
		return nil, err
	}
	quoted, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	policy["id"] = quoted
	return json.Marshal(policy)
}

// readFile reads the file that -file names; "-" is standard input.
func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	switch name {
	case "":
		return nil, usage("missing -file FILE (- for standard input)")
	case "-":
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(name)
}

func showPolicyDone(cmd *cobra.Command, what, id string) error {
	result := struct {
		Done   string `json:"done"`
		Policy string `json:"policy"`
	}{what, id}
	return show(cmd, result, func(t *table) { t.line(fmt.Sprintf("policy %s %s", id, what)) })
}

func policyDelete(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "del ID",
		Short: "Remove a policy; refuses if a user has it",
		Args:  exactly("ID"),
		RunE: withClient(p, false, func(cmd *cobra.Command, args []string, c *client) error {
			query := make(url.Values)
			if force, err := cmd.Flags().GetBool("force"); err == nil && force {
				query.Set("force", "1")
			}
			err := c.do(request{method: "DELETE", path: policyPath(args[0]), query: query}, nil)
			if isStatus(err, http.StatusConflict) && query.Get("force") == "" {
				return fmt.Errorf("%w (on the command line: -force)", err)
			}
			if err != nil {
				return unknownPolicy(err, args[0])
			}
			return showPolicyDone(cmd, "removed", args[0])
		}),
	}
	cmd.Flags().Bool("force", false, "remove it even if users have it; their requests are refused from then on")
	return cmd
}
