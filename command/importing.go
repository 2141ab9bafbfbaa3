package command

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"sidekey/admin/api"
)

// An import first reads the whole file and lets the admin API check every user. Only then does it
// write: a bad line stops the import before anything is written, unless -skip-bad is given.

// incoming is one user in a file.
type incoming struct {
	api.Import
	line  int
	plain bool // the session has a password that is still to be hashed
	bad   bool // the admin API refused it
}

// dump is the content of a file.
type dump struct {
	users    []incoming
	bad      []api.ImportNote
	warnings []api.ImportNote // about users that can be imported
}

func (d *dump) refuse(line int, user, format string, args ...any) {
	d.bad = append(d.bad, api.ImportNote{Line: line, Username: user, Message: fmt.Sprintf(format, args...)})
}

func (d *dump) warn(line int, user, format string, args ...any) {
	d.warnings = append(d.warnings, api.ImportNote{Line: line, Username: user, Message: fmt.Sprintf(format, args...)})
}

// outcome is the result of an import. Lines are lines of the file.
type outcome struct {
	Valid     int              `json:"valid"`
	Added     int              `json:"added"`
	Changed   int              `json:"changed"`
	Passwords int              `json:"without_password"` // users without one in the file
	Refused   []api.ImportNote `json:"refused"`
	Warnings  []api.ImportNote `json:"warnings"`
	Written   bool             `json:"written"`
}

func importCommand(p Program) *cobra.Command {
	tyk := importOf(p, "tyk FILE", "Import a dump of Tyk's keys", readTyk)
	tyk.Long = `Import a dump of Tyk's keys, with their password hashes. FILE contains, in any mixture,
lines "KEY SESSION" (from redis-cli, for apikey-*), JSON objects {KEY: SESSION, …} or
the Dashboard's key objects. KEY is a Redis key, a key id, a token, a key hash or the
user's name. The name cannot be computed from a key hash: -names is a file of names to
try, one per line. Aliases are always tried.`
	tyk.Example = `  redis-cli --scan --pattern 'apikey-*' | while read key; do
    echo "$key $(redis-cli get "$key")"; done > dump.txt
  sidekey import tyk dump.txt -names users.txt -dry-run`
	tyk.Flags().String("names", "", "`FILE` of user names, to find the users of key hashes")
	htpasswd := importOf(p, "htpasswd FILE", "Import users and password hashes of an htpasswd file", readHtpasswd)
	htpasswd.Long = `Import users and password hashes of an htpasswd file: bcrypt, apr1, {SHA}, SHA-crypt,
argon2id. An existing user keeps everything but the password; a new one may use every API
of its org (unless rights.allow_empty_rights = false). Weak hashes are replaced at the
user's next login.`
	htpasswd.Example = "  sidekey import htpasswd /etc/nginx/users.htpasswd -dry-run"
	own := importOf(p, "json FILE", "Import the output of export json", readOwn)
	cmd := noun("import", "Import users from a file", htpasswd, tyk, own)
	connectFlags(cmd)
	return cmd
}

// reader parses the text of a file. cmd is for the flags of the format.
type reader func(cmd *cobra.Command, text []byte) (*dump, error)

func importOf(p Program, use, short string, read reader) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  exactly("FILE (- for standard input)"),
		RunE: withClient(p, true, func(cmd *cobra.Command, args []string, c *client) error {
			text, err := readImportFile(cmd, args[0])
			if err != nil {
				return err
			}
			d, err := read(cmd, text)
			if err != nil {
				return err
			}
			flags := cmd.Flags()
			skip, err := flags.GetBool("skip-bad")
			must(err)
			dry, err := flags.GetBool("dry-run")
			must(err)
			org, err := flags.GetString("org")
			must(err)
			if err := d.putInOrg(org, c.org); err != nil {
				return err
			}
			d.dropTwins()
			i := importer{client: c, file: args[0], skipBad: skip, dryRun: dry}
			if err := i.run(d); err != nil {
				return err
			}
			if err := showOutcome(cmd, i.outcome, skip); err != nil {
				return err
			}
			return i.verdict()
		}),
	}
	flags := cmd.Flags()
	flags.Bool("skip-bad", false, "leave out bad lines and write the others")
	flags.Bool("dry-run", false, "check everything, but write nothing")
	flags.String("org", "", "`ORG` of all users; by default the session's, else admin.org_id")
	return cmd
}

