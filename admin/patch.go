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

// mostPatches is how often a change is tried that meets another one.
const mostPatches = 10

// dashboardPatch changes what the body names in the session as it is stored, and nothing
// else: policies stay policies, and quota and rate go on (JSON Merge Patch, RFC 7396).
func (c *call) dashboardPatch() error {
	name, err := c.name()
	if err != nil {
		return err
	}
	for range mostPatches {
		c.ctx.Response.Header.Del(warningHeader) // of the try before
		u, done, err := c.patch(name)
		if err != nil || done {
			return c.dashboardAnswer(u, err)
		}
	}
	return failure(fasthttp.StatusConflict, "The user was changed by others all the while: try again")
}

// errMeanwhile says that a record is no longer the one that was changed.
var errMeanwhile = errors.New("changed meanwhile")

// patch changes a user once. done is false where another write came between: what was
// checked is not what would have been stored.
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
			return nil, errMeanwhile
		}
		if text, err := json.Marshal(now.Session, json.Deterministic(true)); err != nil || string(text) != string(before) {
			return nil, errMeanwhile
		}
		r := *now
		created := r.Session.DateCreated
		r.Session = sess
		r.Session.DateCreated = created
		r.Session.LastUpdated = strconv.FormatInt(time.Now().Unix(), 10)
		return &r, nil
	})
	if errors.Is(err, errMeanwhile) {
		return found{}, false, nil
	}
	if err != nil {
		return found{}, false, err
	}
	return c.show(stored, c.keptQuotas(name)), true, nil
}
