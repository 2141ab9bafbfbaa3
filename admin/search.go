package admin

import (
	"encoding/base64"
	"strings"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/auth/session"
)

// GET /api/users/search finds users while the operator types: first those whose name begins with
// ?q=, then those that have the text anywhere in the key id, the alias or a tag, in upper or lower
// case. It answers ?limit= users (100 by default, at most 1000). The first kind is found at once
// among millions. For the second, every record must be read, so one answer looks at a bounded number
// of users; ?after= with the answer's "next" continues from there.

// search is the state of one search.
type search struct {
	text     string // the text to find, as typed
	org      string // "" = all
	anywhere bool   // all names that begin with text have been found
	last     session.Name
}

func (c *call) searchUsers() error {
	limit, err := c.limit()
	if err != nil {
		return err
	}
	s := search{text: c.query("q"), org: c.query("org_id")}
	if err := s.resume(c.query("after")); err != nil {
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
			var match bool
			if match, jumped, err = s.look(c, name); err != nil {
				return err
			}
			if jumped {
				break
			}
			s.last = name
			answer.Looked++
			if !match {
				continue
			}
			u, exists, err := c.listed(name, false)
			if err != nil {
				return err
			}
			if exists {
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

// look reports whether a user matches. If it can tell that the users after it do not match either, it
// moves s.last forward and reports jumped.
func (s *search) look(c *call, name session.Name) (match, jumped bool, err error) {
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
		match, err = c.matches(name, strings.ToLower(s.text))
		return match, false, err
	case begins:
		return true, false, nil
	case name.User < s.text:
		s.last = session.Name{Org: name.Org, User: justBefore(s.text)}
	default:
		s.last = session.Name{Org: name.Org, User: "\xff"}
	}
	return false, true, nil
}

// afterAll sorts after every user, because names and orgs are UTF-8, which has no byte 0xff.
var afterAll = session.Name{Org: "\xff"}

// justBefore returns a string that sorts before text and after every name that sorts before text.
func justBefore(text string) string {
	last := len(text) - 1
	return text[:last] + string([]byte{text[last] - 1}) + "\xff"
}

// place encodes the state for [search.resume].
func (s *search) place() string {
	pass := "begins"
	if s.anywhere {
		pass = "anywhere"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(pass + "\x00" + s.last.Org + "\x00" + s.last.User))
}

// resume continues from the place that an earlier answer has given, or begins if after is "".
func (s *search) resume(after string) error {
	if after == "" {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(after)
	parts := strings.SplitN(string(text), "\x00", 3)
	if err != nil || len(parts) != 3 || parts[0] != "begins" && parts[0] != "anywhere" {
		return failure(fasthttp.StatusBadRequest, "Request malformed: after = %q: must be \"next\" of an earlier answer", after)
	}
	s.anywhere, s.last = parts[0] == "anywhere", session.Name{Org: parts[1], User: parts[2]}
	return nil
}
