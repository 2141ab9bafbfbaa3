package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"sidekey/admin"
	"sidekey/admin/api"
	"sidekey/config"
	"sidekey/internal/durable"
	"sidekey/store/bolt"
	"sidekey/store/bolt/boltfile"
)

// DatabaseOptions are the flags and the argument of a command about the database as a whole. If
// sidekey runs, these commands go through its admin listener; with Offline they work on the file
// itself, which no process may have open then.
type DatabaseOptions struct {
	Config  config.Config
	File    string // "" = not given
	Admin   string // URL of another admin listener than the configured one
	Offline bool
	// Ask sends a request without a body to the admin listener and copies the response body.
	Ask func(method, path string, answer io.Writer) error
}

// DatabaseOutcome is the result of such a command: as an object, and the same in words.
type DatabaseOutcome struct {
	Object any
	Text   string
	Failed bool // the command has done its work, and the result is bad
}

// database returns the operations of the admin listener on the store as a whole.
func (s *Server) database() admin.Database {
	return admin.Database{
		Backup: s.bolt.Backup,
		Check: func() (api.DatabaseReport, error) {
			report, err := s.bolt.Check()
			return shownReport(report), err
		},
		Compact: func() (api.Compaction, error) {
			done, err := s.bolt.Compact()
			if errors.Is(err, bolt.ErrCompacting) {
				err = admin.ErrUnderWay
			}
			return api.Compaction(done), err
		},
	}
}

// shownReport returns a report in the form of the admin API.
func shownReport(r boltfile.Report) api.DatabaseReport {
	damaged := make([]api.DamagedRecord, len(r.Damaged))
	for i, d := range r.Damaged {
		damaged[i] = api.DamagedRecord(d)
	}
	return api.DatabaseReport{Users: r.Users, Quotas: r.Quotas, Policies: r.Policies, Problems: r.Problems, Damaged: damaged}
}

// Backup writes a copy of the database to a file. Afterwards the file is complete and verified,
// or unchanged.
func Backup(o DatabaseOptions) (DatabaseOutcome, error) {
	if same(o.File, databasePath(o.Config)) {
		return DatabaseOutcome{}, fmt.Errorf("%s is the database itself", o.File)
	}
	if info, err := os.Lstat(o.File); err == nil && !info.Mode().IsRegular() {
		return DatabaseOutcome{}, fmt.Errorf("%s: must be a regular file, not %s", o.File, info.Mode().Type())
	}
	temp, err := durable.Create(o.File, ".new-")
	if err != nil {
		return DatabaseOutcome{}, err
	}
	defer temp.Discard()
	if o.Offline {
		err = bolt.BackupFile(databasePath(o.Config), temp)
	} else {
		err = o.Ask(http.MethodGet, "/api/backup", temp)
	}
	if err := errors.Join(err, temp.Finish()); err != nil {
		return DatabaseOutcome{}, err
	}
	report, err := boltfile.Verify(temp.Name())
	if err == nil {
		err = report.Usable()
	}
	if err != nil {
		return DatabaseOutcome{}, fmt.Errorf("the copy was removed: %w", err)
	}
	info, err := os.Stat(temp.Name())
	if err != nil {
		return DatabaseOutcome{}, err
	}
	if err := temp.Replace(); err != nil {
		return DatabaseOutcome{}, err
	}
	written := struct {
		File  string `json:"file"`
		Bytes int64  `json:"bytes"`
		boltfile.Report
	}{o.File, info.Size(), report}
	return DatabaseOutcome{Object: written, Text: fmt.Sprintf("wrote %s, %d bytes: %s", o.File, info.Size(), describe(shownReport(report))), Failed: !report.Clean()}, nil
}

// Restore replaces the database with a backup, and keeps the old file under another name.
func Restore(o DatabaseOptions) (DatabaseOutcome, error) {
	if o.Admin != "" {
		return DatabaseOutcome{}, errors.New("-admin cannot restore a database: run the command on its machine")
	}
	path := databasePath(o.Config)
	done, err := bolt.Restore(path, o.File, time.Now())
	if errors.Is(err, boltfile.ErrInUse) {
		err = fmt.Errorf("%w: stop it first", err)
	}
	if err != nil {
		return DatabaseOutcome{}, err
	}
	text := fmt.Sprintf("restored %s from %s: %s", path, o.File, describe(shownReport(done.Report)))
	if done.Kept != "" {
		text += "\nthe previous database is kept as " + done.Kept
	}
	return DatabaseOutcome{Object: done, Text: text}, nil
}

// CheckDatabase verifies the database, or the file in the options.
func CheckDatabase(o DatabaseOptions) (DatabaseOutcome, error) {
	path := o.File
	if path == "" {
		path = databasePath(o.Config)
	}
	var report api.DatabaseReport
	var err error
	if o.File == "" && !o.Offline {
		path = "the database"
		err = askObject(o, http.MethodGet, "/api/check-db", &report)
	} else {
		var found boltfile.Report
		found, err = boltfile.Verify(path)
		report = shownReport(found)
	}
	if err != nil {
		return DatabaseOutcome{}, err
	}
	bad := len(report.Problems)+len(report.Damaged) > 0
	return DatabaseOutcome{Object: report, Text: path + ": " + describe(report), Failed: bad}, nil
}

// describe lists what is in a database and what is wrong with it, one per line.
func describe(r api.DatabaseReport) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d users, %d quotas, %d policies", r.Users, r.Quotas, r.Policies)
	for _, problem := range r.Problems {
		fmt.Fprintf(&text, "\ndamaged: %s", problem)
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(&text, "\ndamaged: %s", boltfile.DamagedRecord(d))
	}
	return text.String()
}

// Compact gives unused space back to the disk.
func Compact(o DatabaseOptions) (DatabaseOutcome, error) {
	var done api.Compaction
	var err error
	if o.Offline {
		done, err = compactFile(o)
	} else {
		err = askObject(o, http.MethodPost, "/api/compact", &done)
	}
	if err != nil {
		return DatabaseOutcome{}, err
	}
	pause := time.Duration(done.Pause * float64(time.Second)).Round(100 * time.Microsecond)
	return DatabaseOutcome{Object: done, Text: fmt.Sprintf("compacted: %d bytes, %d before; writers waited %v", done.After, done.Before, pause)}, nil
}

func compactFile(o DatabaseOptions) (api.Compaction, error) {
	path := databasePath(o.Config)
	if _, err := os.Stat(path); err != nil {
		return api.Compaction{}, err // opening would create one
	}
	s, err := openVerified(path, o.Config.Log.Logger(os.Stderr))
	if err != nil {
		return api.Compaction{}, err
	}
	done, err := s.Compact()
	return api.Compaction(done), errors.Join(err, s.Close())
}

func same(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// askObject decodes the response to a request into a value.
func askObject(o DatabaseOptions, method, path string, into any) error {
	var answer bytes.Buffer
	if err := o.Ask(method, path, &answer); err != nil {
		return err
	}
	return json.Unmarshal(answer.Bytes(), into)
}
