package admin

import (
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/internal/problem"
)

// maxPatches is how often a change is tried if other writes interfere.
const maxPatches = 10

// dashboardPatch changes the members of the stored session that are in the body, and nothing else
// (JSON Merge Patch, RFC 7396). The values of policies are not written into the session, and quota and
// rate continue.
func (c *call) dashboardPatch() error {
	name, err := c.name()
	if err != nil {
		return err
	}
	for range maxPatches {
		c.ctx.Response.Header.Del(warningHeader) // from the previous attempt
		u, done, err := c.patch(name)
		if err != nil || done {
			return c.dashboardAnswer(u, err)
		}
	}
	return failure(fasthttp.StatusConflict, "The user is being changed by other requests: try again")
}

// errChanged means that another write has changed the record since it was read.
var errChanged = errors.New("the record has changed")

// patch tries once to change a user. done is false if another write came in between: then the result
// would be a session that was never checked.
func (c *call) patch(name session.Name) (_ found, done bool, err error) {
	old, _, err := c.Users.Read(name.Org, name.User)
	if errors.Is(err, auth.ErrNoUser) {
		return found{}, false, dashboardMissing
	}
	if err != nil {
		return found{}, false, err
	}
	sess, unknown, err := session.PatchSession(old.Session, c.body())
	if err != nil {
		return found{}, false, err
	}
	if sess.OrgID != name.Org {
		return found{}, false, problem.List{{Field: "org_id", Value: strconv.Quote(sess.OrgID), Want: "must be the user's org, " + strconv.Quote(name.Org)}}
	}
	if err := c.reportUnknown(unknown, "a session"); err != nil {
		return found{}, false, err
	}
	sess.Normalise()
	rules := c.Rules()
	rules.Before = &old.Session
	warnings, err := sess.Validate(rules, time.Now().Unix())
	if err != nil {
		return found{}, false, err
	}
	c.warn(warnings)
	if sess.BasicAuth.Password == "" {
		sess.BasicAuth = old.Session.BasicAuth
	} else if err := c.hashPassword(&sess); err != nil {
		return found{}, false, err
	}
	before, err := json.Marshal(old.Session, json.Deterministic(true))
	if err != nil {
		return found{}, false, err
	}
	stored, err := c.Users.Update(name.Org, name.User, func(now *session.Record) (*session.Record, error) {
		if now == nil || now.Damaged || now.Generation != old.Generation {
			return nil, errChanged
		}
		if text, err := json.Marshal(now.Session, json.Deterministic(true)); err != nil || string(text) != string(before) {
			return nil, errChanged
		}
		r := *now
		created := r.Session.DateCreated
		r.Session = sess
		r.Session.DateCreated = created
		r.Session.LastUpdated = strconv.FormatInt(time.Now().Unix(), 10)
		return &r, nil
	})
	if errors.Is(err, errChanged) {
		return found{}, false, nil
	}
	if err != nil {
		return found{}, false, err
	}
	return c.show(stored, c.keptQuotas(name)), true, nil
}
