package admin

import (
	"encoding/base64"
	"strings"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/auth/session"
)

// GET /api/users/search finds users as somebody types: ?limit= of them (100, at most
// 1000) whose name begins with ?q=, and then those who have it anywhere in the key id,
// the alias or a tag, in any case. The first come at once among millions; for the others
// every record has to be read, so one answer looks at a part of them, and ?after= the
// "next" of the answer goes on where it ended.

// search is how far one search has come.
type search struct {
	text     string // what is looked for, as it was typed
	org      string // "" = in all
	anywhere bool   // names that begin with text have been listed
	last     session.Name
}

func (c *call) searchUsers() error {
	limit, err := c.limit()
	if err != nil {
		return err
	}
	s := search{text: c.query("q"), org: c.query("org_id")}
	if err := s.goOn(c.query("after")); err != nil {
		return err
	}
	answer := api.FoundUsers{Users: make([]api.User, 0, limit)}
	for {
		names, err := c.Users.Names(s.last, perRead)
		if err != nil {
			return err
		}
		jumped := false
		for _, name := range names {
			if len(answer.Users) == limit || answer.Looked == maxNames {
				next := s.place()
				answer.Next = &next
				c.send(fasthttp.StatusOK, answer)
				return nil
			}
			var wanted bool
			if wanted, jumped, err = s.look(c, name); err != nil {
				return err
			}
			if jumped {
				break
			}
			s.last = name
			answer.Looked++
			if !wanted {
				continue
			}
			u, there, err := c.listed(name, false)
			if err != nil {
				return err
			}
			if there {
				answer.Users = append(answer.Users, u)
			}
		}
		switch {
		case jumped, len(names) == perRead:
		case s.anywhere, s.text == "":
			c.send(fasthttp.StatusOK, answer)
			return nil
		default:
			s.anywhere, s.last = true, session.Name{}
		}
	}
}

// look reports whether a user is found, or moves s.last on to where the next one can be.
func (s *search) look(c *call, name session.Name) (wanted, jumped bool, err error) {
	begins := strings.HasPrefix(name.User, s.text)
	switch {
	case s.org != "" && name.Org != s.org:
		s.last = session.Name{Org: s.org}
		if name.Org > s.org {
			s.last = afterAll
		}
		return false, true, nil
	case s.anywhere && begins:
		return false, false, nil
	case s.anywhere:
		wanted, err = c.matches(name, strings.ToLower(s.text))
		return wanted, false, err
	case begins:
		return true, false, nil
	case name.User < s.text:
		s.last = session.Name{Org: name.Org, User: justBefore(s.text)}
	default:
		s.last = session.Name{Org: name.Org, User: "\xff"}
	}
	return false, true, nil
}

// afterAll comes after every user: names and orgs are UTF-8, which has no such byte.
var afterAll = session.Name{Org: "\xff"}

// justBefore comes before text and after every name before it.
func justBefore(text string) string {
	last := len(text) - 1
	return text[:last] + string([]byte{text[last] - 1}) + "\xff"
}

// place tells [search.goOn] where to go on.
func (s *search) place() string {
	pass := "begins"
	if s.anywhere {
		pass = "anywhere"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(pass + "\x00" + s.last.Org + "\x00" + s.last.User))
}

func (s *search) goOn(after string) error {
	if after == "" {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(after)
	parts := strings.SplitN(string(text), "\x00", 3)
	if err != nil || len(parts) != 3 || parts[0] != "begins" && parts[0] != "anywhere" {
		return failure(fasthttp.StatusBadRequest, "Request malformed: after = %q: must be the next of an earlier answer", after)
	}
	s.anywhere, s.last = parts[0] == "anywhere", session.Name{Org: parts[1], User: parts[2]}
	return nil
}
