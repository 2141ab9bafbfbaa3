package command

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"sidekey/auth/password"
	"sidekey/auth/session"
)

// readTyk parses a dump of Tyk's keys, see the help of import tyk.
func readTyk(cmd *cobra.Command, text []byte) (*dump, error) {
	file, err := cmd.Flags().GetString("names")
	must(err)
	var names []string
	if file != "" {
		list, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for name := range strings.Lines(string(list)) {
			names = append(names, strings.TrimRight(name, "\r\n"))
		}
	}
	return parseTyk(text, names), nil
}

// tykDump is the state of a parser.
type tykDump struct {
	dump
	text  []byte
	names []string
	owner map[string]map[string]string // names by org and key hash; filled on demand

	seen, line int // bytes and lines that are counted so far
}

func parseTyk(text []byte, names []string) *dump {
	d := &tykDump{text: text, names: names, owner: make(map[string]map[string]string), line: 1}
	switch first := bytes.TrimSpace(text); {
	case len(first) == 0:
	case first[0] == '{' || first[0] == '[':
		d.values(text, 0)
	default:
		d.lines()
	}
	return &d.dump
}

// lineAt returns the line number of a byte. The offset must not decrease between calls.
func (d *tykDump) lineAt(offset int) int {
	d.line += bytes.Count(d.text[d.seen:offset], []byte("\n"))
	d.seen = offset
	return d.line
}

// lines parses lines of the form KEY SESSION.
func (d *tykDump) lines() {
	number := 0
	for line := range bytes.Lines(d.text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		key, value, _ := strings.Cut(string(line), " ")
		if k, v, found := strings.Cut(string(line), "\t"); found && len(k) < len(key) {
			key, value = k, v
		}
		if key[0] == '{' || key[0] == '"' {
			key, value = "", string(line)
		}
		d.value(key, []byte(value), number)
	}
}

// values parses consecutive JSON values. offset is the position of text in the file.
func (d *tykDump) values(text []byte, offset int) {
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		switch decoder.PeekKind() {
		case '[', ']':
			// The elements of a list are read one by one, so that each has its own line number.
			if _, err := decoder.ReadToken(); err != nil {
				d.unreadable(text, offset, decoder)
				return
			}
			continue
		}
		value, err := decoder.ReadValue()
		if err != nil {
			d.unreadable(text, offset, decoder)
			return
		}
		at := offset + int(decoder.InputOffset()) - len(value)
		d.object("", value, at)
	}
}

// unreadable refuses the text after the last valid JSON value, unless it is white space.
func (d *tykDump) unreadable(text []byte, offset int, decoder *jsontext.Decoder) {
	read := int(decoder.InputOffset())
	rest := bytes.TrimLeft(text[read:], " \t\r\n")
	if len(rest) > 0 || decoder.StackDepth() > 0 {
		d.refuse(d.lineAt(offset+len(text)-len(rest)), "", "not valid JSON from here on")
	}
}

// object parses a value of a JSON file: a session, the Dashboard's object with one, or an object of
// such values by their keys.
func (d *tykDump) object(key string, value jsontext.Value, at int) {
	if value.Kind() != '{' || key != "" || isSession(value) {
		d.value(key, value, d.lineAt(at))
		return
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(value))
	decoder.ReadToken() // cannot fail: value is an object
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			return
		}
		member := name.String()
		inner, err := decoder.ReadValue()
		if err != nil {
			return
		}
		inside := at + int(decoder.InputOffset()) - len(inner)
		if member == "keys" && inner.Kind() == '[' {
			d.values(d.text[inside:inside+len(inner)], inside)
			continue
		}
		if inner.Kind() != '{' && inner.Kind() != '"' {
			continue // such as the number of pages of a list
		}
		d.object(member, inner.Clone(), inside)
	}
}

// isSession reports whether an object is a session, or the Dashboard's object with one.
func isSession(value jsontext.Value) bool {
	var o struct {
		KeyID   jsontext.Value `json:"key_id"`
		KeyHash jsontext.Value `json:"key_hash"`
		Rate    jsontext.Value `json:"rate"`
		Org     jsontext.Value `json:"org_id"`
		Quota   jsontext.Value `json:"quota_max"`
		Rights  jsontext.Value `json:"access_rights"`
		Basic   jsontext.Value `json:"basic_auth_data"`
	}
	if json.Unmarshal(value, &o) != nil {
		return false
	}
	return o.KeyID.Kind() == '"' || o.KeyHash.Kind() == '"' || o.Rate.Kind() == '0' || o.Org.Kind() == '"' || o.Quota.Kind() == '0' || o.Rights != nil || o.Basic != nil
}

// value parses the session of a key. Redis and the shell may have put it into a JSON string.
func (d *tykDump) value(key string, value jsontext.Value, line int) {
	if value.Kind() == '"' {
		var text string
		if json.Unmarshal(value, &text) == nil {
			value = jsontext.Value(text)
		}
	}
	var members map[string]jsontext.Value
	if value.Kind() != '{' || json.Unmarshal(value, &members) != nil {
		d.refuse(line, "", "must be KEY and a session as a JSON object")
		return
	}
	if data := members["data"]; data.Kind() == '{' {
		for _, name := range []string{"key_id", "key_hash"} {
			var text string
			if key == "" && json.Unmarshal(members[name], &text) == nil {
				key = text
			}
		}
		members = nil
		if json.Unmarshal(data, &members) != nil {
			d.refuse(line, "", "must be a session as a JSON object")
			return
		}
	}
	d.session(key, members, line)
}

