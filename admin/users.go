package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/problem"
)

// found is a user in the form that both dialects show: the record with the live state of its quota,
// and without its secrets.
type found struct {
	session.Record
	blocked string // the policy that refuses the user, and why; "" = none

	tooLarge []string // ids of APIs whose requests are refused, see [auth.Effective.TooLarge]
}

// state says whether the user may log in, and if not, why. It is text for people.
func (u found) state() string {
	switch expires := u.Session.Expires; {
	case u.blocked != "":
		return "inactive: " + u.blocked
	case u.Session.IsInactive:
		return "inactive"
	case expires > 0 && expires <= time.Now().Unix():
		return "expired"
	case len(u.tooLarge) > 0:
		return "active, but " + u.refusedPaths()
	}
	return "active"
}

// refusedPaths says which APIs are refused because the right to them is too large.
func (u found) refusedPaths() string {
	return fmt.Sprintf("requests to %s are refused, because the right has too many patterns", strings.Join(u.tooLarge, ", "))
}

// write is a session that is about to be stored, after all checks.
type write struct {
	name    session.Name
	session session.Session
	secret  string // hmac_string of the body; session holds it only sealed, or not at all
	keep    bool   // ?suppress_reset=1: quota and rate continue
}

// readSession decodes and checks the session in the request's body, for a user whose name is user.
func (c *call) readSession(user string) (*write, error) {
	w := &write{name: session.Name{User: user}, keep: c.query("suppress_reset") == "1"}
	sess, unknown, err := session.DecodeSession(c.body())
	if err != nil {
		return w, err
	}
	if err := c.reportUnknown(unknown, "a session"); err != nil {
		return w, err
	}
	if sess.OrgID == "" {
		sess.OrgID = c.Org
	}
	w.name.Org = sess.OrgID
	if err := session.CheckNames(w.name.Org, user); err != nil {
		return w, err
	}
	sess.Normalise()
	rules := c.Rules()
	warnings, err := sess.Validate(rules, time.Now().Unix())
	if err != nil {
		// Problems that the stored session has already do not prevent an edit.
		if stored, _, readErr := c.Users.Read(w.name.Org, user); readErr == nil {
			rules.Before = &stored.Session
			warnings, err = sess.Validate(rules, time.Now().Unix())
		}
	}
	if err != nil {
		return w, err
	}
	c.warn(warnings)
	w.secret, sess.HMACString = sess.HMACString, ""
	w.session = sess
	return w, nil
}

// body returns a copy of the request's body.
func (c *call) body() []byte { return bytes.Clone(c.ctx.PostBody()) }

// reportUnknown warns of members that an object, named by what, does not have. With ?strict=1 it
// refuses them.
func (c *call) reportUnknown(fields []string, what string) error {
	var ps problem.List
	var warnings []string
	for _, field := range fields {
		ps = append(ps, problem.Problem{Field: field, Want: what + " has no such member"})
		warnings = append(warnings, field+": unknown, ignored")
	}
	if len(ps) > 0 && c.query("strict") == "1" {
		return ps
	}
	c.warn(warnings)
	return nil
}

// hashPassword replaces the password in a session with its hash. It waits for a turn to hash, and may
// return [password.ErrBusy].
func (c *call) hashPassword(s *session.Session) (err error) {
	if s.BasicAuth.Password == "" {
		return nil
	}
	b := &s.BasicAuth
	b.Password, b.HashType, err = c.Settings().Passwords.Make(context.Background(), b.Password)
	return err
}

// create writes a user, new or not. With If-None-Match: * the user must be new.
func (c *call) create(w *write) (found, error) {
	if e := c.Directory.Effective(&w.session); w.session.BasicAuth.Password == "" && !e.HMAC {
		c.warn([]string{"basic_auth_data.password: missing, so logins as this user are refused"})
	}
	if err := c.hashPassword(&w.session); err != nil {
		return found{}, err
	}
	onlyNew := string(c.ctx.Request.Header.Peek("If-None-Match")) == "*" // RFC 9110, 13.1.2
	return c.store(w, func(old *session.Record) error {
		switch {
		case old == nil:
			c.expireByPolicy(&w.session)
		case onlyNew:
			return failure(fasthttp.StatusPreconditionFailed, "User %q exists in org_id %q", w.name.User, w.name.Org)
		}
		return nil
	})
}

// expireByPolicy sets the expiry of a new session that has none from its policies. The shortest
// lifetime wins.
func (c *call) expireByPolicy(s *session.Session) {
	if s.Expires != 0 {
		return
	}
	for _, id := range s.ApplyPolicies {
		p := c.Policies().Get(id)
		if p == nil || p.KeyExpiresIn <= 0 {
			continue
		}
		expires := time.Now().Unix() + min(p.KeyExpiresIn, 1<<40)
		if s.Expires == 0 || expires < s.Expires {
			s.Expires = expires
		}
	}
}

