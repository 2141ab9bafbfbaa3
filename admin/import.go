package admin

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/session"
	"sidekey/internal/problem"
)

// POST /api/import creates and changes users from another system. The body has one JSON object per
// line, see [api.Import]. It is the only endpoint that takes a hash: anywhere else, a hash would be
// hashed as if it were a password. The users of one request are written in one step. If a line is
// wrong, none is written, unless the query has ?skip_bad=1. With ?dry_run=1, lines are only checked.
//
// A line with a session creates the user or overwrites it, as POST does; if it has no hash, the
// stored password stays. A line without a session changes only the password of an existing user, so
// that a list of passwords never widens rights.

// imported is one line after all checks.
type imported struct {
	line    int
	name    session.Name
	session *session.Session // nil: the stored one stays
	hash    string           // "": the stored one stays
	kind    string
}

func (c *call) importUsers() error {
	answer := api.Imported{Refused: []api.ImportNote{}, Warnings: []api.ImportNote{}}
	users, err := c.readImports(&answer)
	if err != nil {
		return err
	}
	answer.Valid = len(users)
	switch {
	case c.query("dry_run") == "1":
	case len(answer.Refused) > 0 && c.query("skip_bad") != "1":
		c.send(fasthttp.StatusBadRequest, answer)
		return nil
	default:
		if err := c.writeImports(users, &answer); err != nil {
			return err
		}
	}
	c.send(fasthttp.StatusOK, answer)
	return nil
}

// readImports decodes and checks every line. It adds the lines that are wrong to answer.
func (c *call) readImports(answer *api.Imported) (users []imported, err error) {
	rules := c.Rules()
	seen := make(map[session.Name]int)
	number := 0
	for line := range bytes.Lines(c.body()) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		u, warnings, err := c.readImport(line, rules)
		var problems problem.List
		switch first, twice := seen[u.name]; {
		case errors.As(err, &problems):
		case err != nil:
			return nil, err
		case twice:
			err = problem.List{{Want: "must not repeat the user of line " + strconv.Itoa(first)}}
		}
		if err != nil {
			answer.Refused = append(answer.Refused, api.ImportNote{Line: number, Username: u.name.User, Message: err.Error()})
			continue
		}
		for _, w := range warnings {
			answer.Warnings = append(answer.Warnings, api.ImportNote{Line: number, Username: u.name.User, Message: w})
		}
		seen[u.name] = number
		u.line = number
		users = append(users, u)
	}
	return users, nil
}

// readImport decodes and checks one line. If the line is wrong, the error is a [problem.List].
func (c *call) readImport(line []byte, rules session.Rules) (u imported, warnings []string, err error) {
	given, unknown, err := api.DecodeImport(line)
	if err != nil {
		return u, nil, err
	}
	if len(unknown) > 0 {
		return u, nil, problem.List{{Field: unknown[0], Want: "a line of an import has no such member"}}
	}
	u.name = session.Name{Org: given.OrgID, User: given.Username}
	if u.name.Org == "" {
		u.name.Org = c.Org
	}
	if err := session.CheckNames(u.name.Org, u.name.User); err != nil {
		return u, nil, err
	}
	if given.Hash != "" {
		if u.kind, err = password.HashKind(given.Hash); err != nil {
			return u, nil, problem.List{{Field: "hash", Want: err.Error()}}
		}
		u.hash = given.Hash
	}
	if given.Session == nil {
		return u, nil, c.checkWithoutSession(u, rules)
	}
	session, unknown, err := session.DecodeSession(given.Session)
	if err != nil {
		return u, nil, err
	}
	for _, field := range unknown {
		warnings = append(warnings, field+": unknown, ignored")
	}
	switch {
	case session.OrgID == "":
		session.OrgID = u.name.Org
	case session.OrgID != u.name.Org:
		return u, nil, problem.List{{Field: "session.org_id", Value: strconv.Quote(session.OrgID), Want: "must be the org of the line, " + strconv.Quote(u.name.Org) + ", or missing"}}
	}
	if session.BasicAuth.Password != "" && u.hash != "" {
		return u, nil, problem.List{{Field: "hash", Want: "must not be given together with a password"}}
	}
	session.Normalise()
	more, err := session.Validate(rules, time.Now().Unix())
	u.session = &session
	return u, append(warnings, more...), err
}

// checkWithoutSession checks a line that has only a password. A user that does not exist yet gets an
// empty session, which the rules may refuse.
func (c *call) checkWithoutSession(u imported, rules session.Rules) error {
	if u.hash == "" {
		return problem.List{{Field: "hash", Want: "missing hash or session"}}
	}
	if rules.AllowEmptyRights {
		return nil
	}
	_, _, err := c.Users.Read(u.name.Org, u.name.User)
	if errors.Is(err, auth.ErrNoUser) {
		return problem.List{{Field: "access_rights", Want: "missing for a new user, which would have no rights (rights.allow_empty_rights = false)"}}
	}
	return err
}

// writeImports writes all users in one step.
func (c *call) writeImports(users []imported, answer *api.Imported) error {
	if len(users) == 0 {
		return nil
	}
	names := make([]session.Name, len(users))
	for i := range users {
		u := &users[i]
		names[i] = u.name
		if u.session != nil && u.session.BasicAuth.Password != "" {
			var err error
			if u.hash, u.kind, err = c.Settings().Passwords.Make(context.Background(), u.session.BasicAuth.Password); err != nil {
				return err
			}
		}
	}
	now := time.Now()
	var added, changed int
	err := c.Users.UpdateMany(names, func(i int, old *session.Record) (*session.Record, error) {
		if old == nil {
			added++
		} else {
			changed++
		}
		return users[i].record(old, now)
	})
	if err != nil {
		return err
	}
	answer.Added, answer.Changed = added, changed
	return nil
}

// record returns the record to store; old is the stored one, or nil if there is none.
func (u *imported) record(old *session.Record, now time.Time) (*session.Record, error) {
	r := session.Record{Org: u.name.Org, User: u.name.User}
	r.Session.OrgID = u.name.Org
	r.Session.DateCreated = now.UTC().Format(time.RFC3339Nano)
	switch {
	case u.session == nil && old != nil && old.Damaged:
		return nil, failure(fasthttp.StatusConflict, "line %d: the record of %q is damaged: write it again (POST) or restore a backup", u.line, u.name.User)
	case u.session == nil && old != nil:
		r = *old
	case u.session != nil:
		created := r.Session.DateCreated
		r.Session = *u.session
		r.Session.DateCreated = created
		if u.hash == "" && old != nil {
			r.Session.BasicAuth = old.Session.BasicAuth
		}
	}
	if u.hash != "" {
		r.Session.BasicAuth.Password, r.Session.BasicAuth.HashType = u.hash, u.kind
	}
	r.Session.LastUpdated = strconv.FormatInt(now.Unix(), 10)
	return &r, nil
}
