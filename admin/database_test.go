package admin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sidekey/admin/api"
)

const (
	aReport     = `{"users":3,"quotas":0,"policies":0,"problems":[],"damaged":[]}`
	aCompaction = `{"before":2,"after":1,"pause_seconds":0.5}`
)

// fakeDatabase returns a database whose operations all return err.
func fakeDatabase(t testing.TB, err error) Database {
	file := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(file, []byte("the copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Database{
		Backup: func() (*os.File, error) {
			if err != nil {
				return nil, err
			}
			return os.Open(file)
		},
		Check: func() (api.DatabaseReport, error) {
			return api.DatabaseReport{Users: 3, Problems: []string{}, Damaged: []api.DamagedRecord{}}, err
		},
		Compact: func() (api.Compaction, error) { return api.Compaction{Before: 2, After: 1, Pause: 0.5}, err },
	}
}

func TestDatabase(t *testing.T) {
	l := start(t, func(c *Config) { c.Database = fakeDatabase(t, nil) })
	for range 3 * maxBackups { // a backup that was read to its end makes room for the next
		a := l.ask("GET", "/api/backup", "")
		header := strings.Join(a.header, "\n")
		if a.status != 200 || a.body != "the copy" || !strings.Contains(header, "Cache-Control: no-store") ||
			!strings.Contains(header, `Content-Disposition: attachment; filename="sidekey-2`) || !strings.Contains(header, "Content-Type: application/octet-stream") {
			t.Fatalf("%v", a)
		}
	}
	if a := l.ask("GET", "/api/check-db", ""); a.status != 200 || a.body != aReport+"\n" {
		t.Errorf("%v", a)
	}
	if a := l.ask("POST", "/api/compact", ""); a.status != 200 || a.body != aCompaction+"\n" {
		t.Errorf("%v", a)
	}
	// Requests that a page can cause in a browser are refused, even with the secret.
	for _, header := range []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: iframe", "Sec-Fetch-Dest: image"} {
		l.ask("GET", "/api/backup", "", header).want(t, header, 403, dashboardError("A backup must not be opened in a browser: use a program"))
	}
	if a := l.ask("GET", "/api/backup", "", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"); a.status != 200 {
		t.Errorf("the web page: %v", a)
	}
	l.handler.StopDownloads()
	if a := l.ask("GET", "/api/backup", ""); a.status != 429 {
		t.Errorf("while it stops: %v", a)
	}
}

func TestDatabaseFails(t *testing.T) {
	f := func(err error, status int, text string) {
		t.Helper()
		l := start(t, func(c *Config) { c.Database = fakeDatabase(t, err) })
		l.contrived = true
		for range 2 * maxBackups {
			l.ask("GET", "/api/backup", "").want(t, "backup", status, dashboardError(text))
		}
		l.ask("GET", "/api/check-db", "").want(t, "check-db", status, dashboardError(text))
		l.ask("POST", "/api/compact", "").want(t, "compact", status, dashboardError(text))
	}
	f(fmt.Errorf("backup: %w", syscall.ENOSPC), 507, "The disk has no room for a copy of the database; nothing was changed")
	f(fmt.Errorf("compact: %w", ErrUnderWay), 409, "Already under way")
	f(errors.New("secret detail"), 500, "internal error")
}
