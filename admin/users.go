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

// found is a user as both dialects show it: the record with its live state put in
// and its password taken out.
type found struct {
	session.Record
	blocked string // by which policy, and why; "" = by none

	tooLarge []string // APIs whose requests are refused: see [auth.Effective.TooLarge]
}

// state tells people whether the user is let in, and why not.
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

// refusedPaths says that the right to some APIs is too large to be checked.
func (u found) refusedPaths() string {
	return fmt.Sprintf("requests to %s are refused, because the right has too many patterns", strings.Join(u.tooLarge, ", "))
}

// write is one request that writes a session: its body, checked and ready.
type write struct {
	name    session.Name
	session session.Session
	secret  string // hmac_string as it came; session has it sealed or not at all
	keep    bool   // ?suppress_reset=1: quota and rate go on
}

// readSession reads and checks the session in the request's body for a user.
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
		// What is wrong with the stored session already does not hold up an edit.
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

// reportUnknown warns of members that what has not, or refuses them with ?strict=1.
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

// hashPassword replaces the password that a session came with by its hash.
func (c *call) hashPassword(s *session.Session) (err error) {
	if s.BasicAuth.Password == "" {
		return nil
	}
	b := &s.BasicAuth
	b.Password, b.HashType, err = c.Settings().Passwords.Make(context.Background(), b.Password)
	return err
}

// create writes a user whether there was one or not.
func (c *call) create(w *write) (found, error) {
	if e := c.Directory.Effective(&w.session); w.session.BasicAuth.Password == "" && !e.HMAC {
		c.warn([]string{"basic_auth_data.password: none given, so nobody can log in as this user"})
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

// expireByPolicy sets when a new session expires where its policies say so and it does
// not. The shortest of several counts.
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

// replace writes a user that must exist. Without a password in the request the old
// one stays.
func (c *call) replace(w *write, missing error) (found, error) {
	if _, _, err := c.Users.Read(w.name.Org, w.name.User); errors.Is(err, auth.ErrNoUser) {
		return found{}, missing // before a hash is computed for nothing
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

// store writes w in one step after prepare has agreed. prepare may change w.session,
// which it and this function share.
func (c *call) store(w *write, prepare func(old *session.Record) error) (found, error) {
	now := time.Now()
	var generated string
	w.session.DateCreated = now.UTC().Format(time.RFC3339Nano)
	given := w.session
	created := false
	stored, err := c.Users.Update(w.name.Org, w.name.User, func(old *session.Record) (*session.Record, error) {
		w.session = given // also when the edit is made again
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

// keptQuotas reads a user's quotas after a write, which is done whatever has become of the
// user since.
func (c *call) keptQuotas(name session.Name) []auth.KeptQuota {
	_, kept, err := c.Users.Read(name.Org, name.User)
	if err != nil {
		c.warn([]string{"quota_remaining: what is left could not be read"})
	}
	return kept
}

// preview returns the session in the body as it would be shown, and keeps nothing.
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

// fetch reads a user; missing is the error where there is none.
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

// remove deletes a user; missing is the error where there is none.
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

// reset gives a user the quota and the rate back.
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

// show makes a record what people see: with its policies applied and the live state of
// its quota, without the password and the secret.
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

// shown is show without its warning.
func (c *call) shown(r session.Record, kept []auth.KeptQuota) found {
	s := &r.Session
	quotas := c.Directory.Quotas(r, kept, c.now())
	s.BasicAuth.Password, s.HMACString = "", ""
	e := c.Directory.Effective(s)
	e.Show(s, quotas)
	if s.QuotaRenews == 0 && s.QuotaRenewalRate > 0 {
		// No period has begun. Tyk shows what its end would be had it begun at the write.
		written, _ := strconv.ParseInt(s.LastUpdated, 10, 64)
		s.QuotaRenews = written + min(s.QuotaRenewalRate, 1<<40)
	}
	return found{Record: r, blocked: e.Why, tooLarge: e.TooLarge()}
}

// name returns the user that the path and the query name.
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

// perRead is how many names or records are taken out of the store at a time, so that
// a long list holds up no writer.
const perRead = 1000

// each calls f with every user's name, in order, until it returns false.
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

// grants reports whether a user may use an API at all. A damaged user may not.
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

// readable returns a user's record, or false for one who is not there or is damaged: lists
// leave them out.
func (c *call) readable(name session.Name) (session.Record, bool, error) {
	r, _, err := c.Users.Read(name.Org, name.User)
	if errors.Is(err, auth.ErrNoUser) || errors.Is(err, auth.ErrDamaged) {
		return session.Record{}, false, nil
	}
	return r, err == nil, err
}

// list gathers the users that the request asks for: all, or those that may use the
// API apiID. pick narrows them down further.
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

// pageSize is how many users the Dashboard shows at a time.
const pageSize = 10

// page cuts the page that ?p= asks for out of a list: the first where it is missing
// or 0, all where it is negative.
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
