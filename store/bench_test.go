package store

import (
	"fmt"
	"path/filepath"
	"testing"

	"sidekey/auth"
)

// BenchmarkLoad is what a user who is not active costs beyond one who is, but for the hash
// of the password: the record and the quotas are read, and the account is compiled.
func BenchmarkLoad(b *testing.B) {
	const users = 10_000
	s, err := Open(filepath.Join(b.TempDir(), "sidekey.db"), quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var names []auth.Name
	for i := range users {
		names = append(names, auth.Name{Org: "default", User: fmt.Sprintf("user-%d", i)})
	}
	if err := s.UpdateMany(names, func(i int, _ *auth.Record) (*auth.Record, error) {
		return &auth.Record{Org: "default", User: names[i].User, Session: auth.Session{
			OrgID: "default", Alias: "Benchmark User", Tags: []string{"edge", "edge-eu"},
			Rate: 100, Per: 1, QuotaMax: 1_000_000, QuotaRenewalRate: 86_400,
			AccessRights: map[string]auth.Right{"orders": {APIID: "orders", Versions: []string{"Default"}}},
			BasicAuth:    auth.BasicAuth{Password: "$2b$10$nobodyknowsthepasswordofthishashsoitisnevercomparedwith", HashType: "bcrypt"},
		}}, nil
	}); err != nil {
		b.Fatal(err)
	}
	compiler := &auth.Compiler{Ledger: s, Policies: auth.NewPolicies(nil)}
	var d *auth.Directory
	for i := 0; b.Loop(); i++ {
		if i%users == 0 {
			d = auth.NewDirectory(s, compiler) // in which nobody is active
		}
		if _, err := d.Find("default", []byte(names[i%users].User)); err != nil {
			b.Fatal(err)
		}
	}
}
