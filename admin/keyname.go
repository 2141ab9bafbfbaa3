package admin

import (
	"errors"

	"sidekey/auth"
)

// keyName finds the user that a path names by key id (the org with the name behind
// it), with ?username=true by name, or with ?hashed= by key hash.
func (c *call) keyName(missing error) (auth.Name, error) {
	key := c.params["keyID"]
	switch {
	case c.query("username") == "true" || c.query("username") == "1":
		c.params["username"] = key
		return c.name()
	case c.query("hashed") != "":
		return c.search(missing, func(name auth.Name) bool { return name.KeyHash() == key })
	}
	// The org in front is taken off where there is such a user; the default org comes
	// first, so that this rarely has to look further.
	for _, name := range []auth.Name{c.split(key, c.Org), {Org: c.Org, User: key}} {
		if name.User == "" {
			continue
		}
		if _, _, err := c.Users.Load(name.Org, name.User); !errors.Is(err, auth.ErrNoUser) {
			return name, err
		}
	}
	return c.search(missing, func(name auth.Name) bool { return name.KeyID() == key || name.Token() == key })
}

// split takes an org off the front of a key id. The name is empty where it is not
// there.
func (c *call) split(key, org string) auth.Name {
	if len(key) > len(org) && key[:len(org)] == org {
		return auth.Name{Org: org, User: key[len(org):]}
	}
	return auth.Name{}
}

// search looks at every name. A key hash is not kept anywhere: computing a million
// takes less than a second, and happens when a person asks.
func (c *call) search(missing error, is func(auth.Name) bool) (match auth.Name, err error) {
	found := false
	err = c.each(func(name auth.Name) (bool, error) {
		if is(name) {
			match, found = name, true
		}
		return !found, nil
	})
	if err == nil && !found {
		err = missing
	}
	return match, err
}
