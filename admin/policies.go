package admin

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/internal/problem"
	"sidekey/store"
)

// PolicyStore is the part of [store.Policies] that the admin listener calls.
type PolicyStore interface {
	UpdatePolicy(id string, edit func(old *session.Policy, users session.PolicyUsers) (*session.Policy, error)) error
}

// errTaken refuses to create a policy that exists, in Tyk's words.
var errTaken = failure(fasthttp.StatusBadRequest, "This policy ID has already been used. Enter a unique policy ID.")

// readPolicy decodes and checks the policy in the request's body. id is the one in the path, or "" if
// the path has none. A policy without any id gets a random one, as in Tyk.
func (c *call) readPolicy(id string) (session.Policy, error) {
	p, unknown, err := session.DecodePolicy(c.body())
	if err != nil {
		return p, err
	}
	if err := c.reportUnknown(unknown, "a policy"); err != nil {
		return p, err
	}
	given := p.ID
	if given == "" {
		given = p.MongoID
	} else if p.MongoID != "" && p.MongoID != given {
		c.warn([]string{fmt.Sprintf("_id = %q: ignored, because _id is always the same as id", p.MongoID)})
	}
	switch {
	case id == "" && given == "":
		var random [12]byte
		if _, err := rand.Read(random[:]); err != nil {
			return p, err
		}
		id = hex.EncodeToString(random[:])
	case id == "":
		id = given
	case given != "" && given != id:
		return p, problem.List{{Field: "id", Value: fmt.Sprintf("%q", given), Want: "must be the id in the path, or missing"}}
	}
	p.ID, p.MongoID = id, id
	if p.OrgID == "" {
		p.OrgID = c.Org
	}
	if err := p.Validate(c.Rules()); err != nil {
		return p, err
	}
	if c.Policies().Fixed(id) {
		return p, errFixed(id)
	}
	return p, nil
}

// errFixed refuses to change a policy of the configuration file.
func errFixed(id string) error {
	return failure(fasthttp.StatusConflict, "Policy %q is in the configuration file: change it there", id)
}

func (c *call) createPolicy() (id string, err error) {
	p, err := c.readPolicy("")
	if err != nil {
		return "", err
	}
	return p.ID, c.PolicyStore.UpdatePolicy(p.ID, func(old *session.Policy, users session.PolicyUsers) (*session.Policy, error) {
		if old != nil {
			return nil, errTaken
		}
		if err := c.checkSize(&p, users); err != nil { // users may have this id from a policy that was deleted
			return nil, err
		}
		return stamped(p, nil), nil
	})
}

func (c *call) replacePolicy(missing error) (id string, err error) {
	p, err := c.readPolicy(c.params["id"])
	if err != nil {
		return "", err
	}
	return p.ID, c.PolicyStore.UpdatePolicy(p.ID, func(old *session.Policy, users session.PolicyUsers) (*session.Policy, error) {
		if old == nil {
			return nil, missing
		}
		if err := c.checkMix(&p, old, users); err != nil {
			return nil, err
		}
		if err := c.checkSize(&p, users); err != nil {
			return nil, err
		}
		return stamped(p, old), nil
	})
}

// stamped returns a policy with its dates set; old is the one that it replaces, or nil.
func stamped(p session.Policy, old *session.Policy) *session.Policy {
	now := time.Now().UTC()
	p.DateCreated = now.Format(time.RFC3339Nano)
	if old != nil {
		p.DateCreated = old.DateCreated
	}
	p.LastUpdated = strconv.FormatInt(now.Unix(), 10)
	return &p
}

