package command

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sidekey/admin/api"
	"sidekey/auth/password"
	"sidekey/auth/session"
)

// said formats a dump: one line per user or bad line.
func said(d *dump) string {
	var b strings.Builder
	for _, u := range d.users {
		fmt.Fprintf(&b, "%d %s/%s %s %s", u.line, u.OrgID, u.Username, u.Hash, string(u.Session))
		if u.plain {
			b.WriteString(" plain")
		}
		b.WriteByte('\n')
	}
	for _, bad := range d.bad {
		fmt.Fprintf(&b, "%d %q: %s\n", bad.Line, bad.Username, bad.Message)
	}
	return b.String()
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

const (
	sha  = "{SHA}syXLcnHQzjJw4wkzdPf2s6oVlws="
	apr1 = "$apr1$abcd1234$8AcyZdB0zCPyX6bGhBZ4H/"
	// of alice in org default, and of bob
	aliceHash = "92ac0f0f241412ec"
)

func TestParseHtpasswd(t *testing.T) {
	compare(t, "file", said(parseHtpasswd("\ufeff# comment\n"+
		"alice:"+sha+"\r\n"+
		"\n"+
		"  # another\n"+
		"bob:"+apr1+":Bob of sales\n"+
		"no colon\n"+
		"carol:secret\n"+
		"dave:\n"+
		"M\xfcller:"+sha+"\n"+
		" eve :"+sha+"\n"+
		":"+sha+"\n"+
		"last:"+sha)),
		"2 /alice "+sha+" \n"+
			"5 /bob "+apr1+" \n"+
			"10 / eve  "+sha+" \n"+
			"11 / "+sha+" \n"+
			"12 /last "+sha+" \n"+
			"6 \"\": must be NAME:HASH, but has no colon\n"+
			"7 \"carol\": must be a hash of bcrypt, argon2id, apr1, {SHA} or SHA-crypt: plain text, crypt(3) with DES or MD5 and others are not accepted\n"+
			"8 \"dave\": must be a hash of bcrypt, argon2id, apr1, {SHA} or SHA-crypt: plain text, crypt(3) with DES or MD5 and others are not accepted\n"+
			"9 \"\": the name must be UTF-8: convert the file, for example with iconv -f latin1 -t utf8\n")
}

func TestParseTyk(t *testing.T) {
	token := session.Name{Org: "default", User: "alice"}.Token()
	f := func(what, text, want string, names ...string) {
		t.Helper()
		compare(t, what, said(parseTyk([]byte(text), names)), want)
	}
	const session = `{"org_id":"default","rate":3}`
	const read = "/alice  " + session + "\n"

	// The user of a session.
	f("token", token+" "+session, "1 default"+read)
	f("Redis, a token", "apikey-"+token+" "+session, "1 default"+read)
	f("Redis, no hashing", "apikey-defaultalice "+session, "1 default"+read)
	f("key id", "defaultalice\t"+session, "1 default"+read)
	f("name", "alice "+session, "1 default"+read)
	f("hash, name in the list", "apikey-"+aliceHash+" "+session, "1 default"+read, "bob", "alice")
	f("hash, alias", aliceHash+` {"org_id":"default","alias":"alice"}`, "1 default/alice  {\"alias\":\"alice\",\"org_id\":\"default\"}\n")
	f("hash, name in the session", aliceHash+` {"org_id":"default","basic_auth_data":{"user":"alice"}}`, "1 default/alice  {\"org_id\":\"default\"}\n")
	f("hash, unknown", aliceHash+" "+session, "1 \"\": cannot tell the user of key hash 92ac0f0f241412ec: list the names of your users in a file and add -names FILE\n", "bob")
	f("hash, another org", aliceHash+` {"org_id":"acme"}`, "1 \"\": cannot tell the user of key hash 92ac0f0f241412ec: list the names of your users in a file and add -names FILE\n", "alice")
	f("old hash", "apikey-c3f12984 "+session, "1 \"\": cannot tell the user of c3f12984, a key hash in Tyk's old form: replace it with the user's name\n", "alice")
	f("nothing", session, "1 \"\": cannot tell the user of this session: put its key or the user's name in front of it\n")

	// Forms of a file.
	f("empty", " \n\n", "")
	f("object", "{\n \"alice\": "+session+",\n \"defaultbob\":\n  "+session+"}", "2 default"+read+"4 default/bob  "+session+"\n")
	f("objects", `{"alice": `+session+"}\n{\"bob\": "+session+"}\n", "1 default"+read+"2 default/bob  "+session+"\n")
	f("Dashboard", `{"key_id":"defaultalice","key_hash":"x","data":`+session+`}`, "1 default"+read)
	f("Dashboard's list", "{\"keys\":[\n{\"key_id\":\"defaultalice\",\"data\":"+session+"},\n{\"key_id\":\"defaultbob\",\"data\":"+session+"}],\n\"pages\":1}",
		"2 default"+read+"3 default/bob  "+session+"\n")
	f("array", "[{\"key_id\":\"defaultalice\",\"data\":"+session+"},\n{\"key_id\":\"defaultbob\",\"data\":"+session+"}]",
		"1 default"+read+"2 default/bob  "+session+"\n")
	f("a string, as redis-cli prints it", `apikey-defaultalice "{\"org_id\":\"default\",\"rate\":3}"`, "1 default"+read)
	f("a string in an object", `{"apikey-defaultalice": "{\"org_id\":\"default\",\"rate\":3}"}`, "1 default"+read)
	f("CRLF", "alice "+session+"\r\n", "1 default"+read)

	// Passwords.
	f("hash", `alice {"org_id":"default","basic_auth_data":{"password":"`+apr1+`","hash_type":"bcrypt"}}`, "1 default/alice "+apr1+` {"org_id":"default"}`+"\n")
	f("plain", `alice {"org_id":"default","basic_auth_data":{"password":"pw"}}`, "1 default/alice  {\"basic_auth_data\":{\"password\":\"pw\"},\"org_id\":\"default\"} plain\n")
	f("another hash", `alice {"org_id":"default","basic_auth_data":{"password":"abc","hash_type":"murmur64"}}`,
		"1 \"alice\": basic_auth_data: hash_type \"murmur64\": must be a hash of bcrypt, argon2id, apr1, {SHA} or SHA-crypt: plain text, crypt(3) with DES or MD5 and others are not accepted\n")

	// Files that are not dumps.
	f("text", "alice\nbob {\"rate\":\n", "1 \"\": must be KEY and a session as a JSON object\n2 \"\": must be KEY and a session as a JSON object\n")
	f("broken JSON", "{\"alice\": "+session+"}\n{\"bob\": {", "1 default"+read+"2 \"\": not valid JSON from here on\n")
	f("wrong type", `alice {"org_id":5}`, "1 \"\": org_id: must have another JSON type\n")
	f("deep", strings.Repeat("[", 20000), "1 \"\": not valid JSON from here on\n")
}

// A request stays below the bound of the admin listener and has few passwords to hash.
func TestBatchSize(t *testing.T) {
	f := func(what string, want int, users ...incoming) {
		t.Helper()
		if got := batchSize(users); got != want {
			t.Errorf("%s: %d users, want %d", what, got, want)
		}
	}
	big := incoming{Import: api.Import{Session: []byte(strings.Repeat(" ", maxBytes/2))}}
	f("one", 1, incoming{})
	f("all", 3, make([]incoming, 3)...)
	f("two that are big", 1, big, big)
	f("many", (maxBytes)/100, make([]incoming, 100_000)...)
	plain := make([]incoming, 1000)
	for i := range plain {
		plain[i].plain = true
	}
	f("passwords", maxPlain, plain...)
}

// FuzzHtpasswd: whatever the file, each line becomes a user with a hash that can be verified, or a bad
// line, with the right line number.
func FuzzHtpasswd(f *testing.F) {
	f.Add("alice:" + sha + "\nbob:" + apr1 + ":x\n#\n\nx\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := parseHtpasswd(text)
		lines := strings.Count(text, "\n") + 1
		if len(d.users)+len(d.bad) > lines {
			t.Errorf("%d users and %d bad lines out of %d lines", len(d.users), len(d.bad), lines)
		}
		for _, u := range d.users {
			if _, err := password.HashKind(u.Hash); err != nil || u.line < 1 || u.line > lines || strings.ContainsAny(u.Username, ":\n") {
				t.Errorf("%+v: %v", u, err)
			}
		}
	})
}

