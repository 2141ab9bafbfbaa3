package command

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"sidekey/admin/api"
	"sidekey/auth/session"
)

// Password hashes never leave the admin listener, so an export from a running sidekey has none. With
// -offline, the command reads the database file itself, which needs the permission to.

func exportCommand(p Program) *cobra.Command {
	cmd := noun("export", "Write users to standard output",
		exportOf(p, "htpasswd", "Write names and password hashes as an htpasswd file; -offline only", writeHtpasswd),
		exportOf(p, "tyk", "Write sessions as Tyk stores them in Redis, KEY SESSION per line; hashes only with -offline", writeTyk),
		exportOf(p, "json", "Write a JSON object per line, for import json; hashes only with -offline", writeOwn))
	connectFlags(cmd)
	return cmd
}

// writer writes the stored record of one user. It returns why the user is left out, or "".
type writer func(w io.Writer, r session.Record) (leftOut string, err error)

func exportOf(p Program, name, short string, write writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  exactly(),
		RunE: withClient(p, false, func(cmd *cobra.Command, _ []string, c *client) error {
			if name == "htpasswd" && c.offline == nil {
				return fmt.Errorf("an htpasswd file consists of hashes, which never leave a running sidekey: stop it and add -offline")
			}
			org, err := cmd.Flags().GetString("org")
			must(err)
			if name == "htpasswd" && org == "" {
				org = c.org // an htpasswd file has no orgs
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			leftOut := make(map[string]int)
			err = c.eachRecord(org, func(r session.Record) error {
				why := "their records are damaged"
				if !r.Damaged {
					var err error
					if why, err = write(out, r); err != nil {
						return err
					}
				}
				if why != "" {
					leftOut[why]++
				}
				return nil
			})
			if err == nil {
				err = out.Flush()
			}
			if err != nil {
				return err
			}
			for _, why := range slices.Sorted(maps.Keys(leftOut)) {
				fmt.Fprintf(c.stderr, "sidekey: %d users were left out: %s\n", leftOut[why], why)
			}
			if len(leftOut) > 0 {
				return exit(ExitFailed)
			}
			return nil
		}),
	}
	cmd.Flags().String("org", "", "only users of `ORG`")
	return cmd
}

// eachRecord calls f for every user of an org, or of all orgs ("").
func (c *client) eachRecord(org string, f func(session.Record) error) error {
	if c.offline == nil {
		query := url.Values{"raw": {"1"}}
		if org != "" {
			query.Set("org_id", org)
		}
		return c.eachUser(query, func(u api.User) error {
			return f(session.Record{Org: u.OrgID, User: u.Username, Session: u.Session, Damaged: u.State == "damaged"})
		})
	}
	const part = 1000
	var last session.Name
	for {
		records, err := c.offline.Records(last, part)
		if err != nil {
			return err
		}
		for _, r := range records {
			last = r.Name()
			if org != "" && r.Org != org {
				continue
			}
			if err := f(r); err != nil {
				return err
			}
		}
		if len(records) < part {
			return nil
		}
	}
}

func writeHtpasswd(w io.Writer, r session.Record) (leftOut string, err error) {
	switch b := r.Session.BasicAuth; {
	case b.Password == "":
		return "they have no password", nil
	case b.HashType == "argon2id":
		return "Apache and NGINX cannot read their argon2id hashes", nil
	default:
		_, err = fmt.Fprintf(w, "%s:%s\n", r.User, b.Password)
		return "", err
	}
}

// writeTyk writes a user in the form of Tyk's Redis keys. It adds the user's name, which Tyk ignores,
// because the name cannot be computed from the key.
func writeTyk(w io.Writer, r session.Record) (leftOut string, err error) {
	r.Session.BasicAuth.User = r.User
	text, err := sessionText(r.Session)
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(w, "apikey-%s %s\n", r.Name().KeyHash(), text)
	return "", err
}

func writeOwn(w io.Writer, r session.Record) (leftOut string, err error) {
	line := api.Import{OrgID: r.Org, Username: r.User, Hash: r.Session.BasicAuth.Password}
	r.Session.BasicAuth = session.BasicAuth{}
	if line.Session, err = sessionText(r.Session); err != nil {
		return "", err
	}
	return "", printJSON(w, line)
}

// sessionText returns a session without its zero members, as Tyk stores it.
func sessionText(s session.Session) (jsontext.Value, error) {
	return json.Marshal(s, json.OmitZeroStructFields(true), json.Deterministic(true))
}
