package admin

import (
	"errors"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/auth"
	"sidekey/auth/session"
)

// verify answers whether a password is a user's. It does not reveal whether the user exists or may
// log in. It uses nothing up, and waits for a turn to hash like a login.
func (c *call) verify() error {
	given, unknown, err := api.DecodeVerify(c.body())
	if err != nil {
		return err
	}
	if err := c.reportUnknown(unknown, "this request"); err != nil {
		return err
	}
	name := session.Name{Org: given.OrgID, User: given.Username}
	if name.Org == "" {
		name.Org = c.Org
	}
	if err := session.CheckNames(name.Org, name.User); err != nil {
		return err
	}
	r, _, err := c.Users.Read(name.Org, name.User)
	if err != nil && !errors.Is(err, auth.ErrNoUser) {
		return err
	}
	right, err := c.Settings().Passwords.Verify(name.Org, name.User, r.Session.BasicAuth.Password, given.Password)
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, api.Verified{Right: right})
	return nil
}
