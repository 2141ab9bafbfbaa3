package bolt

import (
	"fmt"
	"path/filepath"
	"testing"

	"sidekey/auth"
	"sidekey/auth/session"
)

// BenchmarkLoad measures what a user who is not active costs in addition, except for the hash
// of the password: the record and the quotas are read, and the account is compiled.
func BenchmarkLoad(b *testing.B) {
	s, names := benchStore(b)
	compiler := &auth.Compiler{Ledger: s, Policies: session.NewPolicies(nil)}
	var d *auth.Directory
	for i := 0; b.Loop(); i++ {
		if i%len(names) == 0 {
			d = auth.NewDirectory(s, compiler) // without active users
		}
		if _, err := d.Find("default", []byte(names[i%len(names)].User)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan measures what a scan of all users costs for each.
func BenchmarkScan(b *testing.B) {
	s, _ := benchStore(b)
	b.ReportAllocs()
	var last session.Name
	for i := 0; i < b.N; {
		next, more, err := s.Scan(last, 250, func(session.Brief) { i++ })
		if err != nil {
			b.Fatal(err)
		}
		if last = next; !more {
			last = session.Name{}
		}
	}
}

// benchStore returns a store of many users, and their names.
func benchStore(b *testing.B) (*Store, []session.Name) {
	s, err := Open(filepath.Join(b.TempDir(), "sidekey.db"), quiet)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	var names []session.Name
	for i := range 10_000 {
		names = append(names, session.Name{Org: "default", User: fmt.Sprintf("user-%d", i)})
	}
	if err := s.UpdateMany(names, func(i int, _ *session.Record) (*session.Record, error) {
		return &session.Record{Org: "default", User: names[i].User, Session: session.Session{
			OrgID: "default", Alias: "Benchmark User", Tags: []string{"edge", "edge-eu"},
			Rate: 100, Per: 1, QuotaMax: 1_000_000, QuotaRenewalRate: 86_400,
			AccessRights: map[string]session.Right{"orders": {APIID: "orders", Versions: []string{"Default"}}},
			BasicAuth:    session.BasicAuth{Password: "$2b$10$nobodyknowsthepasswordofthishashsoitisnevercomparedwith", HashType: "bcrypt"},
		}}, nil
	}); err != nil {
		b.Fatal(err)
	}
	return s, names
}
