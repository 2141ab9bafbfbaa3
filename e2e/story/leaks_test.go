package story

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sidekey/internal/testutil"
)

// leaks holds the passwords that a story sent, and all that the program wrote in it: answers, logs,
// output of commands (T-75).
type leaks struct {
	passwords map[string]bool // and their base64 with the user, as sent
	said      testutil.LockedBuffer
}

// ownWords are passwords that the program also writes for other reasons.
var ownWords = map[string]bool{"password": true, "secret": true, "plain": true, "wrong": true, "right": true, "other": true}

// present records a password.
func (l *leaks) present(user, password string) {
	if password == "" || ownWords[password] {
		return
	}
	if l.passwords == nil {
		l.passwords = make(map[string]bool)
	}
	l.passwords[password] = true
	l.passwords[base64.StdEncoding.EncodeToString([]byte(user+":"+password))] = true
}

var passwordMember = regexp.MustCompile(`"password"\s*:\s*("(?:[^"\\]|\\.)*")`)

// presentBody records the passwords in a request's body.
func (l *leaks) presentBody(body []byte) {
	for _, found := range passwordMember.FindAllSubmatch(body, -1) {
		var password string
		if json.Unmarshal(found[1], &password) == nil {
			l.present("", password)
		}
	}
}

// hashText matches what only the database may contain.
var hashText = regexp.MustCompile(`\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{8}|\$argon2i?d?\$v=`)

// find returns an error if a password, a hash or a secret is in what the program wrote, or in the
// files of dir other than the database and the secrets themselves.
func (l *leaks) find(dir string) error {
	texts := map[string]string{"an answer, the log or the output of a command": l.said.String()}
	secrets := make(map[string]bool)
	err := filepath.WalkDir(filepath.Join(dir, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // no data folder, or a file that was removed
		}
		text, err := os.ReadFile(path)
		switch {
		case err != nil:
			return nil
		case strings.HasSuffix(entry.Name(), ".secret"):
			for line := range strings.Lines(string(text)) {
				secrets[strings.TrimSpace(line)] = true
			}
		case strings.HasPrefix(entry.Name(), "sidekey.db") && !strings.HasSuffix(entry.Name(), ".pid"):
			for password := range l.passwords {
				if len(password) >= 8 && bytes.Contains(text, []byte(password)) {
					return fmt.Errorf("the database holds the password %q as it is", password)
				}
			}
		default:
			texts["the file "+entry.Name()] = string(text)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for where, text := range texts {
		for secret := range secrets {
			if i := strings.Index(text, secret); secret != "" && i >= 0 {
				return fmt.Errorf("%s holds the admin secret: %s", where, around(text, i))
			}
		}
		if at := hashText.FindStringIndex(text); at != nil {
			return fmt.Errorf("%s holds a hash: %s", where, around(text, at[0]))
		}
		for password := range l.passwords {
			word := regexp.MustCompile(`(^|[^0-9A-Za-z_-])` + regexp.QuoteMeta(password) + `($|[^0-9A-Za-z_-])`)
			if at := word.FindStringIndex(text); at != nil {
				return fmt.Errorf("%s holds the password %q: %s", where, password, around(text, at[0]))
			}
		}
	}
	return nil
}

// around returns the text near an offset.
func around(text string, i int) string {
	return fmt.Sprintf("…%q…", text[max(0, i-100):min(len(text), i+100)])
}
