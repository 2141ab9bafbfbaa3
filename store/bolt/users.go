package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"

	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/store/bolt/boltfile"
)

// Load returns a user's record and quotas as they stood at one moment, or
// [auth.ErrNoUser], [auth.ErrDamaged], [auth.ErrStoreDown].
func (s *Store) Load(org, user string) (auth.Record, []auth.KeptQuota, error) {
	return s.load(s.view, org, user)
}

// Read is [Store.Load] for those who are told what checks act on: the state that it returns
// acts on every check that starts when Read has returned. It is on disk, unless the disk has
// refused to sync since: see [Store.Ready].
func (s *Store) Read(org, user string) (auth.Record, []auth.KeptQuota, error) {
	return s.load(s.viewInForce, org, user)
}

func (s *Store) load(view func(func(tx *bbolt.Tx) error) error, org, user string) (r auth.Record, kept []auth.KeptQuota, err error) {
	key := userKey(org, user)
	err = view(func(tx *bbolt.Tx) error {
		kept = nil
		if r, err = readUser(tx, key); err != nil {
			return err
		}
		kept, err = readQuotas(tx, key)
		return err
	})
	s.noteDamage(key, err)
	return r, kept, err
}

func readUser(tx *bbolt.Tx, key []byte) (auth.Record, error) {
	return userIn(key, tx.Bucket(boltfile.Users).Get(key))
}

// userIn reads the record that is stored under key; nil: none is.
func userIn(key, value []byte) (auth.Record, error) {
	if value == nil {
		return auth.Record{}, auth.ErrNoUser
	}
	payload, err := boltfile.Open(boltfile.Users, key, value)
	if err != nil {
		return auth.Record{}, err
	}
	return decodeUser(payload)
}

func readQuotas(tx *bbolt.Tx, user []byte) (kept []auth.KeptQuota, err error) {
	prefix := append(bytes.Clone(user), boltfile.Separator...)
	c := tx.Bucket(boltfile.Quotas).Cursor()
	for key, value := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, value = c.Next() {
		r, err := quotaIn(key, value)
		if err != nil {
			return nil, err
		}
		kept = append(kept, auth.KeptQuota{Scope: string(key[len(prefix):]), Reservation: r})
	}
	return kept, nil
}

// Update changes one user in one transaction. edit is given the record as it stands
// (nil: there is none; see also [auth.Record.Damaged]) and returns the one to store, or
// nil to delete the user, or an error to change nothing, which Update returns as it is.
// edit must be quick: every writer may wait for it. It may be called twice, on two
// goroutines one after the other, because the user or the rules changed before its turn came:
// only the last call counts, and what the first was given may never have been in force.
//
// A record returned with Generation 0 starts the user's quotas afresh; one with the
// Generation it had keeps them.
//
// When Update returns, the change is on disk and acts on every check that starts
// from then on. With [store.ErrOutcomeUnknown], it is unknown whether it is.
func (s *Store) Update(org, user string, edit func(old *auth.Record) (*auth.Record, error)) (stored auth.Record, err error) {
	name, key := auth.Name{Org: org, User: user}, userKey(org, user)
	ahead := s.editAhead(name, key, edit)
	var after *auth.Record
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
		return auth.Record{}, err
	}
	s.forgetDamage(key)
	if after == nil {
		return auth.Record{}, nil
	}
	stored = *after
	stored.Generation = generation
	return stored, nil
}

// RulesChanged has edits made again that were made and are not stored yet: what they are
// checked against, policies or the configuration, is another one now. It is to be called when
// that is in force.
func (s *Store) RulesChanged() { s.rules.Add(1) }

// ahead is an edit that was made and encoded before its turn, while the writer waits for
// the disk. In its turn it only has to be looked at whether it still holds.
type ahead struct {
	before []byte // what was stored; nil: nothing
	rules  uint64 // of the store, when the edit began
	after  *auth.Record
	body   []byte
}

// editAhead makes an edit on what is stored now, or returns nil where there is nothing to
// encode: whatever is wrong will be so in its turn, where it is answered.
func (s *Store) editAhead(name auth.Name, key []byte, edit func(old *auth.Record) (*auth.Record, error)) (a *ahead) {
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

// holds reports whether the edit would be the same on the value that is stored now, under
// what is in force now.
func (a *ahead) holds(s *Store, value []byte) bool {
	return a != nil && a.rules == s.rules.Load() &&
		(value == nil) == (a.before == nil) && bytes.Equal(value, a.before)
}

func (s *Store) putUser(tx *bbolt.Tx, key []byte, r *auth.Record) (generation uint64, err error) {
	body, err := encodeUser(r)
	if err != nil {
		return 0, err
	}
	return s.putBody(tx, key, r.Generation, body)
}

// putBody writes a record that is encoded already. It returns its generation: a new one
// where 0 is given.
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

// deleteQuotas removes the quotas of one user. Keys are gathered first: a cursor
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

// Names returns up to n names that come after one, in the order of org and user, of a state
// as [Store.Read] returns it. Fewer than n: there are no more.
func (s *Store) Names(after auth.Name, n int) (names []auth.Name, err error) {
	err = s.viewInForce(func(tx *bbolt.Tx) error {
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

// Scan calls f for up to n users that come after one, in the order of org and user, those
// whose records are damaged left out. It returns the last that was looked at, and whether
// there are more.
func (s *Store) Scan(after auth.Name, n int, f func(auth.Brief)) (last auth.Name, more bool, err error) {
	var briefs []auth.Brief
	damage := make(map[auth.Name]error)
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
func usersAfter(tx *bbolt.Tx, after auth.Name) iter.Seq2[[]byte, auth.Name] {
	return func(yield func([]byte, auth.Name) bool) {
		c := tx.Bucket(boltfile.Users).Cursor()
		start := userKey(after.Org, after.User)
		key, value := c.Seek(start)
		if bytes.Equal(key, start) {
			key, value = c.Next()
		}
		for ; key != nil; key, value = c.Next() {
			org, user, found := strings.Cut(string(key), boltfile.Separator)
			if !found {
				continue // a damaged key is nobody's
			}
			if !yield(value, auth.Name{Org: org, User: user}) {
				return
			}
		}
	}
}

// Damaged returns the users whose records were found not to match their checksums
// since the start, as ORG/USER.
func (s *Store) Damaged() (names []string) {
	s.damagedMu.Lock()
	defer s.damagedMu.Unlock()
	for key := range s.damaged {
		names = append(names, strings.ReplaceAll(key, boltfile.Separator, "/"))
	}
	return names
}

// noteDamage logs a damaged record the first time it is met.
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
	s.log.Error("a user's record is damaged: the user is refused until it is written anew", "org", org, "user", user, "error", err)
}

// NoteDamage takes over what a report of this database says: which users are damaged, and
// how many there are.
func (s *Store) NoteDamage(r boltfile.Report) {
	s.done.users.CompareAndSwap(0, uint64(r.Users)) // until a commit tells
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
