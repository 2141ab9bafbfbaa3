package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"

	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/store/bolt/boltfile"
)

// Load implements [store.Users].
func (s *Store) Load(org, user string) (session.Record, []auth.KeptQuota, error) {
	return s.load(s.view, org, user)
}

// Read implements [store.Users]. The record is on disk, unless the disk has failed to sync since:
// see [Store.Ready].
func (s *Store) Read(org, user string) (session.Record, []auth.KeptQuota, error) {
	return s.load(s.viewPublished, org, user)
}

func (s *Store) load(view func(func(tx *bbolt.Tx) error) error, org, user string) (r session.Record, quotas []auth.KeptQuota, err error) {
	key := userKey(org, user)
	err = view(func(tx *bbolt.Tx) error {
		quotas = nil
		if r, err = readUser(tx, key); err != nil {
			return err
		}
		quotas, err = readQuotas(tx, key)
		return err
	})
	s.noteDamage(key, err)
	return r, quotas, err
}

func readUser(tx *bbolt.Tx, key []byte) (session.Record, error) {
	return userIn(key, tx.Bucket(boltfile.Users).Get(key))
}

// userIn reads the record that is stored under key; nil: none is.
func userIn(key, value []byte) (session.Record, error) {
	if value == nil {
		return session.Record{}, auth.ErrNoUser
	}
	payload, err := boltfile.Open(boltfile.Users, key, value)
	if err != nil {
		return session.Record{}, err
	}
	return decodeUser(payload)
}

func readQuotas(tx *bbolt.Tx, user []byte) (quotas []auth.KeptQuota, err error) {
	prefix := append(bytes.Clone(user), boltfile.Separator...)
	c := tx.Bucket(boltfile.Quotas).Cursor()
	for key, value := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, value = c.Next() {
		r, err := quotaIn(key, value)
		if err != nil {
			return nil, err
		}
		quotas = append(quotas, auth.KeptQuota{Scope: string(key[len(prefix):]), Reservation: r})
	}
	return quotas, nil
}

// Update implements [store.Users] in one transaction. It makes the edit before its turn comes,
// while the disk works for earlier commits, and again in its turn if the user or the rules
// have changed since.
func (s *Store) Update(org, user string, edit func(old *session.Record) (*session.Record, error)) (stored session.Record, err error) {
	name, key := session.Name{Org: org, User: user}, userKey(org, user)
	ahead := s.editAhead(name, key, edit)
	var after *session.Record
	var generation uint64
	err = s.change(operation{
		apply: func(tx *bbolt.Tx) error {
			var err error
			value := tx.Bucket(boltfile.Users).Get(key)
			if ahead.holds(s, value) {
				after = ahead.after
				generation, err = s.putBody(tx, key, after.Generation, ahead.body)
				return err
			}
			before, err := userBefore(name, key, value)
			if err != nil {
				return err
			}
			after, err = edit(before)
			switch {
			case err != nil:
				return refused{err}
			case after == nil:
				return s.deleteUser(tx, key)
			}
			generation, err = s.putUser(tx, key, after)
			return err
		},
		committed: func() { s.notify.User(org, user) },
	})
	if err != nil {
		return session.Record{}, err
	}
	s.forgetDamage(key)
	if after == nil {
		return session.Record{}, nil
	}
	stored = *after
	stored.Generation = generation
	return stored, nil
}

// RulesChanged implements [store.Store].
func (s *Store) RulesChanged() { s.rules.Add(1) }

// ahead is an edit that was made and encoded before its turn, while the writer waits for the
// disk. When its turn comes, the writer only checks that it is still valid.
type ahead struct {
	before []byte // what was stored; nil: nothing
	rules  uint64 // of the store, when the edit began
	after  *session.Record
	body   []byte
}

// editAhead makes an edit on what is stored now. It returns nil if there is nothing to encode:
// the edit is then made, and its error answered, when its turn comes.
func (s *Store) editAhead(name session.Name, key []byte, edit func(old *session.Record) (*session.Record, error)) (a *ahead) {
	defer func() {
		if recover() != nil {
			a = nil
		}
	}()
	a = &ahead{rules: s.rules.Load()}
	if err := s.view(func(tx *bbolt.Tx) error {
		a.before = bytes.Clone(tx.Bucket(boltfile.Users).Get(key))
		return nil
	}); err != nil {
		return nil
	}
	old, err := userBefore(name, key, a.before)
	if err != nil {
		return nil
	}
	if a.after, err = edit(old); err != nil || a.after == nil {
		return nil
	}
	if a.body, err = encodeUser(a.after); err != nil {
		return nil
	}
	return a
}

// holds reports whether the edit is still valid: the stored value and the rules are those that
// it was made with.
func (a *ahead) holds(s *Store, value []byte) bool {
	return a != nil && a.rules == s.rules.Load() &&
		(value == nil) == (a.before == nil) && bytes.Equal(value, a.before)
}

