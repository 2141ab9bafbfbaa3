package admin

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/auth/session"
)

// keyName finds the user that the key in a path of the Dashboard means: a key id (the org and the name
// in one string), a token or a bare name. With ?username=true the key is a name. With ?hashed= it is
// a key hash, whatever the value, even 0, as in Tyk. With ?auto_guess=true it may be a key hash if
// there is no user with this key id. If there is no such user, the error is missing.
//
// Two users can have the same key id (2bob in org1 and bob in org12), and the key id of one user can
// be the name of another. Such a key is refused with 409, unless the request has the org: in
// ?org_id=, in bodyOrg, or by the API in the path.
func (c *call) keyName(bodyOrg string, missing error) (session.Name, error) {
	key := c.params["keyID"]
	switch {
	case c.isSet("username"):
		c.params["username"] = key
		return c.name()
	case c.query("hashed") != "":
		return c.byHash(key, missing)
	}
	org := c.query("org_id")
	names, err := c.readings(key, org)
	if err != nil {
		return session.Name{}, err
	}
	if org == "" && c.ambiguous(key, names) {
		if api := c.Settings().APIs.ByID(c.params["apiID"]); api != nil {
			org = api.Org
		}
		org = cmp.Or(bodyOrg, org)
		if org == "" {
			return session.Name{}, errAmbiguous(key)
		}
		if names, err = c.readings(key, org); err != nil {
			return session.Name{}, err
		}
	}
	switch {
	case len(names) > 0:
		return names[0], nil
	case c.isSet("auto_guess"):
		return c.byHash(key, missing)
	}
	return session.Name{}, missing
}

// errAmbiguous returns the refusal of a key that may mean several users.
func errAmbiguous(key string) error {
	return failure(fasthttp.StatusConflict, "%q can name more than one user: add org_id, or username=true if it is the user's name", key)
}

// readings returns the users that a key can name. With an org there is at most one: if the key begins
// with the org, it is a key id and never the name of another user, so that a repeated DELETE finds
// nothing.
func (c *call) readings(key, org string) (names []session.Name, err error) {
	add := func(name session.Name) {
		if err != nil || slices.Contains(names, name) || session.CheckNames(name.Org, name.User) != nil {
			return
		}
		var is bool
		if is, err = c.isThere(name); is {
			names = append(names, name)
		}
	}
	token, isToken := session.ParseToken(key)
	if org != "" {
		if user, found := strings.CutPrefix(key, org); found && user != "" {
			add(session.Name{Org: org, User: user})
		} else {
			add(session.Name{Org: org, User: key})
		}
		if len(names) == 0 && isToken && token.Org == org {
			add(token)
		}
		return names, err
	}
	for i := 1; i < len(key); i++ {
		add(session.Name{Org: key[:i], User: key[i:]})
	}
	add(session.Name{Org: c.Org, User: key})
	if isToken {
		add(token)
	}
	return names, err
}

// ambiguous reports whether a key may mean another user than names[0]: if there are several, or if the
// only one has a name that could be a key id of the default org. The latter happens after the user
// with that key id was deleted.
func (c *call) ambiguous(key string, names []session.Name) bool {
	return len(names) > 1 || len(names) == 1 && names[0].User == key && len(key) > len(c.Org) && strings.HasPrefix(key, c.Org)
}

// gatewayName finds the user that a path of the Gateway means: by name, by the token that answers to
// writes have as their key or, with ?hashed=, by key hash. A name that is also the token of another
// user is refused with 409, because a repeated DELETE would delete both. If there is no user with
// the key hash, the error is missing.
func (c *call) gatewayName(missing error) (session.Name, error) {
	key := c.params["username"]
	if c.query("hashed") != "" {
		return c.byHash(key, missing)
	}
	name, err := c.name()
	token, isToken := session.ParseToken(key)
	if !isToken || token == name {
		return name, err
	}
	if err != nil {
		return token, nil
	}
	named, err := c.isThere(name)
	if err != nil || !named {
		return token, err
	}
	owned, err := c.isThere(token)
	if err == nil && owned {
		err = failure(fasthttp.StatusConflict, "%q is the name of one user and the token of another: use ?hashed=1 with the key hash", key)
	}
	return name, err
}

// isThere reports whether a user exists. A user with a damaged record does: it can be deleted.
func (c *call) isThere(name session.Name) (bool, error) {
	switch _, _, err := c.Users.Read(name.Org, name.User); {
	case errors.Is(err, auth.ErrNoUser):
		return false, nil
	case err != nil && !errors.Is(err, auth.ErrDamaged):
		return false, err
	}
	return true, nil
}

// byHash finds the user with a key hash, in the org of ?org_id= if the query has one. Names can be
// chosen so that two users have the same hash, which has 64 bits: such a hash is refused with 409.
func (c *call) byHash(hash string, missing error) (session.Name, error) {
	org := c.query("org_id")
	return c.search(missing, func(name session.Name) bool {
		return (org == "" || name.Org == org) && name.KeyHash() == hash
	})
}

// search finds the only user for which is returns true. It looks at all names: key hashes are not
// stored, because computing a million of them takes less than a second, and people rarely ask.
func (c *call) search(missing error, is func(session.Name) bool) (match session.Name, err error) {
	found := 0
	err = c.each(func(name session.Name) (bool, error) {
		if is(name) {
			match = name
			found++
		}
		return found < 2, nil
	})
	switch {
	case err != nil:
	case found == 0:
		err = missing
	case found > 1:
		err = failure(fasthttp.StatusConflict, "More than one user has this key hash: use the name with org_id")
	}
	return match, err
}