func readImportFile(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(name)
}

// putInOrg sets the org of all users to given (-org) or, if that is "", the org of users without one to
// the usual one.
func (d *dump) putInOrg(given, usual string) error {
	for i := range d.users {
		u := &d.users[i]
		if given == "" && u.OrgID != "" {
			continue
		}
		u.OrgID = cmp.Or(given, usual)
		if u.Session == nil {
			continue
		}
		var session map[string]jsontext.Value
		if err := json.Unmarshal(u.Session, &session); err != nil {
			return err // cannot fail: the reader has parsed it
		}
		delete(session, "org_id")
		var err error
		if u.Session, err = json.Marshal(session, json.Deterministic(true)); err != nil {
			return err
		}
	}
	return nil
}

// dropTwins sorts the users in the order of the database, which makes writes faster. If the file has a
// user more than once, it refuses all but the first.
func (d *dump) dropTwins() {
	slices.SortFunc(d.users, func(a, b incoming) int {
		return cmp.Or(strings.Compare(a.OrgID, b.OrgID), strings.Compare(a.Username, b.Username), cmp.Compare(a.line, b.line))
	})
	unique := d.users[:0]
	for _, u := range d.users {
		if n := len(unique); n > 0 && unique[n-1].OrgID == u.OrgID && unique[n-1].Username == u.Username {
			d.refuse(u.line, u.Username, "must not repeat the user of line %d", unique[n-1].line)
			continue
		}
		unique = append(unique, u)
	}
	d.users = unique
}

// importers is how many requests are sent at once: the server decodes and checks one while it commits
// others.
const importers = 4

// importer sends a dump to the admin API.
type importer struct {
	client          *client
	file            string
	skipBad, dryRun bool

	mu      sync.Mutex // protects outcome and failed
	outcome outcome
	failed  error
}

// run checks every user, and then writes them unless a line is bad or the run is dry. Problems of the
// file go into the outcome; an error is a failure of another kind.
func (i *importer) run(d *dump) error {
	d.users = slices.DeleteFunc(d.users, func(u incoming) bool {
		if u.size() <= maxBytes {
			return false
		}
		d.refuse(u.line, u.Username, "must be a session of at most %d bytes", maxBytes)
		return true
	})
	i.outcome.Refused, i.outcome.Warnings = append([]api.ImportNote{}, d.bad...), append([]api.ImportNote{}, d.warnings...)
	if err := i.pass("checking", d.users, "1"); err != nil {
		return err
	}
	good := slices.DeleteFunc(d.users, func(u incoming) bool { return u.bad })
	for _, u := range good {
		if u.Hash == "" && !u.plain {
			i.outcome.Passwords++
		}
	}
	slices.SortFunc(i.outcome.Refused, byLine)
	slices.SortStableFunc(i.outcome.Warnings, byLine)
	if i.dryRun || len(i.outcome.Refused) > 0 && !i.skipBad {
		return nil
	}
	valid, refused, warnings := i.outcome.Valid, i.outcome.Refused, i.outcome.Warnings
	i.outcome.Written = true
	err := i.pass("writing", good, "")
	i.outcome.Valid, i.outcome.Refused, i.outcome.Warnings = valid, refused, warnings
	if err != nil {
		return fmt.Errorf("%w\n%d users were added and %d changed before that; run the same import again for the rest", err, i.outcome.Added, i.outcome.Changed)
	}
	return nil
}

func byLine(a, b api.ImportNote) int { return cmp.Compare(a.Line, b.Line) }

// Bounds of one request.
const (
	maxBytes = 900 << 10 // below the admin listener's own bound
	maxPlain = 100       // passwords that are still to be hashed, which takes time
)

// pass sends all users in batches, to be checked or written.
func (i *importer) pass(what string, users []incoming, dryRun string) error {
	bar := newProgress(i.client.stderr, what, len(users))
	defer bar.end()
	batches := make(chan []incoming)
	var group sync.WaitGroup
	for range importers {
		group.Go(func() {
			for batch := range batches {
				if err := i.sendBatch(batch, dryRun); err != nil {
					i.fail(err)
				}
				bar.add(len(batch))
			}
		})
	}
	for len(users) > 0 && i.failure() == nil {
		n := batchSize(users)
		batches <- users[:n]
		users = users[n:]
	}
	close(batches)
	group.Wait()
	return i.failure()
}