func (s *Store) putUser(tx *bbolt.Tx, key []byte, r *session.Record) (generation uint64, err error) {
	body, err := encodeUser(r)
	if err != nil {
		return 0, err
	}
	return s.putBody(tx, key, r.Generation, body)
}

// putBody writes an encoded record and returns its generation: a new one if 0 is given.
func (s *Store) putBody(tx *bbolt.Tx, key []byte, generation uint64, body []byte) (_ uint64, err error) {
	if generation == 0 {
		if generation, err = tx.Bucket(boltfile.Users).NextSequence(); err != nil {
			return 0, err
		}
		if err := s.deleteQuotas(tx, key); err != nil {
			return 0, err
		}
	}
	return generation, s.put(tx, boltfile.Users, key, userPayload(generation, body))
}

func (s *Store) deleteUser(tx *bbolt.Tx, key []byte) error {
	if err := s.deleteQuotas(tx, key); err != nil {
		return err
	}
	return s.delete(tx, boltfile.Users, key)
}

// deleteQuotas removes the quotas of one user. It collects the keys first, because a cursor
// must not be used after its bucket has changed.
func (s *Store) deleteQuotas(tx *bbolt.Tx, user []byte) error {
	prefix := append(bytes.Clone(user), boltfile.Separator...)
	var keys [][]byte
	c := tx.Bucket(boltfile.Quotas).Cursor()
	for key, _ := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
		keys = append(keys, bytes.Clone(key))
	}
	for _, key := range keys {
		if err := s.delete(tx, boltfile.Quotas, key); err != nil {
			return err
		}
	}
	return nil
}

// Names implements [store.Users].
func (s *Store) Names(after session.Name, n int) (names []session.Name, err error) {
	err = s.viewPublished(func(tx *bbolt.Tx) error {
		names = nil
		for _, name := range usersAfter(tx, after) {
			if len(names) == n {
				break
			}
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// Scan implements [store.Users].
func (s *Store) Scan(after session.Name, n int, f func(session.Brief)) (last session.Name, more bool, err error) {
	var briefs []session.Brief
	damage := make(map[session.Name]error)
	last = after
	err = s.view(func(tx *bbolt.Tx) error {
		for value, name := range usersAfter(tx, after) {
			if n == 0 {
				more = true
				break
			}
			n--
			last = name
			brief, err := decodeBrief(userKey(name.Org, name.User), value)
			if err != nil {
				damage[name] = err
				continue
			}
			brief.Name = name
			briefs = append(briefs, brief)
		}
		return nil
	})
	for name, err := range damage {
		s.noteDamage(userKey(name.Org, name.User), err)
	}
	for _, brief := range briefs {
		f(brief)
	}
	return last, more, err
}

// usersAfter yields the stored values of the users that come after one, and their names.
func usersAfter(tx *bbolt.Tx, after session.Name) iter.Seq2[[]byte, session.Name] {
	return func(yield func([]byte, session.Name) bool) {
		c := tx.Bucket(boltfile.Users).Cursor()
		start := userKey(after.Org, after.User)
		key, value := c.Seek(start)
		if bytes.Equal(key, start) {
			key, value = c.Next()
		}
		for ; key != nil; key, value = c.Next() {
			org, user, found := strings.Cut(string(key), boltfile.Separator)
			if !found {
				continue // a damaged key names no user
			}
			if !yield(value, session.Name{Org: org, User: user}) {
				return
			}
		}
	}
}

// Damaged implements [store.Users].
func (s *Store) Damaged() (names []string) {
	s.damagedMu.Lock()
	defer s.damagedMu.Unlock()
	for key := range s.damaged {
		names = append(names, strings.ReplaceAll(key, boltfile.Separator, "/"))
	}
	return names
}

// noteDamage remembers that a user's record is damaged, and logs it the first time.
func (s *Store) noteDamage(key []byte, err error) {
	if !errors.Is(err, auth.ErrDamaged) {
		return
	}
	s.damagedMu.Lock()
	defer s.damagedMu.Unlock()
	if s.damaged[string(key)] {
		return
	}
	s.damaged[string(key)] = true
	org, user, _ := strings.Cut(string(key), boltfile.Separator)
	s.log.Error("a user's record is damaged: the user is refused until it is written again", "org", org, "user", user, "error", err)
}

// NoteDamage takes over from a report about this database which users are damaged, and how
// many users there are.
func (s *Store) NoteDamage(r boltfile.Report) {
	s.done.users.CompareAndSwap(0, uint64(r.Users)) // until a commit has counted them
	for _, d := range r.Damaged {
		if d.User != "" {
			s.noteDamage(userKey(d.Org, d.User), fmt.Errorf("%w: %s", auth.ErrDamaged, d))
		}
	}
}

func (s *Store) forgetDamage(key []byte) {
	s.damagedMu.Lock()
	defer s.damagedMu.Unlock()
	delete(s.damaged, string(key))
}
