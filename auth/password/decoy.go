package password

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sort"
	"strings"
)

// Census counts the stored password hashes by the cost of a comparison, and keeps one of each. If
// users have hashes of several kinds and costs, one decoy is not enough: a name that takes another time
// than the decoy would be known to exist. So a name that does not exist gets a kind, always the same
// one, as often as users have it.
//
// If 900 users have bcrypt of cost 10 and 100 have argon2id, 9 of 10 names that do not exist take the
// time of bcrypt.
type Census struct {
	shares map[string]*share
}

type share struct {
	hash string // one of its kind
	n    int    // how many users have the kind
}

// NewCensus returns a census without users.
func NewCensus() *Census { return &Census{shares: make(map[string]*share)} }

// Add counts the hash of one user.
func (c *Census) Add(hash string) {
	class := costClass(hash)
	if class == "" {
		return // no password is compared with it
	}
	s := c.shares[class]
	if s == nil {
		s = &share{hash: strings.Clone(hash)}
		c.shares[class] = s
	}
	s.n++
}

// costClass returns a text that hashes with the same time of a comparison have in common, or "" if
// hash is not one.
func costClass(hash string) string {
	kind, err := HashKind(hash)
	if err != nil {
		return ""
	}
	switch kind {
	case "bcrypt":
		return kind + hash[4:6] // $2b$10$…
	case "apr1", "sha1":
		return kind
	}
	end := strings.LastIndexByte(hash, '$') // in front of the digest
	if end = strings.LastIndexByte(hash[:end], '$'); end < 0 {
		return kind
	}
	return kind + hash[:end] // with rounds or parameters, without the salt
}

// decoys are the hashes that passwords of users who do not exist are compared with.
type decoys struct {
	key    []byte
	shares []share // n: the users of this share and all before it
	total  int
}

// SetCensus sets the hashes that passwords of users who do not exist are compared with. key decides
// which name gets which. It must stay the same over restarts: a name whose time changes would be known
// not to exist.
func (p *Passwords) SetCensus(c *Census, key []byte) {
	d := &decoys{key: key}
	classes := make([]string, 0, len(c.shares))
	for class := range c.shares {
		classes = append(classes, class)
	}
	sort.Strings(classes)
	for _, class := range classes {
		s := c.shares[class]
		d.total += s.n
		d.shares = append(d.shares, share{s.hash, d.total})
	}
	if d.total == 0 {
		d = nil
	}
	p.decoys.Store(d)
}

// decoyFor returns the hash to compare with for a name that does not exist.
func (p *Passwords) decoyFor(org string, user []byte) string {
	d := p.decoys.Load()
	if d == nil {
		return p.decoy
	}
	mac := hmac.New(sha256.New, d.key)
	mac.Write([]byte(org))
	mac.Write([]byte{0}) // no org and no name holds one
	mac.Write(user)
	n := int(binary.BigEndian.Uint64(mac.Sum(nil)) % uint64(d.total))
	i := sort.Search(len(d.shares), func(i int) bool { return n < d.shares[i].n })
	return d.shares[i].hash
}