func (i *importer) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failed == nil {
		i.failed = err
	}
}

func (i *importer) failure() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// size returns an upper bound of the user's bytes in a request.
func (u *incoming) size() int {
	return 100 + 6*(len(u.Username)+len(u.OrgID)) + len(u.Hash) + len(u.Session)
}

// batchSize returns how many of the users go into one request, at least one.
func batchSize(users []incoming) int {
	size, plain := 0, 0
	for n, u := range users {
		size += u.size()
		if u.plain {
			plain++
		}
		if n > 0 && (size > maxBytes || plain > maxPlain) {
			return n
		}
	}
	return len(users)
}

// sendBatch sends users in one request and adds the answer to the outcome.
func (i *importer) sendBatch(batch []incoming, dryRun string) error {
	var body bytes.Buffer
	encoder := jsontext.NewEncoder(&body)
	for n := range batch {
		if err := json.MarshalEncode(encoder, &batch[n].Import); err != nil {
			return err
		}
	}
	query := url.Values{}
	if dryRun != "" {
		query.Set("dry_run", dryRun)
	}
	var answer api.Imported
	err := i.client.do(request{method: "POST", path: "/api/import", query: query, body: body.Bytes()}, &answer)
	if isStatus(err, http.StatusBadRequest) {
		err = errors.New("users that passed the check are refused now: the configuration or the policies have changed")
	}
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	o := &i.outcome
	o.Valid += answer.Valid
	o.Added += answer.Added
	o.Changed += answer.Changed
	for _, b := range answer.Refused {
		u := &batch[b.Line-1]
		u.bad = true
		o.Refused = append(o.Refused, api.ImportNote{Line: u.line, Username: u.Username, Message: b.Message})
	}
	for _, b := range answer.Warnings {
		u := batch[b.Line-1]
		o.Warnings = append(o.Warnings, api.ImportNote{Line: u.line, Username: u.Username, Message: b.Message})
	}
	return nil
}

// maxShown bounds the bad lines, and the warnings, that are printed; the rest are counted.
const maxShown = 50

// verdict prints the problems of the file and returns the command's error.
func (i *importer) verdict() error {
	i.tell("", i.outcome.Refused)
	i.tell("warning: ", i.outcome.Warnings)
	refused := len(i.outcome.Refused)
	switch {
	case refused == 0 || i.skipBad:
		return nil
	case i.dryRun:
		return exit(ExitFailed)
	}
	return fmt.Errorf("%d bad lines, so nothing was written: correct them, or leave them out with -skip-bad", refused)
}

func (i *importer) tell(what string, notes []api.ImportNote) {
	for n, b := range notes {
		if n == maxShown {
			fmt.Fprintf(i.client.stderr, "%s: %sand %d more lines\n", i.file, what, len(notes)-n)
			return
		}
		user := ""
		if b.Username != "" {
			user = fmt.Sprintf("%q: ", b.Username)
		}
		fmt.Fprintf(i.client.stderr, "%s:%d: %s%s%s\n", i.file, b.Line, what, user, b.Message)
	}
}

func showOutcome(cmd *cobra.Command, o outcome, skipped bool) error {
	return show(cmd, o, func(t *table) {
		switch {
		case o.Written:
			t.line(fmt.Sprintf("%d added, %d changed, %d bad lines left out", o.Added, o.Changed, len(o.Refused)))
		case len(o.Refused) > 0 && !skipped:
			t.line(fmt.Sprintf("%d users are good, %d lines are bad; nothing was written", o.Valid, len(o.Refused)))
		default:
			t.line(fmt.Sprintf("%d users would be written, %d bad lines left out; nothing was written", o.Valid, len(o.Refused)))
		}
		if o.Passwords > 0 {
			t.line(fmt.Sprintf("%d users come without a password: those that have none yet cannot log in until user passwd gives them one", o.Passwords))
		}
	})
}

// readOwn parses the output of export json: one user per line.
func readOwn(_ *cobra.Command, text []byte) (*dump, error) {
	d := new(dump)
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		i, unknown, err := api.DecodeImport(line)
		switch {
		case err != nil:
			d.refuse(number, "", "%v", err)
		case len(unknown) > 0:
			d.refuse(number, i.Username, "%s: a line of an import has no such member", unknown[0])
		default:
			d.users = append(d.users, incoming{Import: i, line: number})
		}
	}
	return d, nil
}
