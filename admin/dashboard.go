package admin

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/internal/problem"
)

// keyData is a user in the form of the Dashboard.
type keyData struct {
	APIModel struct{}        `json:"api_model"`
	KeyID    string          `json:"key_id"`
	Data     session.Session `json:"data"`
	KeyHash  string          `json:"key_hash"`
	State    string          `json:"state,omitempty"` // only in lists: active, expired, or why it is inactive
}

func dashboardKey(u found) keyData {
	s := u.Session
	s.BasicAuth.User = u.User
	return keyData{KeyID: u.Name().KeyID(), Data: s, KeyHash: u.Name().KeyHash()}
}

var dashboardMissing = failure(fasthttp.StatusNotFound, "Key not found")

func (c *call) dashboardCreate() error {
	w, err := c.readSession(c.params["username"])
	if err != nil {
		return err
	}
	return c.dashboardAnswer(c.create(w))
}

func (c *call) dashboardReplace() error {
	w, err := c.readSession(c.params["username"])
	if err != nil {
		return err
	}
	return c.dashboardAnswer(c.replace(w, dashboardMissing))
}

func (c *call) dashboardGet() error {
	name, err := c.name()
	if err != nil {
		return err
	}
	if c.query("raw") == "1" {
		return c.dashboardAnswer(c.fetchStored(name))
	}
	return c.dashboardAnswer(c.fetch(name, dashboardMissing))
}

func (c *call) dashboardAnswer(u found, err error) error {
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, dashboardKey(u))
	return nil
}

func (c *call) dashboardDelete() error {
	name, err := c.name()
	if err != nil {
		return err
	}
	return c.done("Key deleted successfully", c.remove(name, dashboardMissing))
}

// dashboardGenerate creates a user with a generated name or, with ?basic_auth=true, with the name in
// the body.
func (c *call) dashboardGenerate() error {
	name, err := generatedName()
	if c.isSet("basic_auth") {
		name, err = c.nameInBody()
	}
	if err != nil {
		return err
	}
	w, err := c.readSession(name)
	if err != nil {
		return err
	}
	return c.dashboardAnswer(c.create(w))
}

func (c *call) nameInBody() (string, error) {
	session, _, err := session.DecodeSession(c.body())
	if err == nil && session.BasicAuth.User == "" {
		err = problem.List{{Field: "basic_auth_data.user", Value: `""`, Want: "must not be empty with ?basic_auth=true"}}
	}
	return session.BasicAuth.User, err
}

func (c *call) dashboardPreview() error { return c.dashboardAnswer(c.preview()) }

// dashboardCreateKey creates the user that the path names: by key id, which is the org and the name,
// or by the name alone.
func (c *call) dashboardCreateKey() error {
	w, err := c.readSession(c.params["keyID"])
	if err != nil {
		return err
	}
	if user, found := strings.CutPrefix(w.name.User, w.name.Org); found && user != "" {
		w.name.User = user
		if err := session.CheckNames(w.name.Org, user); err != nil {
			return err
		}
	}
	return c.dashboardAnswer(c.create(w))
}

func (c *call) dashboardGetKey() error {
	name, err := c.keyName("", dashboardMissing)
	if err != nil {
		return err
	}
	if c.query("raw") == "1" {
		return c.dashboardAnswer(c.fetchStored(name))
	}
	return c.dashboardAnswer(c.fetch(name, dashboardMissing))
}

func (c *call) dashboardReplaceKey() error {
	var given struct {
		Org string `json:"org_id"`
	}
	if json.Unmarshal(c.ctx.PostBody(), &given) != nil {
		given.Org = "" // readSession reports what is wrong with the body
	}
	name, err := c.keyName(given.Org, dashboardMissing)
	if err != nil {
		return err
	}
	w, err := c.readSession(name.User)
	if err != nil {
		return err
	}
	if w.name != name {
		return problem.List{{Field: "org_id", Value: strconv.Quote(w.name.Org), Want: "must be the org of the key, " + strconv.Quote(name.Org)}}
	}
	return c.dashboardAnswer(c.replace(w, dashboardMissing))
}

func (c *call) dashboardDeleteKey() error {
	name, err := c.keyName("", dashboardMissing)
	if err != nil {
		return err
	}
	return c.done("Key deleted successfully", c.remove(name, dashboardMissing))
}

func (c *call) dashboardList() error { return c.dashboardNames(nil) }

// dashboardSearch lists the users of an API whose key id contains ?q=.
func (c *call) dashboardSearch() error {
	text := c.query("q")
	return c.dashboardNames(func(name session.Name) (bool, error) { return strings.Contains(name.KeyID(), text), nil })
}

// dashboardNames lists the key ids of the users for which pick returns true; nil picks all.
func (c *call) dashboardNames(pick func(session.Name) (bool, error)) error {
	names, err := c.list(c.params["apiID"], pick)
	if err != nil {
		return err
	}
	part, pages, err := page(c, names)
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
		Pages int `json:"pages"`
	}
	answer.Data.Keys = make([]string, 0, len(part))
	for _, name := range part {
		answer.Data.Keys = append(answer.Data.Keys, name.KeyID())
	}
	answer.Pages = pages
	c.send(fasthttp.StatusOK, answer)
	return nil
}

// dashboardDetailed lists users with their sessions. ?q= selects those that have the text in their
// key id, alias or a tag.
func (c *call) dashboardDetailed() error {
	text := strings.ToLower(c.query("q"))
	names, err := c.list("", func(name session.Name) (bool, error) { return c.matches(name, text) })
	if err != nil {
		return err
	}
	part, pages, err := page(c, names)
	if err != nil {
		return err
	}
	answer := struct {
		Keys  []keyData `json:"keys"`
		Pages int       `json:"pages"`
	}{Keys: make([]keyData, 0, len(part)), Pages: pages}
	for _, name := range part {
		u, err := c.fetch(name, auth.ErrNoUser)
		switch {
		case errors.Is(err, auth.ErrNoUser), errors.Is(err, auth.ErrDamaged):
			continue // deleted since the names were read, or damaged
		case err != nil:
			return err
		}
		key := dashboardKey(u)
		key.State = u.state()
		answer.Keys = append(answer.Keys, key)
	}
	c.send(fasthttp.StatusOK, answer)
	return nil
}

// matches reports whether a user has text, which is in lower case, in the key id, the alias or a tag,
// in upper or lower case.
func (c *call) matches(name session.Name, text string) (bool, error) {
	contains := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	if contains(name.KeyID()) {
		return true, nil
	}
	r, readable, err := c.readable(name)
	return readable && (contains(r.Session.Alias) || slices.ContainsFunc(r.Session.Tags, contains)), err
}
