package bolt

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

var updateFormat = flag.Bool("update", false, "write testdata/format-N.db.gz of the format that this version writes")

// fileOf makes a database that change has been applied to, and closes it.
func fileOf(t *testing.T, change func(tx *bbolt.Tx) error) (path string) {
	t.Helper()
	path = newPath(t)
	s, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, record("default", "alice", "x"))
	raw(t, s, change)
	mustClose(t, s)
	return path
}

func formatIs(value []byte) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket(boltfile.Meta).Put(boltfile.KeyFormat, value) }
}

// A database of a later version is refused and not changed.
func TestNewerFormat(t *testing.T) {
	path := fileOf(t, formatIs(boltfile.Seal(boltfile.Meta, boltfile.KeyFormat, fmt.Append(nil, boltfile.FormatVersion+1))))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, quiet)
	want(t, "newer format", err, boltfile.ErrNewer)
	_, err = boltfile.Verify(path)
	want(t, "newer format", err, boltfile.ErrNewer)
	_, err = Restore(newPath(t), path, now)
	want(t, "newer format", err, boltfile.ErrNewer)
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
}

func TestBadFormat(t *testing.T) {
	f := func(value []byte, text string) {
		t.Helper()
		path := fileOf(t, formatIs(value))
		if s, err := Open(path, quiet); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q in it", err, text)
			if err == nil {
				mustClose(t, s)
			}
		}
		if r, err := boltfile.Verify(path); err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], text) {
			t.Errorf("got %q, %v, want %q", r.Problems, err, text)
		}
	}
	f(nil, auth.ErrDamaged.Error())
	f([]byte("1"), auth.ErrDamaged.Error())
	f(boltfile.Seal(boltfile.Users, boltfile.KeyFormat, []byte("1")), auth.ErrDamaged.Error())
	f(boltfile.Seal(boltfile.Meta, boltfile.KeyFormat, []byte("one")), `"one" is not a version`)
	f(boltfile.Seal(boltfile.Meta, boltfile.KeyFormat, []byte("0")), `"0" is not a version`)
}

// fillGolden stores the users, policies and quotas of the golden files.
func fillGolden(t *testing.T, s *Store) {
	alice := record("default", "alice", "Älice")
	alice.Session.QuotaMax, alice.Session.Rate, alice.Session.Per = 1000, 0.5, 1
	alice.Session.BasicAuth = session.BasicAuth{Password: "$2a$10$hash", HashType: "bcrypt"}
	alice.Session.ApplyPolicies = []string{"gold"}
	alice.Session.AccessRights = map[string]session.Right{"orders": {APIID: "orders", Versions: []string{"v1"}}}
	alice.Session.MetaData = map[string]jsontext.Value{"n": jsontext.Value("1.0")}
	stored := put(t, s, alice)
	for _, scope := range []string{"", "orders"} {
		want(t, "reserve", reserve(s, limiter.QuotaKey{Org: "default", User: "alice", Scope: scope},
			limiter.Reservation{Generation: stored.Generation, Start: 5, Reserved: 17}), nil)
	}
	put(t, s, record("other", "alice", "another one"))
	put(t, s, record("default", "gone", "gone"))
	remove(t, s, "default", "gone")
	want(t, "policy", s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) {
		return &session.Policy{ID: "gold", OrgID: "default", Rate: 5, Per: 1, QuotaMax: -1}, nil
	}), nil)
}

// tell returns the content of a database as text.
func tell(t *testing.T, s *Store) string {
	t.Helper()
	var text strings.Builder
	line := func(kind string, what any) {
		b, err := json.Marshal(what, json.Deterministic(true), json.OmitZeroStructFields(true))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s %s\n", kind, b)
	}
	names, err := s.Names(session.Name{}, 1<<20)
	want(t, "names", err, nil)
	for _, name := range names {
		r, kept, err := s.Load(name.Org, name.User)
		want(t, "load "+name.User, err, nil)
		line(fmt.Sprintf("user %d", r.Generation), r)
		for _, k := range kept {
			fmt.Fprintf(&text, "quota %q {Generation:%d Start:%d Reserved:%d}\n", k.Scope, k.Generation, k.Start, k.Reserved)
		}
	}
	policies, damaged, err := s.Policies()
	want(t, "policies", errors.Join(damaged, err), nil)
	for _, p := range policies {
		line("policy", p)
	}
	return text.String()
}

