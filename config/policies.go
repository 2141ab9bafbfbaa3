package config

import (
	"cmp"
	"encoding/json"
	"errors"

	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/problem"
)

// PolicyList returns the policies in the file. Call it only for a configuration that is valid.
func (c Config) PolicyList() []session.Policy {
	list, _ := c.policies()
	return list
}

// policies decodes the [[policies]] tables. They have the members of the admin API's JSON, so this goes
// through JSON.
func (c Config) policies() (list []session.Policy, found problems) {
	apis, err := route.NewAPIs(c.APIList(), nil)
	if err != nil {
		return nil, nil // validateAPIs reports it; without APIs, the rights of policies cannot be checked
	}
	ids := make(map[string]bool)
	for i, table := range c.Policies {
		at := elementOf("policies", i)
		text, err := json.Marshal(table)
		if err != nil {
			found.add(at, nil, "must not contain dates, infinities, or NaN")
			continue
		}
		policy, unknown, err := session.DecodePolicy(text)
		for _, field := range unknown {
			found.add(at+"."+field, nil, "a policy has no such member")
		}
		if err == nil {
			policy.OrgID = cmp.Or(policy.OrgID, c.Admin.OrgID)
			policy.MongoID = policy.ID
			err = policy.Validate(session.Rules{APIs: apis, MetaHeaders: c.Check.MetaHeaders})
		}
		var wrong problem.List
		if errors.As(err, &wrong) {
			for _, p := range wrong {
				p.Field = at + "." + p.Field
				found = append(found, p)
			}
		}
		if ids[policy.ID] {
			found.add(at+".id", policy.ID, "must be unique: another policy has this id")
		}
		ids[policy.ID] = true
		list = append(list, policy)
	}
	return list, found
}
