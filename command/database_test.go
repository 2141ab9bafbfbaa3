package command

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestDatabaseCommands(t *testing.T) {
	var got DatabaseOptions
	run := func(fail error, bad bool) func(DatabaseOptions) (DatabaseOutcome, error) {
		return func(o DatabaseOptions) (DatabaseOutcome, error) {
			got = o
			return DatabaseOutcome{Object: map[string]int{"users": 3}, Text: "3 users", Failed: bad}, fail
		}
	}
	f := func(line string, p Program, code int, out string) {
		t.Helper()
		got = DatabaseOptions{}
		var said bytes.Buffer
		root := New(p)
		if c := Run(root, strings.Fields(line), nil, &said, &said); c != code || said.String() != out {
			t.Errorf("%s: exit code %d, want %d; said\n%s", line, c, code, said.String())
		}
	}
	backup := Program{Backup: run(nil, false)}
	check := Program{CheckDatabase: run(nil, true)}
	t.Setenv(secretVariable, "")
	f("backup to.db", backup, 0, "3 users\n")
	if got.File != "to.db" || got.Config.Admin.OrgID != "default" {
		t.Errorf("got %+v", got)
	}
	f("backup to.db -o json", backup, 0, `{"users":3}`+"\n")
	f("backup", backup, 2, "sidekey: missing argument FILE\nFor help: sidekey backup -h\n")
	f("backup a b", backup, 2, "sidekey: unexpected argument \"b\"\nFor help: sidekey backup -h\n")
	f("backup a -admin http://x", backup, 2, "sidekey: -admin: missing the secret of that listener in SIDEKEY_ADMIN_SECRET\nFor help: sidekey backup -h\n")
	f("backup a -offline -admin http://x", backup, 2, "sidekey: -admin and -offline exclude each other\nFor help: sidekey backup -h\n")
	f("check-db", check, 1, "3 users\n")
	f("check-db -offline x.db", check, 1, "3 users\n")
	if !got.Offline || got.File != "x.db" {
		t.Errorf("got %+v", got)
	}
	f("check-db a b", check, 2, "sidekey: unexpected argument \"b\"\nFor help: sidekey check-db -h\n")
	f("compact", Program{Compact: run(errors.New("in use"), false)}, 1, "sidekey: in use\n")

	// check-db reads the file if sidekey is not running.
	f("check-db", Program{CheckDatabase: func(o DatabaseOptions) (DatabaseOutcome, error) {
		if !o.Offline {
			return DatabaseOutcome{}, ErrNotRunning
		}
		return DatabaseOutcome{Text: "from the file"}, nil
	}}, 0, "from the file\n")
}