// FuzzTyk: no dump causes a panic, and the sessions that are read are JSON without hashes.
func FuzzTyk(f *testing.F) {
	f.Add("apikey-" + aliceHash + ` {"org_id":"default","alias":"alice","basic_auth_data":{"password":"` + apr1 + `","hash_type":"bcrypt"}}`)
	f.Add(`{"keys":[{"key_id":"a","data":{"rate":1}}],"pages":1}`)
	f.Add(`[{"alice":"{\"rate\":1}"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		d := parseTyk([]byte(text), []string{"alice"})
		for _, u := range d.users {
			if !u.Session.IsValid() || u.Hash != "" && strings.Contains(string(u.Session), u.Hash) && !strings.Contains(strings.Replace(text, u.Hash, "", 1), u.Hash) {
				t.Errorf("%+v", u)
			}
		}
	})
}

func TestLongFlags(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		compare(t, args, strings.Join(longFlags(strings.Fields(args)), " "), want)
	}
	f("user add alice -rate 1/1s -org=x", "user add alice --rate 1/1s --org=x")
	f("--rate 1/1s -o json -q x -h", "--rate 1/1s -o json -q x -h")
	f("-quota -1/24h -password-stdin", "--quota -1/24h --password-stdin")
	f("-config x -- -config", "--config x -- -config")
	f("- -1 -A", "- -1 -A")
}

func TestSessionFlags(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		cmd := &cobra.Command{Use: "x"}
		sessionFlags(cmd)
		err := cmd.ParseFlags(longFlags(strings.Split(args, "|")))
		var got string
		if err != nil {
			err = flagError(err)
		} else {
			var s members
			if s, err = sessionOf(cmd.Flags(), []string{"old", "orders"}); err == nil {
				var b strings.Builder
				err = printJSON(&b, s)
				got = strings.TrimSuffix(b.String(), "\n")
			}
		}
		if err != nil {
			got = err.Error()
		}
		compare(t, args, got, want)
	}
	f("-alias|Alice", `{"alias":"Alice"}`)
	f("-rate|100/1m", `{"per":60,"rate":100}`)
	f("-rate|2.5/500ms", `{"per":0.5,"rate":2.5}`)
	f("-rate|none", `{"per":0,"rate":0}`)
	f("-quota|1000/24h", `{"quota_max":1000,"quota_renewal_rate":86400}`)
	f("-quota|5", `{"quota_max":5,"quota_renewal_rate":0}`)
	f("-quota|none", `{"quota_max":-1,"quota_renewal_rate":0}`)
	f("-expires|never", `{"expires":0}`)
	f("-expires|2027-01-31T12:00:00+01:00", `{"expires":1801393200}`)
	f("-inactive", `{"is_inactive":true}`)
	f("-inactive=false", `{"is_inactive":false}`)
	f("-tag|a|-tag|b,c", `{"tags":["a","b,c"]}`)
	f("-tag|", `{"tags":[]}`)
	f("-policy|gold", `{"apply_policies":["gold"],"apply_policy_id":null}`)
	f("-meta|a=b=c|-meta|gone|-meta|empty=", `{"meta_data":{"a":"b=c","empty":"","gone":null}}`)
	f("-api|orders:v1,v2|-api|new", `{"access_rights":{"new":{"api_id":"new"},"old":null,"orders":{"api_id":"orders","versions":["v1","v2"]}}}`)
	f("-api|", `{"access_rights":{"old":null,"orders":null}}`)

	const rate = `invalid -rate "%s": want N/DURATION (such as 100/1m) or "none"`
	for _, wrong := range []string{"100", "0/1s", "-1/1s", "x/1s", "1/x", "1/0s", "1/-1s", "NaN/1s", "Inf/1s", "1e400/1s", "1/1"} {
		f("-rate="+wrong, fmt.Sprintf(rate, wrong))
	}
	const quota = `invalid -quota "%s": want N/DURATION in whole numbers and seconds (such as 1000/24h), N, or "none"`
	for _, wrong := range []string{"0", "-1", "1.5/1h", "1/500ms", "x", "1e300/1h", "1/"} {
		f("-quota="+wrong, fmt.Sprintf(quota, wrong))
	}
	const expires = `invalid -expires "%s": want a time (such as 2027-01-31T12:00:00Z), a duration (such as 720h) or "never"`
	for _, wrong := range []string{"tomorrow", "-1h", "0s", "2027-01-31", "1801393200"} {
		f("-expires="+wrong, fmt.Sprintf(expires, wrong))
	}
	f("-inactive=perhaps", `invalid -inactive "perhaps": want true or false`)
	f("-rate", `missing value of -rate`)
	f("-colour|x", `unknown flag -colour`)
	f("-api|:v1", `-api ":v1": must be ID or ID:VERSION,…`)
	f("-api|orders:", `-api "orders:": must be ID or ID:VERSION,…`)
	f("-meta|=x", `-meta "=x": must be NAME=VALUE`)
}

func TestExpiresFromNow(t *testing.T) {
	var f expiresFlag
	if err := f.Set("720h"); err != nil || f.at(time.Unix(1000, 0)) != 1000+720*3600 {
		t.Errorf("%+v, %v", f, err)
	}
}

// A flag parses what it formats.
func TestRateText(t *testing.T) {
	for _, text := range []string{"100/1m", "0.5/1s", "2.5/500ms", "3/1h30m", "7/24h"} {
		var f rateFlag
		if err := f.Set(text); err != nil || f.String() != text {
			t.Errorf("%s: %q, %v", text, f.String(), err)
		}
	}
	for _, text := range []string{"1000/24h", "5"} {
		var f quotaFlag
		if err := f.Set(text); err != nil || f.String() != text {
			t.Errorf("%s: %q, %v", text, f.String(), err)
		}
	}
}

func TestPasswordFrom(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, err := passwordFrom(strings.NewReader(in))
		if err != nil {
			got = err.Error()
		}
		compare(t, fmt.Sprintf("%q", in), got, want)
	}
	f("secret", "secret")
	f("secret\n", "secret")
	f("secret\r\n", "secret")
	f("secret\n\n", "secret\n")
	f("secret\r", "secret\r")
	f(" secret ", " secret ")
	f("two\nlines\n", "two\nlines")
	f("", "missing password")
	f("\n", "missing password")
	f(strings.Repeat("x", 4097), "the password must be at most 4096 bytes")
}

// Every command has a description, and every flag names its value.
func TestHelpIsComplete(t *testing.T) {
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: Short is %q", cmd.CommandPath(), cmd.Short)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: -%s says nothing", cmd.CommandPath(), f.Name)
			}
		})
		for _, below := range cmd.Commands() {
			look(below)
		}
	}
	look(New(Program{}))
}