// checkMix refuses a change of partitions after which users would have a mix of policies that could
// not be written into a session.
func (c *call) checkMix(p, old *session.Policy, users session.PolicyUsers) error {
	if p.Partitions.PerAPI == old.Partitions.PerAPI && p.Partitions.Any() == old.Partitions.Any() {
		return nil
	}
	count, with := 0, ""
	err := users(func(s session.Session) {
		for _, id := range s.ApplyPolicies {
			if other := c.Policies().Get(id); id != p.ID && other != nil && p.Partitions.Excludes(other.Partitions) {
				count, with = count+1, id
				return
			}
		}
	})
	if err != nil || count == 0 {
		return err
	}
	return failure(fasthttp.StatusConflict, "partitions: %d users have policy %q together with others, such as %q, and a per_api policy cannot be combined with partitioned ones: change these users first", count, p.ID, with)
}

// checkSize refuses a policy that has too many patterns in combination with other policies of its
// users, because their requests would be refused from then on. It looks at users only if any could
// be affected, and at equal sets of policies only once.
func (c *call) checkSize(p *session.Policy, users session.PolicyUsers) error {
	if !c.Policies().MayBeTooLarge(p) {
		return nil
	}
	count, with, wrong := 0, "", ""
	seen := make(map[string]string) // the problem, "" for none, by the ids of the policies
	err := users(func(s session.Session) {
		ids := strings.Join(s.ApplyPolicies, ",")
		problem, known := seen[ids]
		if !known {
			problem = c.Policies().TooLargeWith(p, s.ApplyPolicies)
			seen[ids] = problem
		}
		if problem != "" {
			count, with, wrong = count+1, ids, problem
		}
	})
	if err != nil || count == 0 {
		return err
	}
	return failure(fasthttp.StatusConflict, "access_rights: %d users have policy %q together with others (%s), and that is too large: %s; use fewer or simpler patterns", count, p.ID, with, wrong)
}

// deletePolicy deletes a policy. It refuses if users have the policy, because their requests would be
// refused from then on, unless the query has ?force=1.
func (c *call) deletePolicy(missing error) (id string, err error) {
	id = c.params["id"]
	if c.Policies().Fixed(id) {
		return id, errFixed(id)
	}
	return id, c.PolicyStore.UpdatePolicy(id, func(old *session.Policy, users session.PolicyUsers) (*session.Policy, error) {
		if old == nil {
			return nil, missing
		}
		if c.query("force") == "1" {
			return nil, nil
		}
		count := 0
		if err := users(func(session.Session) { count++ }); err != nil {
			return nil, err
		}
		if count > 0 {
			return nil, failure(fasthttp.StatusConflict, "%d users have policy %q and would be refused without it: change them first, or add ?force=1", count, id)
		}
		return nil, nil
	})
}

// policyView returns a policy in the form of the dialect.
func (c *call) policyView(p *session.Policy) session.Policy {
	view := *p
	view.MongoID = view.ID
	if view.Active == nil {
		active := true
		view.Active = &active
	}
	if view.DateCreated == "" { // a policy of the configuration file
		view.DateCreated = time.Time{}.Format(time.RFC3339)
	}
	if c.dialect == gateway {
		// The Gateway has zeros where the Dashboard has null.
		view.AccessRights = maps.Clone(view.AccessRights)
		for id, right := range view.AccessRights {
			if right.Limit == nil {
				right.Limit = &session.Limit{}
				view.AccessRights[id] = right
			}
		}
	}
	return view
}

func (c *call) policies() []session.Policy {
	list := make([]session.Policy, 0)
	org := c.query("org_id")
	for _, p := range c.Policies().All() {
		if org == "" || p.OrgID == org {
			list = append(list, c.policyView(p))
		}
	}
	return list
}

func (c *call) onePolicy(missing error) error {
	// While the store is down, the outcome of a failed write may be unknown.
	if err := c.Health().Store; err != nil {
		return err
	}
	p := c.Policies().Get(c.params["id"])
	if p == nil {
		return missing
	}
	c.send(fasthttp.StatusOK, c.policyView(p))
	return nil
}

var dashboardNoPolicy = failure(fasthttp.StatusNotFound, "Could not retrieve portal object.")

func (c *call) dashboardPolicies() error {
	list, err := c.pickPolicies(c.policies())
	if err != nil {
		return err
	}
	part, pages, err := page(c, list)
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, struct {
		Data  []session.Policy `json:"Data"`
		Pages int              `json:"Pages"`
	}{part, pages})
	return nil
}