// session adds one user to the dump, or refuses the line.
func (d *tykDump) session(key string, members map[string]jsontext.Value, line int) {
	var about struct {
		Org   string
		Alias string
		Basic struct {
			Password string `json:"password"`
			HashType string `json:"hash_type"`
			User     string `json:"user"`
		}
	}
	for name, to := range map[string]any{"org_id": &about.Org, "alias": &about.Alias, "basic_auth_data": &about.Basic} {
		if members[name] != nil && json.Unmarshal(members[name], to) != nil {
			d.refuse(line, "", "%s: must have another JSON type", name)
			return
		}
	}
	user, err := d.user(key, about.Org, about.Basic.User, about.Alias)
	if err != nil {
		d.refuse(line, "", "%v", err)
		return
	}
	u := incoming{line: line}
	u.Username, u.OrgID = user, about.Org
	switch _, err := password.HashKind(about.Basic.Password); {
	case about.Basic.Password == "":
	case err == nil:
		u.Hash = about.Basic.Password
	case about.Basic.HashType == "":
		u.plain = true // Tyk stores some passwords as plain text; the admin API will hash this one
	default:
		d.refuse(line, user, "basic_auth_data: hash_type %q: %v", about.Basic.HashType, err)
		return
	}
	delete(members, "basic_auth_data")
	if u.plain {
		members["basic_auth_data"], err = json.Marshal(map[string]string{"password": about.Basic.Password})
	}
	if err == nil {
		u.Session, err = json.Marshal(members, json.Deterministic(true))
	}
	if err != nil {
		d.refuse(line, user, "%v", err)
		return
	}
	d.users = append(d.users, u)
	d.warnEndpoints(line, user, members["access_rights"])
}

// warnEndpoints warns of endpoints that limit fewer paths than in Tyk, which looks for the path
// anywhere in the path of the request: in Tyk, /login also limits /login/ and /a/loginx.
func (d *tykDump) warnEndpoints(line int, user string, rights jsontext.Value) {
	var given map[string]struct {
		Endpoints []struct {
			Path string `json:"path"`
		} `json:"endpoints"`
	}
	if rights == nil || json.Unmarshal(rights, &given) != nil {
		return // the admin API reports what is wrong with it
	}
	for _, api := range slices.Sorted(maps.Keys(given)) {
		for i, e := range given[api].Endpoints {
			if e.Path == "" || coversSlash(e.Path) {
				continue
			}
			exact := strings.TrimSuffix(e.Path, "/")
			d.warn(line, user, "access_rights.%s.endpoints[%d].path = %q: limits only this path, but in Tyk every path that contains it: write %q to limit it with and without a slash at its end, or %q to also limit all paths below it", api, i, e.Path, exact+"/?", exact+"(/.*)?")
		}
	}
}

// coversSlash reports whether a pattern states itself what may follow its end.
func coversSlash(path string) bool {
	for _, end := range []string{"*", "/?", ")?", "$"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

var (
	murmur64 = regexp.MustCompile(`^[0-9a-f]{16}$`)
	murmur32 = regexp.MustCompile(`^[0-9a-f]{8}$`)
)

// user finds the name of the user that a key belongs to. own is the name in the session itself.
func (d *tykDump) user(key, org, own, alias string) (string, error) {
	key, isRedis := strings.CutPrefix(key, "apikey-")
	if id, ok := userOfToken(key); ok {
		return id, nil
	}
	switch {
	case key == "" && own == "":
		return "", fmt.Errorf("cannot tell the user of this session: put its key or the user's name in front of it")
	case key == "":
		return own, nil
	case murmur64.MatchString(key):
		for _, name := range []string{own, alias, d.owners(org)[key]} {
			if name != "" && (session.Name{Org: org, User: name}).KeyHash() == key {
				return name, nil
			}
		}
		return "", fmt.Errorf("cannot tell the user of key hash %s: list the names of your users in a file and add -names FILE", key)
	case isRedis && murmur32.MatchString(key):
		return "", fmt.Errorf("cannot tell the user of %s, a key hash in Tyk's old form: replace it with the user's name", key)
	}
	if user, found := strings.CutPrefix(key, org); found && user != "" {
		return user, nil
	}
	return key, nil
}

// userOfToken returns the user in a token of Tyk: base64 of {"org":…,"id":…,"h":…}.
func userOfToken(key string) (id string, ok bool) {
	text, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return "", false
	}
	var token struct {
		ID string `json:"id"`
		H  string `json:"h"`
	}
	return token.ID, json.Unmarshal(text, &token) == nil && token.ID != "" && token.H != ""
}

// owners returns the names of -names by their key hashes in an org.
func (d *tykDump) owners(org string) map[string]string {
	owners := d.owner[org]
	if owners == nil {
		owners = make(map[string]string, len(d.names))
		for _, name := range d.names {
			owners[session.Name{Org: org, User: name}.KeyHash()] = name
		}
		d.owner[org] = owners
	}
	return owners
}
