package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/store/bolt"
)

// subject is one user or policy that one writer changes again and again: the n-th write puts
// version n into several of its fields, or deletes it.
type subject struct {
	name   string
	policy bool
	login  bool // a user with a password who is never deleted

	acked int // last version that was acknowledged
	tried int // last version that was sent: acked, or one more
}

func subjects() (list []*subject) {
	for i := range 7 {
		list = append(list, &subject{name: "user-" + strconv.Itoa(i)})
	}
	for i := range 3 {
		list = append(list, &subject{name: "login-" + strconv.Itoa(i), login: true})
	}
	for i := range 2 {
		list = append(list, &subject{name: "policy-" + strconv.Itoa(i), policy: true})
	}
	return list
}

// deleted reports whether version n is a deletion.
func (s *subject) deleted(n int) bool { return n == 0 || !s.login && n%5 == 4 }

// quotaMax is the quota of users who log in: so large that it is always reserved ahead.
const quotaMax = 100_000

// write sends version n.
func (s *subject) write(c *connection, n int) (status int, text string, err error) {
	target, create, replace := "/tyk/keys/"+s.name, "POST", "PUT"
	if s.policy {
		target = "/tyk/policies/" + s.name
	}
	v := "v" + strconv.Itoa(n)
	switch {
	case s.deleted(n):
		return c.do("DELETE", target, "")
	case s.policy:
		body := fmt.Sprintf(`{"id": %q, "name": %q, "tags": [%q, "end"], "org_id": "default", "rate": %d, "per": 1}`, s.name, v, v, n)
		if s.deleted(n - 1) {
			return c.do(create, "/tyk/policies", body)
		}
		return c.do(replace, target, body)
	}
	given := ""
	if s.login && n == 1 {
		given = fmt.Sprintf(`"basic_auth_data": {"password": %q},`, password)
	}
	// Every second write keeps the used quota.
	if n%2 == 0 {
		target += "?suppress_reset=1"
	}
	method := create
	if s.login && n > 1 {
		method = replace // which keeps the password
	}
	body := fmt.Sprintf(`{"alias": %q, "tags": [%q, "end"], %s "meta_data": {"n": %d, "size": %q}, "quota_max": %d, "quota_renewal_rate": 1000000}`, v, v, given, n, strings.Repeat("x", 150*(n%9)), quotaMax)
	return c.do(method, target, body)
}

// journal is called by writers: before they send a version, and when they know that it is there.
// Either function may be nil.
type journal struct {
	tried, acked func(s *subject, n int)
	acks         atomic.Int64
}

func (j *journal) try(s *subject, n int) {
	s.tried = n
	if j.tried != nil {
		j.tried(s, n)
	}
}

func (j *journal) ack(s *subject, n int) {
	s.acked, s.tried = n, n
	j.acks.Add(1)
	if j.acked != nil {
		j.acked(s, n)
	}
}

// writeOn writes version after version until the process has ended. After a write with an unknown
// outcome, it reads the subject.
func (s *subject) writeOn(c *connection, j *journal) error {
	defer c.close()
	for {
		n := s.acked + 1
		j.try(s, n)
		status, text, err := s.write(c, n)
		switch {
		case errors.Is(err, errNotSent):
			s.tried = n - 1
			return nil
		case err != nil:
			return nil
		case status == 503 || status == 507:
			if !strings.Contains(text, "may or may not") && !strings.Contains(text, "nothing was written") {
				return fmt.Errorf("%s: version %d was answered %d without saying whether it was written: %s", s.name, n, status, text)
			}
			found, ok, err := s.get(c)
			for ; err == nil && !ok; found, ok, err = s.get(c) {
				time.Sleep(time.Millisecond)
			}
			switch {
			case err != nil:
				return nil
			case s.matches(found, n):
				j.ack(s, n)
			case !s.matches(found, n-1):
				return fmt.Errorf("%s: after version %d there is %d", s.name, n, found)
			}
		case status != 200:
			return fmt.Errorf("%s: version %d was answered %d %s", s.name, n, status, text)
		default:
			j.ack(s, n)
		}
	}
}

// get returns the version that the program shows. ok is false if it cannot.
func (s *subject) get(c *connection) (version int, ok bool, err error) {
	target := "/tyk/keys/" + s.name
	if s.policy {
		target = "/tyk/policies/" + s.name
	}
	status, text, err := c.do("GET", target, "")
	switch {
	case err != nil:
		return 0, false, err
	case status == 404:
		return 0, true, nil
	case status != 200:
		return 0, false, nil
	}
	var shown struct{ Alias, Name string }
	if err := json.Unmarshal([]byte(text), &shown); err != nil {
		return 0, false, err
	}
	version, err = strconv.Atoi(strings.TrimPrefix(shown.Alias+shown.Name, "v"))
	return version, err == nil, err
}

// state is what a database has of a subject.
type state struct {
	version int  // 0 = nothing
	whole   bool // everything that was written together is there together
	why     string
}

func (s *subject) read(db *bolt.Store) (state, error) {
	if s.policy {
		p, err := db.Policy(s.name)
		if err != nil || p == nil {
			return state{whole: true}, err
		}
		return versionOf(p.Name, p.Tags, int(p.Rate), p)
	}
	r, kept, err := db.Load("default", s.name)
	if errors.Is(err, auth.ErrNoUser) {
		return state{whole: true}, nil
	}
	if err != nil {
		return state{}, err
	}
	n, _ := strconv.Atoi(string(r.Session.MetaData["n"]))
	st, err := versionOf(r.Session.Alias, r.Session.Tags, n, r)
	for _, k := range kept {
		if k.Generation != r.Generation {
			st.whole, st.why = false, fmt.Sprintf("generation %d has a quota of generation %d", r.Generation, k.Generation)
		}
	}
	if s.login && r.Session.BasicAuth.Password == "" {
		st.whole, st.why = false, "the password is gone"
	}
	return st, err
}

func versionOf(alias string, tags []string, number int, all any) (state, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(alias, "v"))
	if err != nil || len(tags) != 2 || tags[0] != alias || tags[1] != "end" || number != n {
		return state{why: fmt.Sprintf("parts of several: %+v", all)}, nil
	}
	return state{version: n, whole: true}, nil
}

// matches reports whether a version that was found (0 = nothing) is n.
func (s *subject) matches(found, n int) bool {
	return s.deleted(n) && found == 0 || !s.deleted(n) && found == n
}

// problem returns the version of the subject that a database has, or what is wrong with it: the
// version must be complete, and one from acked to tried.
func (s *subject) problem(db *bolt.Store, acked, tried int) (version int, err error) {
	st, err := s.read(db)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s cannot be read: %w", s.name, err)
	case !st.whole:
		return 0, fmt.Errorf("%s is HALF APPLIED: %s", s.name, st.why)
	}
	for n := acked; n <= tried; n++ {
		if s.matches(st.version, n) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s: version %d was acknowledged and is LOST: up to %d was sent, %d is there", s.name, acked, tried, st.version)
}

// verify checks all subjects of a database that no process has open. It takes what it finds as the
// last state of each.
func verify(t testing.TB, path string, list []*subject) (ok bool) {
	t.Helper()
	db, err := bolt.Open(path, quiet)
	if err != nil {
		t.Errorf("the database cannot be opened: %v", err)
		return false
	}
	defer db.Close()
	ok = true
	for _, s := range list {
		version, err := s.problem(db, s.acked, s.tried)
		if err != nil {
			t.Error(err)
			ok = false
		}
		s.acked, s.tried = version, version
	}
	return ok
}
