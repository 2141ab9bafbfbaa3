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

// keyName finds the user that a path of the Dashboard's names by key id (the org with
// the name behind it), token or bare name, with ?username=true by name, or with ?hashed= by
// key hash: any value counts there, even 0, as in Tyk. With ?auto_guess=true it may be the
// hash if there is no such key id.
//
// Two users can have one key id (org1 with 2bob, org12 with bob), and one user's key id can
// be another's name. Such a key is refused with 409 unless the request says the org:
// ?org_id=, the org of the API in the path, or bodyOrg.
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

func errAmbiguous(key string) error {
	return failure(fasthttp.StatusConflict, "%q can name more than one user: say the org with org_id, or add username=true if it is the user's name", key)
}

// readings returns the users that a key can name. With an org it is one at most: a key that
// begins with the org is a key id there, and never the name of another user, so that a
// DELETE that is repeated finds nothing.
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

// ambiguous reports whether a key may mean another user than the one it is read as: there
// are several, or the one that there is has for its name what could be a key id of the
// default org. The latter happens when the user with that key id has just been deleted.
func (c *call) ambiguous(key string, names []session.Name) bool {
	return len(names) > 1 || len(names) == 1 && names[0].User == key && len(key) > len(c.Org) && strings.HasPrefix(key, c.Org)
}

// gatewayName finds the user that a path of the Gateway's names by name, with ?hashed=
// by key hash, or by the token that answers to writes carry as the key. A name that is the
// token of another user is refused with 409: repeating a DELETE would delete both.
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

// isThere reports whether there is such a user. One whose record is damaged is there: it can
// be deleted.
func (c *call) isThere(name session.Name) (bool, error) {
	switch _, _, err := c.Users.Read(name.Org, name.User); {
	case errors.Is(err, auth.ErrNoUser):
		return false, nil
	case err != nil && !errors.Is(err, auth.ErrDamaged):
		return false, err
	}
	return true, nil
}

// byHash finds the user with a key hash, in the org of ?org_id= if there is one. A hash of
// 64 bits can be that of two users, if someone chose their names for it: 409.
func (c *call) byHash(hash string, missing error) (session.Name, error) {
	org := c.query("org_id")
	return c.search(missing, func(name session.Name) bool {
		return (org == "" || name.Org == org) && name.KeyHash() == hash
	})
}

// search looks at every name, for the only one that is meant. A key hash is not kept
// anywhere: computing a million takes less than a second, and happens when a person asks.
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