// replace writes a user that must exist, else the error is missing. If the request has no password,
// the stored one stays.
func (c *call) replace(w *write, missing error) (found, error) {
	if _, _, err := c.Users.Read(w.name.Org, w.name.User); errors.Is(err, auth.ErrNoUser) {
		return found{}, missing // checked here too, to save the hashing
	}
	given := w.session.BasicAuth.Password != ""
	if err := c.hashPassword(&w.session); err != nil {
		return found{}, err
	}
	return c.store(w, func(old *session.Record) error {
		switch {
		case old == nil:
			return missing
		case old.Damaged:
			return auth.ErrDamaged
		}
		w.session.DateCreated = old.Session.DateCreated
		w.session.HMACString = old.Session.HMACString
		if !given {
			w.session.BasicAuth = old.Session.BasicAuth
		}
		return nil
	})
}

// store writes w in one transaction. prepare gets the stored record, or nil, and may change w.session
// or return an error.
func (c *call) store(w *write, prepare func(old *session.Record) error) (found, error) {
	now := time.Now()
	var generated string
	w.session.DateCreated = now.UTC().Format(time.RFC3339Nano)
	given := w.session
	created := false
	stored, err := c.Users.Update(w.name.Org, w.name.User, func(old *session.Record) (*session.Record, error) {
		w.session = given // the store may call this function again
		if err := prepare(old); err != nil {
			return nil, err
		}
		if len(w.session.ApplyPolicies) > 0 {
			rules := c.Rules()
			if old != nil {
				rules.Before = &old.Session
			}
			if err := w.session.CheckPolicies(rules); err != nil {
				return nil, err
			}
		}
		created = old == nil
		r := session.Record{Org: w.name.Org, User: w.name.User, Session: w.session}
		generated = c.sealSecret(&r, w.secret)
		r.Session.LastUpdated = strconv.FormatInt(now.Unix(), 10)
		if w.keep && old != nil && !old.Damaged {
			r.Generation = old.Generation
		}
		return &r, nil
	})
	if err != nil {
		return found{}, err
	}
	if c.KeyEvents != nil && created {
		c.KeyEvents.Created(w.name)
	} else if c.KeyEvents != nil {
		c.KeyEvents.Updated(w.name)
	}
	var kept []auth.KeptQuota
	if w.keep {
		kept = c.keptQuotas(w.name)
	}
	u := c.show(stored, kept)
	u.Session.HMACString = generated
	return u, nil
}

// keptQuotas reads the stored quotas of a user that was written. An error is only a warning, because
// the write itself has succeeded.
func (c *call) keptQuotas(name session.Name) []auth.KeptQuota {
	_, kept, err := c.Users.Read(name.Org, name.User)
	if err != nil {
		c.warn([]string{"quota_remaining: cannot be read"})
	}
	return kept
}

// preview returns the user that the body would create. It stores nothing.
func (c *call) preview() (found, error) {
	w, err := c.readSession("preview")
	if err != nil {
		return found{}, err
	}
	if w.session.BasicAuth.Password != "" {
		w.session.BasicAuth.HashType = c.Settings().Passwords.Kind()
	}
	c.expireByPolicy(&w.session)
	now := time.Now()
	w.session.DateCreated = now.UTC().Format(time.RFC3339Nano)
	w.session.LastUpdated = strconv.FormatInt(now.Unix(), 10)
	return c.show(session.Record{Org: w.name.Org, User: w.name.User, Session: w.session}, nil), nil
}

// fetch reads a user; missing is the error if there is none.
func (c *call) fetch(name session.Name, missing error) (found, error) {
	r, kept, err := c.Users.Read(name.Org, name.User)
	if errors.Is(err, auth.ErrNoUser) {
		return found{}, missing
	}
	if err != nil {
		return found{}, err
	}
	return c.show(r, kept), nil
}

// remove deletes a user; missing is the error if there is none.
func (c *call) remove(name session.Name, missing error) error {
	_, err := c.Users.Update(name.Org, name.User, func(old *session.Record) (*session.Record, error) {
		if old == nil {
			return nil, missing
		}
		return nil, nil
	})
	if err == nil && c.KeyEvents != nil {
		c.KeyEvents.Deleted(name)
	}
	return err
}

// reset gives a user its whole quota and rate back; missing is the error if there is no such user.
func (c *call) reset(name session.Name, missing error) error {
	_, err := c.Users.Update(name.Org, name.User, func(old *session.Record) (*session.Record, error) {
		switch {
		case old == nil:
			return nil, missing
		case old.Damaged:
			return nil, auth.ErrDamaged
		}
		r := *old
		r.Generation = 0
		return &r, nil
	})
	return err
}

