package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sidekey/admin"
	"sidekey/command"
	"sidekey/secretfile"
	"sidekey/store"
)

// The commands for the database as a whole. Where sidekey runs they go through its admin
// listener; -offline works on the file itself, which no process may have open then.

// database is what the admin listener does with the store as a whole.
func (p *program) database() admin.Database {
	return admin.Database{
		Backup: p.store.Backup,
		Check:  func() (any, error) { return p.store.Check() },
		Compact: func() (any, error) {
			done, err := p.store.Compact()
			if errors.Is(err, store.ErrCompacting) {
				err = admin.ErrUnderWay
			}
			return done, err
		},
	}
}

// backup writes a copy of the database to a file. The file is whole and verified, or it is
// what it was before.
func backup(o command.DatabaseOptions) (command.DatabaseOutcome, error) {
	if same(o.File, databasePath(o.Config)) {
		return command.DatabaseOutcome{}, fmt.Errorf("%s is the database itself", o.File)
	}
	if info, err := os.Lstat(o.File); err == nil && !info.Mode().IsRegular() {
		return command.DatabaseOutcome{}, fmt.Errorf("%s: must be a regular file, not %s", o.File, info.Mode().Type())
	}
	temp, err := os.CreateTemp(filepath.Dir(o.File), filepath.Base(o.File)+".new-*")
	if err != nil {
		return command.DatabaseOutcome{}, err
	}
	defer os.Remove(temp.Name())
	if o.Offline {
		err = store.BackupFile(databasePath(o.Config), temp)
	} else {
		err = o.Ask(http.MethodGet, "/api/backup", temp)
	}
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return command.DatabaseOutcome{}, err
	}
	report, err := store.Verify(temp.Name())
	if err == nil {
		err = report.Usable()
	}
	if err != nil {
		return command.DatabaseOutcome{}, fmt.Errorf("the copy is not kept: %w", err)
	}
	info, err := os.Stat(temp.Name())
	if err != nil {
		return command.DatabaseOutcome{}, err
	}
	if err := errors.Join(os.Rename(temp.Name(), o.File), secretfile.SyncDir(filepath.Dir(o.File))); err != nil {
		return command.DatabaseOutcome{}, err
	}
	written := struct {
		File  string `json:"file"`
		Bytes int64  `json:"bytes"`
		store.Report
	}{o.File, info.Size(), report}
	return command.DatabaseOutcome{Object: written, Text: fmt.Sprintf("wrote %s, %d bytes: %s", o.File, info.Size(), describe(report)), Failed: !report.Clean()}, nil
}

// restore puts a backup in the place of the database.
func restore(o command.DatabaseOptions) (command.DatabaseOutcome, error) {
	if o.Admin != "" {
		return command.DatabaseOutcome{}, errors.New("a database can be restored only where it is: -admin is not for this command")
	}
	path := databasePath(o.Config)
	done, err := store.Restore(path, o.File, time.Now())
	if errors.Is(err, store.ErrInUse) {
		err = fmt.Errorf("%w: stop it first", err)
	}
	if err != nil {
		return command.DatabaseOutcome{}, err
	}
	text := fmt.Sprintf("restored %s from %s: %s", path, o.File, describe(done.Report))
	if done.Kept != "" {
		text += "\nthe database that was there is kept as " + done.Kept
	}
	return command.DatabaseOutcome{Object: done, Text: text}, nil
}

// checkDatabase verifies the database, or the file that is named.
func checkDatabase(o command.DatabaseOptions) (command.DatabaseOutcome, error) {
	path := o.File
	if path == "" {
		path = databasePath(o.Config)
	}
	var report store.Report
	var err error
	if o.File == "" && !o.Offline {
		path = "the database"
		err = askObject(o, http.MethodGet, "/api/check-db", &report)
		if errors.Is(err, command.ErrNotRunning) && o.Admin == "" {
			path = databasePath(o.Config)
			report, err = store.Verify(path)
		}
	} else {
		report, err = store.Verify(path)
	}
	if err != nil {
		return command.DatabaseOutcome{}, err
	}
	return command.DatabaseOutcome{Object: report, Text: path + ": " + describe(report), Failed: !report.Clean()}, nil
}

// describe says what is in a database, and what is wrong with it, a line each.
func describe(r store.Report) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d users, %d quotas, %d policies", r.Users, r.Quotas, r.Policies)
	for _, problem := range r.Problems {
		fmt.Fprintf(&text, "\ndamaged: %s", problem)
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(&text, "\ndamaged: %s", d)
	}
	return text.String()
}

// compact gives room that is not used any more back to the disk.
func compact(o command.DatabaseOptions) (command.DatabaseOutcome, error) {
	var done store.Compaction
	var err error
	if o.Offline {
		done, err = compactFile(o)
	} else {
		err = askObject(o, http.MethodPost, "/api/compact", &done)
	}
	if err != nil {
		return command.DatabaseOutcome{}, err
	}
	pause := time.Duration(done.Pause * float64(time.Second)).Round(100 * time.Microsecond)
	return command.DatabaseOutcome{Object: done, Text: fmt.Sprintf("compacted: %d bytes, %d before; writers waited %v", done.After, done.Before, pause)}, nil
}

func compactFile(o command.DatabaseOptions) (done store.Compaction, err error) {
	path := databasePath(o.Config)
	if _, err := os.Stat(path); err != nil {
		return done, err // opening would make one
	}
	s, err := openVerified(path, o.Config.Log.Logger(os.Stderr))
	if err != nil {
		return done, err
	}
	done, err = s.Compact()
	return done, errors.Join(err, s.Close())
}

func same(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// askObject reads the answer to a request into a value.
func askObject(o command.DatabaseOptions, method, path string, into any) error {
	var answer bytes.Buffer
	if err := o.Ask(method, path, &answer); err != nil {
		return err
	}
	return json.Unmarshal(answer.Bytes(), into)
}
