package admin

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/auth"
	"sidekey/auth/session"
)

const (
	defaultPart = 100
	maxPart     = 1000
	maxNames    = 10_000 // names that are looked at for one answer
)

// listUsers answers a part of all users, in the order of org and name: ?limit= of them (100 by
// default, at most 1000) after the one that ?after_org= and ?after= name. ?q= and ?org_id= select
// users as in /api/keys/detailed. However many users there are, one answer stays short.
func (c *call) listUsers() error {
	limit, err := c.limit()
	if err != nil {
		return err
	}
	answer := api.Users{Users: make([]api.User, 0, limit)}
	org, text, raw := c.query("org_id"), strings.ToLower(c.query("q")), c.query("raw") == "1"
	last := session.Name{Org: c.query("after_org"), User: c.query("after")}
	for looked := 0; ; {
		names, err := c.Users.Names(last, perRead)
		if err != nil {
			return err
		}
		for _, name := range names {
			if len(answer.Users) == limit || looked == maxNames {
				answer.Next = &api.Place{OrgID: last.Org, Username: last.User}
				c.send(fasthttp.StatusOK, answer)
				return nil
			}
			last = name
			looked++
			if org != "" && name.Org != org {
				continue
			}
			if text != "" {
				if ok, err := c.matches(name, text); err != nil {
					return err
				} else if !ok {
					continue
				}
			}
			u, exists, err := c.listed(name, raw)
			if err != nil {
				return err
			}
			if exists {
				answer.Users = append(answer.Users, u)
			}
		}
		if len(names) < perRead {
			c.send(fasthttp.StatusOK, answer)
			return nil
		}
	}
}

// limit returns how many users the request asks for at most.
func (c *call) limit() (int, error) {
	text := c.query("limit")
	if text == "" {
		return defaultPart, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPart {
		return 0, failure(fasthttp.StatusBadRequest, "Request malformed: limit = %q: must be a whole number from 1 to %d", text, maxPart)
	}
	return n, nil
}

// listed returns a user in the form of lists: as stored if raw is true, else with its policies
// applied. exists is false if the user has been deleted.
func (c *call) listed(name session.Name, raw bool) (_ api.User, exists bool, err error) {
	r, kept, err := c.Users.Read(name.Org, name.User)
	listed := api.User{OrgID: name.Org, Username: name.User, KeyHash: name.KeyHash()}
	switch {
	case errors.Is(err, auth.ErrNoUser):
		return api.User{}, false, nil
	case errors.Is(err, auth.ErrDamaged):
		listed.State = "damaged"
		listed.Session.OrgID = name.Org
		return listed, true, nil
	case err != nil:
		return api.User{}, false, err
	}
	u := c.shown(r, kept)
	listed.State, listed.Session = u.state(), u.Session
	if raw {
		listed.Session = withoutSecrets(r.Session)
	}
	return listed, true, nil
}

// fetchStored reads a user as it is stored: without its policies applied, the state of its quotas, and
// its secrets.
func (c *call) fetchStored(name session.Name) (found, error) {
	r, _, err := c.Users.Read(name.Org, name.User)
	if errors.Is(err, auth.ErrNoUser) {
		return found{}, dashboardMissing
	}
	r.Session = withoutSecrets(r.Session)
	return found{Record: r}, err
}

// withoutSecrets returns a stored session without its password hash and sealed secret.
func withoutSecrets(s session.Session) session.Session {
	s.BasicAuth.Password, s.HMACString = "", ""
	return s
}

// listAPIs answers the APIs of the configuration in force.
func (c *call) listAPIs() error {
	list := make([]api.API, 0)
	for _, a := range c.Settings().APIs.All() {
		list = append(list, api.API{
			ID: a.ID, Name: a.Name, OrgID: a.Org, Hosts: notNil(a.Hosts), ListenPath: a.ListenPath,
			Versions: notNil(a.Versions), Active: a.Active, Rate: a.Rate, Per: a.Per,
		})
	}
	slices.SortFunc(list, func(a, b api.API) int { return strings.Compare(a.ID, b.ID) })
	c.send(fasthttp.StatusOK, api.APIs{APIs: list})
	return nil
}

// notNil returns a copy of a list, which JSON shows as [] and not as null if it is empty.
func notNil(list []string) []string { return append([]string{}, list...) }