func (c *call) dashboardPolicy() error { return c.onePolicy(dashboardNoPolicy) }

func (c *call) dashboardPolicyCreate() error {
	id, err := c.createPolicy()
	return c.done(id, err)
}

func (c *call) dashboardPolicyReplace() error {
	_, err := c.replacePolicy(dashboardNoPolicy)
	return c.done("Data updated", err)
}

func (c *call) dashboardPolicyDelete() error {
	_, err := c.deletePolicy(failure(fasthttp.StatusNotFound, "Could not retrieve object for deletion"))
	return c.done("Data deleted", err)
}

// done answers a Dashboard request whose result is only a message.
func (c *call) done(text string, err error) error {
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, message{Status: "OK", Message: text})
	return nil
}

var gatewayNoPolicy = failure(fasthttp.StatusNotFound, "Policy not found")

func (c *call) gatewayPolicies() error {
	c.send(fasthttp.StatusOK, c.policies())
	return nil
}

func (c *call) gatewayPolicy() error { return c.onePolicy(gatewayNoPolicy) }

func (c *call) gatewayPolicyCreate() error {
	id, err := c.createPolicy()
	return c.modified(id, "added", err)
}

func (c *call) gatewayPolicyReplace() error {
	id, err := c.replacePolicy(gatewayNoPolicy)
	return c.modified(id, "modified", err)
}

func (c *call) gatewayPolicyDelete() error {
	id, err := c.deletePolicy(gatewayNoPolicy)
	return c.modified(id, "deleted", err)
}

// modified answers a Gateway request that wrote something.
func (c *call) modified(key, action string, err error) error {
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, modified{Key: key, Status: "ok", Action: action})
	return nil
}

// setPolicies replaces the policies of one user and changes nothing else.
func (c *call) setPolicies() error {
	missing := failure(fasthttp.StatusNotFound, "Key not found")
	name, err := c.gatewayName(missing)
	if err != nil {
		return err
	}
	if _, _, err := c.Users.Read(name.Org, name.User); errors.Is(err, auth.ErrNoUser) {
		// Tyk accepts a key hash here without ?hashed=.
		if name, err = c.byHash(c.params["username"], missing); err != nil {
			return err
		}
	}
	policies, unknown, err := session.DecodePolicyUpdate(c.body())
	if err != nil {
		return err
	}
	if err := c.reportUnknown(unknown, "this request"); err != nil {
		return err
	}
	rules, now := c.Rules(), time.Now()
	var warnings []string
	var generated string
	_, err = c.Users.Update(name.Org, name.User, func(old *session.Record) (*session.Record, error) {
		switch {
		case old == nil:
			return nil, missing
		case old.Damaged:
			return nil, auth.ErrDamaged
		}
		r := *old
		r.Session.ApplyPolicies = policies
		r.Session.ApplyPolicyID = ""
		if len(policies) > 0 {
			r.Session.ApplyPolicyID = policies[0]
		}
		checked := r.Session
		checked.BasicAuth, checked.HMACString = session.BasicAuth{}, "" // they hold a hash and a sealed secret, which the rules do not expect
		rules.Before = &old.Session
		var err error
		if warnings, err = checked.Validate(rules, now.Unix()); err != nil {
			return nil, err
		}
		generated = c.sealSecret(&r, "")
		r.Session.LastUpdated = strconv.FormatInt(now.Unix(), 10)
		if c.query("suppress_reset") != "1" {
			r.Generation = 0
		}
		return &r, nil
	})
	if errors.Is(err, store.ErrOutcomeUnknown) || err == nil {
		c.warn(warnings)
	}
	if err != nil {
		return err
	}
	if c.KeyEvents != nil {
		c.KeyEvents.Updated(name)
	}
	c.send(fasthttp.StatusOK, modified{Key: c.keyOf(name), Status: "ok", Action: "updated", HMACString: generated})
	return nil
}