// Every released format can be opened, with the content that was written to it.
func TestGoldenFormats(t *testing.T) {
	current := filepath.Join("testdata", fmt.Sprintf("format-%d.db.gz", boltfile.FormatVersion))
	if *updateFormat {
		path := newPath(t)
		s := mustOpen(t, path)
		fillGolden(t, s)
		mustClose(t, s)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		w.Write(content)
		w.Close()
		if err := errors.Join(os.WriteFile(current, packed.Bytes(), 0o644),
			os.WriteFile(strings.TrimSuffix(current, ".db.gz")+".txt", []byte(tell(t, mustOpen(t, path))), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for version := 1; version <= boltfile.FormatVersion; version++ {
		name := filepath.Join("testdata", fmt.Sprintf("format-%d", version))
		packed, err := os.Open(name + ".db.gz")
		if err != nil {
			t.Fatal(err)
		}
		defer packed.Close()
		r, err := gzip.NewReader(packed)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := newPath(t)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := boltfile.Verify(path)
		if err != nil || !report.Clean() {
			t.Errorf("format %d: %+v, %v", version, report, err)
		}
		s := mustOpen(t, path)
		text, err := os.ReadFile(name + ".txt")
		if got := tell(t, s); err != nil || got != string(text) {
			t.Errorf("format %d: got\n%s\nwant\n%s", version, got, text)
		}
		put(t, s, record("default", "bob", "written since"))
	}
}

// A migration that fails or is killed leaves the file as it was. One that succeeds runs once.
func TestMigrationIsAtomic(t *testing.T) {
	path := newPath(t)
	opened := func(use func(s *Store)) {
		t.Helper()
		s, err := Open(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, s)
		use(s)
	}
	var before string
	opened(func(s *Store) {
		fillGolden(t, s)
		before = tell(t, s)
	})

	runs := 0
	rename := func(from, to string) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			runs++
			b := tx.Bucket(boltfile.Policies)
			payload, err := boltfile.Open(boltfile.Policies, []byte(from), b.Get([]byte(from)))
			if err != nil {
				return err
			}
			return errors.Join(b.Put([]byte(to), boltfile.Seal(boltfile.Policies, []byte(to), payload)), b.Delete([]byte(from)))
		}
	}
	failed := errors.New("the disk is gone")
	steps := func(last func(tx *bbolt.Tx) error) []func(tx *bbolt.Tx) error {
		return []func(tx *bbolt.Tx) error{rename("gold", "silver"), last}
	}
	migrate := func(steps []func(tx *bbolt.Tx) error) (err error) {
		t.Helper()
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		defer damaged(&err) // and what a panic leaves is what a crash leaves
		return bringUpToDate(db, steps)
	}
	unchanged := func(after string) {
		t.Helper()
		checkPages(t, path)
		opened(func(s *Store) {
			if got := tell(t, s); got != before {
				t.Errorf("after %s: got\n%s\nwant\n%s", after, got, before)
			}
		})
	}
	want(t, "a step that fails", migrate(steps(func(*bbolt.Tx) error { return failed })), failed)
	unchanged("a step that fails")
	want(t, "a crash", migrate(steps(func(*bbolt.Tx) error { panic("crash") })), errPanicked)
	unchanged("a crash")
	want(t, "migration", migrate(steps(rename("silver", "bronze"))), nil)
	runs = 0
	want(t, "migration, again", migrate(steps(rename("silver", "bronze"))), nil)
	if runs != 0 {
		t.Errorf("a file that is up to date was migrated again")
	}
	_, err := Open(path, quiet)
	want(t, "the older program", err, boltfile.ErrNewer)

	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(boltfile.Policies)
		if b.Get([]byte("gold")) != nil || b.Get([]byte("silver")) != nil || b.Get([]byte("bronze")) == nil {
			t.Error("not migrated")
		}
		var counted sums
		kept, err := boltfile.DecodeSums(tx.Bucket(boltfile.Meta).Get(boltfile.KeySums))
		for _, bucket := range boltfile.Summed {
			counted.count(tx, bucket)
		}
		if kept.Buckets != counted.Buckets || kept.Transaction != uint64(tx.ID()) {
			t.Errorf("sums: %+v, the records come to %+v", kept, counted)
		}
		return err
	})
	want(t, "reading", err, nil)
}