// show returns a record in the form that callers see: with its policies applied and the live state of
// its quota, without its secrets. It warns if the user is refused.
func (c *call) show(r session.Record, kept []auth.KeptQuota) found {
	u := c.shown(r, kept)
	if u.blocked != "" {
		c.warn([]string{"inactive: " + u.blocked})
	}
	if len(u.tooLarge) > 0 {
		c.warn([]string{"access_rights: " + u.refusedPaths()})
	}
	return u
}

// shown is show without warnings.
func (c *call) shown(r session.Record, kept []auth.KeptQuota) found {
	s := &r.Session
	quotas := c.Directory.Quotas(r, kept, c.now())
	s.BasicAuth.Password, s.HMACString = "", ""
	e := c.Directory.Effective(s)
	e.Show(s, quotas)
	if s.QuotaRenews == 0 && s.QuotaRenewalRate > 0 {
		// No period has begun. Tyk shows the end of one that begins with the write.
		written, _ := strconv.ParseInt(s.LastUpdated, 10, 64)
		s.QuotaRenews = written + min(s.QuotaRenewalRate, 1<<40)
	}
	return found{Record: r, blocked: e.Why, tooLarge: e.TooLarge()}
}

// name returns the user that the path names, in the org of ?org_id=, of the API ?api_id=, or else the
// default org.
func (c *call) name() (session.Name, error) {
	n := session.Name{Org: c.query("org_id"), User: c.params["username"]}
	if n.Org == "" {
		n.Org = c.Org
		if api := c.Settings().APIs.ByID(c.query("api_id")); api != nil {
			n.Org = api.Org
		}
	}
	return n, session.CheckNames(n.Org, n.User)
}

// perRead is how many names are read from the store at a time, so that a long list does not delay
// writers.
const perRead = 1000

// each calls f for every user, in the order of org and name, until f returns false or an error.
func (c *call) each(f func(session.Name) (more bool, err error)) error {
	var last session.Name
	for {
		names, err := c.Users.Names(last, perRead)
		if err != nil {
			return err
		}
		for _, name := range names {
			if more, err := f(name); err != nil || !more {
				return err
			}
			last = name
		}
		if len(names) < perRead {
			return nil
		}
	}
}

// grants reports whether a user has a right to an API. A user with a damaged record has none.
func (c *call) grants(name session.Name, api *route.API) (bool, error) {
	if name.Org != api.Org {
		return false, nil
	}
	r, readable, err := c.readable(name)
	if !readable {
		return false, err
	}
	e := c.Directory.Effective(&r.Session)
	return e.Grants(api.ID), nil
}

// readable returns a user's record. It returns false if there is no such user or the record is
// damaged: lists leave such users out.
func (c *call) readable(name session.Name) (session.Record, bool, error) {
	r, _, err := c.Users.Read(name.Org, name.User)
	if errors.Is(err, auth.ErrNoUser) || errors.Is(err, auth.ErrDamaged) {
		return session.Record{}, false, nil
	}
	return r, err == nil, err
}

// list returns the users that the request selects: those of ?org_id= with a right to the API apiID,
// for which pick returns true. An empty org or id and a nil pick select all.
func (c *call) list(apiID string, pick func(session.Name) (bool, error)) (names []session.Name, err error) {
	var api *route.API
	if apiID != "" {
		if api = c.Settings().APIs.ByID(apiID); api == nil {
			return nil, failure(fasthttp.StatusNotFound, "API %q is not configured", apiID)
		}
	}
	org := c.query("org_id")
	err = c.each(func(name session.Name) (bool, error) {
		if org != "" && name.Org != org {
			return true, nil
		}
		if pick != nil {
			if ok, err := pick(name); !ok || err != nil {
				return true, err
			}
		}
		if api != nil {
			if ok, err := c.grants(name, api); !ok || err != nil {
				return true, err
			}
		}
		names = append(names, name)
		return true, nil
	})
	return names, err
}

// pageSize is how many users or policies the Dashboard shows on a page.
const pageSize = 10

// page returns the page of a list that ?p= selects, counted from 1. 0 or no value is the first page, a
// negative number the whole list.
func page[T any](c *call, list []T) (part []T, pages int, err error) {
	pages = (len(list) + pageSize - 1) / pageSize
	text := c.query("p")
	if text == "" {
		text = "1"
	}
	p, err := strconv.Atoi(text)
	if err != nil {
		return nil, 0, failure(fasthttp.StatusBadRequest, "Request malformed: p = %q: must be a whole number", text)
	}
	if p < 0 {
		return list, pages, nil
	}
	from := min(min(max(p, 1)-1, pages)*pageSize, len(list))
	return list[from:min(from+pageSize, len(list))], pages, nil
}
