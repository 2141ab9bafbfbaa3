package command

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"sidekey/admin/api"
	"sidekey/auth/session"
)

func userCommand(p Program) *cobra.Command {
	cmd := noun("user", "Add, change, show and remove users",
		userAdd(p), userSet(p), userList(p), userShow(p), userDelete(p), userReset(p), userPassword(p), userVerify(p))
	connectFlags(cmd)
	return cmd
}

// userAnswer is a user in the form of the Dashboard's API.
type userAnswer struct {
	KeyID   string          `json:"key_id"`
	KeyHash string          `json:"key_hash"`
	Data    session.Session `json:"data"`
}

// done is the result of a command that changes a user.
type done struct {
	Done     string `json:"done"`
	OrgID    string `json:"org_id,omitzero"`
	Username string `json:"username,omitzero"`
}

func showDone(cmd *cobra.Command, what, org, name string) error {
	return show(cmd, done{what, org, name}, func(t *table) { t.line(fmt.Sprintf("user %s %s", name, what)) })
}

func inOrg(org string) url.Values { return url.Values{"org_id": {org}} }

func userAdd(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "add NAME",
		Short:   "Add a user; asks for the password",
		Example: "  sidekey user add alice -rate 100/1m -quota 1000/24h -api orders:v1,v2 -tag staff",
		Args:    exactly("NAME"),
		RunE: withClient(p, true, func(cmd *cobra.Command, args []string, c *client) error {
			session, err := sessionOf(cmd.Flags(), nil)
			if err != nil {
				return err
			}
			password, err := readPassword(cmd, true)
			if err != nil {
				return err
			}
			org := c.orgOf(cmd)
			session["org_id"] = org
			session["basic_auth_data"] = members{"password": password}
			for name, value := range session {
				if value == nil {
					delete(session, name)
				}
			}
			err = c.do(request{
				method: "POST", path: userPath(args[0]), body: session,
				header: http.Header{"If-None-Match": {"*"}},
			}, nil)
			if isStatus(err, http.StatusPreconditionFailed) {
				return fmt.Errorf("%w: change it with user set, or its password with user passwd", err)
			}
			if err != nil {
				return err
			}
			return showDone(cmd, "added", org, args[0])
		}),
	}
	orgFlag(cmd)
	sessionFlags(cmd)
	passwordFlag(cmd)
	return cmd
}

func userSet(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "set NAME",
		Short:   "Change the given members of a user, and nothing else; rate and quota continue",
		Example: "  sidekey user set alice -quota 5000/24h -meta team=blue\n  sidekey user set alice -inactive",
		Args:    exactly("NAME"),
		RunE: withClient(p, false, func(cmd *cobra.Command, args []string, c *client) error {
			org := c.orgOf(cmd)
			var rights []string
			if cmd.Flags().Changed("api") {
				query := inOrg(org)
				query.Set("raw", "1")
				var before userAnswer
				if err := c.do(request{method: "GET", path: userPath(args[0]), query: query}, &before); err != nil {
					return unknownUser(err, args[0], org)
				}
				rights = slices.Collect(maps.Keys(before.Data.AccessRights))
			}
			changes, err := sessionOf(cmd.Flags(), rights)
			if err != nil {
				return err
			}
			if len(changes) == 0 {
				return usage("missing a flag with a change, such as -rate 100/1m")
			}
			if err := c.do(request{method: "PATCH", path: userPath(args[0]), query: inOrg(org), body: changes}, nil); err != nil {
				return unknownUser(err, args[0], org)
			}
			return showDone(cmd, "changed", org, args[0])
		}),
	}
	orgFlag(cmd)
	sessionFlags(cmd)
	return cmd
}

// unknownUser replaces the error of a 404 with one that names the user.
func unknownUser(err error, name, org string) error {
	if isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("no user %q in org %q", name, org)
	}
	return err
}

func userList(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List users",
		Args:  exactly(),
		RunE: withClient(p, false, func(cmd *cobra.Command, _ []string, c *client) error {
			query := make(url.Values)
			for flag, name := range map[string]string{"query": "q", "org": "org_id"} {
				if text, err := cmd.Flags().GetString(flag); err == nil && text != "" {
					query.Set(name, text)
				}
			}
			users := make([]api.User, 0)
			if err := c.eachUser(query, func(u api.User) error {
				users = append(users, u)
				return nil
			}); err != nil {
				return err
			}
			return show(cmd, users, func(t *table) {
				t.row("USER", "ORG", "STATE", "RATE", "QUOTA", "LEFT", "EXPIRES", "APIS", "POLICIES", "ALIAS")
				for _, u := range users {
					s := u.Session
					t.row(u.Username, u.OrgID, u.State, rateText(s.Rate, s.Per), quotaText(s.QuotaMax, s.QuotaRenewalRate), leftText(s),
						timeText(s.Expires), strings.Join(slices.Sorted(maps.Keys(s.AccessRights)), ","), strings.Join(s.ApplyPolicies, ","), s.Alias)
				}
			})
		}),
	}
	cmd.Flags().StringP("query", "q", "", "only users whose name, alias or tag contains `TEXT`")
	cmd.Flags().String("org", "", "only users of `ORG`")
	return cmd
}

func leftText(s session.Session) string {
	if s.QuotaMax <= 0 {
		return ""
	}
	return strconv.FormatInt(s.QuotaRemaining, 10)
}

// timeText formats Unix seconds; 0 and less mean never.
func timeText(unix int64) string {
	if unix <= 0 {
		return ""
	}
	return time.Unix(unix, 0).UTC().Format(time.RFC3339)
}

