package boltfile

import (
	"fmt"
)

// Report is the result of [Verify]. Of a sound database with two users it is {Users: 2}, with
// empty lists.
type Report struct {
	Users    int `json:"users"`
	Quotas   int `json:"quotas"`
	Policies int `json:"policies"`

	// Problems concern the file as a whole. If there is any, records may be missing or
	// outdated, and the file must not be used.
	Problems []string `json:"problems"`
	// Damaged are the records that do not match their checksums. They are never used; all
	// others are sound.
	Damaged []DamagedRecord `json:"damaged"`
}

// DamagedRecord is a record that does not match its checksum.
type DamagedRecord struct {
	Bucket  string `json:"bucket"` // "users", "quotas" or "policies"
	Org     string `json:"org,omitzero"`
	User    string `json:"user,omitzero"`
	Scope   string `json:"scope,omitzero"`  // of a quota
	Policy  string `json:"policy,omitzero"` // of a policy
	Problem string `json:"problem"`
}

// String names the record and its problem.
func (d DamagedRecord) String() string {
	switch d.Bucket {
	case string(Users):
		return fmt.Sprintf("user %q of %q: %s", d.User, d.Org, d.Problem)
	case string(Quotas):
		return fmt.Sprintf("quota %q of user %q of %q: %s", d.Scope, d.User, d.Org, d.Problem)
	}
	return fmt.Sprintf("policy %q: %s", d.Policy, d.Problem)
}

// Clean reports whether there is no problem at all.
func (r Report) Clean() bool { return len(r.Problems) == 0 && len(r.Damaged) == 0 }

// Usable returns nil, or an error of one line that says why the file must not be used.
func (r Report) Usable() error {
	switch more := len(r.Problems) - 1; {
	case more < 0:
		return nil
	case more == 0:
		return fmt.Errorf("the database is damaged: %s", r.Problems[0])
	default:
		return fmt.Errorf("the database is damaged: %s, and %d more problems", r.Problems[0], more)
	}
}
