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

// POST /api/import takes users from elsewhere, one JSON object a line ([auth.Import]),
// and is the only way in for a hash: everywhere else a hash that is sent back would
// become the password. The users of one request are written in one step, or none of them
// where a line is wrong, unless ?skip_bad=1. ?dry_run=1 checks and writes nothing.
//
// A line with a session creates the user or overwrites it, as POST does; without a hash
// the old password stays. A line without a session changes the password of a user who
// exists and nothing else, so that a list of passwords never widens a right.

// imported is a line, checked and ready.
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

// readImports reads and checks every line. What is wrong with one is noted in answer.
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
			err = problem.List{{Want: "this user stands in line " + strconv.Itoa(first) + " already"}}
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

// readImport checks one line. The problems of a line come back as [problem.List].
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

// checkWithoutSession checks a line that brings a password alone. A user who does not
// exist yet gets an empty session, which the rules may refuse.
func (c *call) checkWithoutSession(u imported, rules session.Rules) error {
	if u.hash == "" {
		return problem.List{{Field: "hash", Want: "missing hash or session"}}
	}
	if rules.AllowEmptyRights {
		return nil
	}
	_, _, err := c.Users.Read(u.name.Org, u.name.User)
	if errors.Is(err, auth.ErrNoUser) {
		return problem.List{{Field: "access_rights", Want: "missing for a new user, who would have no right (rights.allow_empty_rights = false)"}}
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

// record is what becomes of a user's record; old is nil where there is none.
func (u *imported) record(old *session.Record, now time.Time) (*session.Record, error) {
	r := session.Record{Org: u.name.Org, User: u.name.User}
	r.Session.OrgID = u.name.Org
	r.Session.DateCreated = now.UTC().Format(time.RFC3339Nano)
	switch {
	case u.session == nil && old != nil && old.Damaged:
		return nil, failure(fasthttp.StatusConflict, "line %d: the record of %q is damaged: write it anew (POST) or restore a backup", u.line, u.name.User)
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