func userShow(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a user with its policies applied and the rest of its quota",
		Args:  exactly("NAME"),
		RunE: withClient(p, false, func(cmd *cobra.Command, args []string, c *client) error {
			org := c.orgOf(cmd)
			var u userAnswer
			if err := c.do(request{method: "GET", path: userPath(args[0]), query: inOrg(org)}, &u); err != nil {
				return unknownUser(err, args[0], org)
			}
			return show(cmd, u, func(t *table) { userTable(t, args[0], u) })
		}),
	}
	orgFlag(cmd)
	return cmd
}

func userTable(t *table, name string, u userAnswer) {
	s := u.Data
	t.row("user", name)
	t.row("org", s.OrgID)
	t.row("alias", s.Alias)
	t.row("inactive", strconv.FormatBool(s.IsInactive))
	t.row("expires", timeText(s.Expires))
	t.row("rate", rateText(s.Rate, s.Per))
	t.row("quota", quotaText(s.QuotaMax, s.QuotaRenewalRate))
	t.row("quota left", leftText(s))
	if s.QuotaMax > 0 {
		t.row("quota renews", timeText(s.QuotaRenews))
	}
	t.row("policies", strings.Join(s.ApplyPolicies, ", "))
	t.row("tags", strings.Join(s.Tags, ", "))
	for _, name := range slices.Sorted(maps.Keys(s.MetaData)) {
		t.row("meta "+name, plainText(s.MetaData[name]))
	}
	for _, id := range slices.Sorted(maps.Keys(s.AccessRights)) {
		t.row("api "+id, rightText(s.AccessRights[id]))
	}
	if len(s.AccessRights) == 0 {
		t.row("api", "all of the org")
	}
	t.row("password", s.BasicAuth.HashType)
	t.row("key hash", u.KeyHash)
	t.row("created", s.DateCreated)
}

// plainText returns the text of a JSON string, and any other value as JSON.
func plainText(value jsontext.Value) string {
	var text string
	if err := json.Unmarshal(value, &text); err == nil && !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	return string(value)
}

// rightText describes a right, except for its API.
func rightText(r session.Right) string {
	var parts []string
	if len(r.Versions) > 0 {
		parts = append(parts, "versions "+strings.Join(r.Versions, ", "))
	}
	for _, u := range r.AllowedURLs {
		parts = append(parts, strings.Join(u.Methods, ",")+" "+u.URL)
	}
	if l := r.Limit; l != nil {
		for _, text := range []struct{ name, value string }{{"rate ", rateText(l.Rate, l.Per)}, {"quota ", quotaText(l.QuotaMax, l.QuotaRenewalRate)}} {
			if text.value != "" {
				parts = append(parts, text.name+text.value)
			}
		}
	}
	return strings.Join(parts, "; ")
}

func userDelete(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "del NAME",
		Short: "Remove a user",
		Args:  exactly("NAME"),
		RunE: withClient(p, false, func(cmd *cobra.Command, args []string, c *client) error {
			org := c.orgOf(cmd)
			if err := c.do(request{method: "DELETE", path: userPath(args[0]), query: inOrg(org)}, nil); err != nil {
				return unknownUser(err, args[0], org)
			}
			return showDone(cmd, "removed", org, args[0])
		}),
	}
	orgFlag(cmd)
	return cmd
}

func userReset(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset NAME",
		Short: "Give a user its whole quota and rate back",
		Args:  exactly("NAME"),
		RunE: withClient(p, false, func(cmd *cobra.Command, args []string, c *client) error {
			org := c.orgOf(cmd)
			if err := c.do(request{method: "POST", path: "/tyk/keys/reset/" + url.PathEscape(args[0]), query: inOrg(org)}, nil); err != nil {
				return unknownUser(err, args[0], org)
			}
			return showDone(cmd, "has its whole quota and rate back", org, args[0])
		}),
	}
	orgFlag(cmd)
	return cmd
}

func userPassword(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Change the password of a user; rate and quota continue",
		Args:  exactly("NAME"),
		RunE: withClient(p, false, func(cmd *cobra.Command, args []string, c *client) error {
			password, err := readPassword(cmd, true)
			if err != nil {
				return err
			}
			org := c.orgOf(cmd)
			change := members{"basic_auth_data": members{"password": password}}
			if err := c.do(request{method: "PATCH", path: userPath(args[0]), query: inOrg(org), body: change}, nil); err != nil {
				return unknownUser(err, args[0], org)
			}
			return showDone(cmd, "has a new password", org, args[0])
		}),
	}
	orgFlag(cmd)
	passwordFlag(cmd)
	return cmd
}

func userVerify(p Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify NAME",
		Short: "Verify the password of a user: exit code 0 if it is right, else 1",
		Args:  exactly("NAME"),
		RunE: withClient(p, false, func(cmd *cobra.Command, args []string, c *client) error {
			password, err := readPassword(cmd, false)
			if err != nil {
				return err
			}
			question := api.Verify{OrgID: c.orgOf(cmd), Username: args[0], Password: password}
			var answer api.Verified
			if err := c.do(request{method: "POST", path: "/api/verify", body: question}, &answer); err != nil {
				return err
			}
			text := "the password is right"
			if !answer.Right {
				text = "wrong password, or no such user"
			}
			if err := show(cmd, answer, func(t *table) { t.line(text) }); err != nil || answer.Right {
				return err
			}
			return exit(ExitFailed)
		}),
	}
	orgFlag(cmd)
	passwordFlag(cmd)
	return cmd
}
