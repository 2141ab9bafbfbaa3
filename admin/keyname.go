package admin

import (
	"errors"

	"sidekey/auth"
)

// keyName finds the user that a path of the Dashboard's names by key id (the org with
// the name behind it) or token, with ?username=true by name, or with ?hashed= by key
// hash: any value counts there, even 0, as in Tyk. With ?auto_guess=true it may be the
// hash where there is no such key id.
func (c *call) keyName(missing error) (auth.Name, error) {
	key := c.params["keyID"]
	switch {
	case c.isSet("username"):
		c.params["username"] = key
		return c.name()
	case c.query("hashed") != "":
		return c.byHash(key, missing)
	}
	// The org in front is taken off where there is such a user; the default org comes
	// first, so that this rarely has to look further.
	for _, name := range []auth.Name{c.split(key, c.Org), {Org: c.Org, User: key}} {
		if name.User == "" {
			continue
		}
		if is, err := c.isThere(name); is || err != nil {
			return name, err
		}
	}
	if name, ok := auth.ParseToken(key); ok {
		return name, nil
	}
	return c.search(missing, func(name auth.Name) bool {
		return name.KeyID() == key || c.isSet("auto_guess") && name.KeyHash() == key
	})
}

// gatewayName finds the user that a path of the Gateway's names by name, with ?hashed=
// by key hash, or by the token that answers to writes carry as the key.
func (c *call) gatewayName(missing error) (auth.Name, error) {
	key := c.params["username"]
	if c.query("hashed") != "" {
		return c.byHash(key, missing)
	}
	name, err := c.name()
	token, isToken := auth.ParseToken(key)
	if !isToken {
		return name, err
	}
	if err == nil {
		// Somebody may be called like that.
		if is, err := c.isThere(name); is || err != nil {
			return name, err
		}
	}
	return token, nil
}

// isThere reports whether there is such a user. One whose record is damaged is there: it can
// be deleted.
func (c *call) isThere(name auth.Name) (bool, error) {
	switch _, _, err := c.Users.Read(name.Org, name.User); {
	case errors.Is(err, auth.ErrNoUser):
		return false, nil
	case err != nil && !errors.Is(err, auth.ErrDamaged):
		return false, err
	}
	return true, nil
}

func (c *call) byHash(hash string, missing error) (auth.Name, error) {
	return c.search(missing, func(name auth.Name) bool { return name.KeyHash() == hash })
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
