package session

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"sidekey/internal/problem"
)

// canary stands for a password in everything that must never show one.
const canary = "c4nary-p4ssw0rd"

func TestDecodeSessionBad(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		s, unknown, err := DecodeSession([]byte(body))
		if err == nil || err.Error() != want {
			t.Errorf("%.100s\ngot  %v\nwant %s", body, err, want)
		}
		if _, problems := err.(problem.List); err != nil && !problems {
			t.Errorf("%.100s: a %T is no Problems", body, err)
		}
		if unknown != nil || !reflect.DeepEqual(s, Session{}) {
			t.Errorf("%.100s: refused, and yet %+v, %q", body, s, unknown)
		}
	}
	const (
		integer = "must be a whole number from -2^63 to 2^63-1"
		finite  = "must be a finite number"
	)
	// No object.
	f(``, `unexpected EOF at byte 0`)
	f(` `, `unexpected EOF at byte 1`)
	f(`null`, `null: must be a JSON object`)
	f(" null\n", `null: must be a JSON object`)
	f(`true`, `must be an object, not a boolean`)
	f(`5`, `must be an object, not a number`)
	f(`"session"`, `must be an object, not a string`)
	f(`[]`, `must be an object, not an array`)
	f(`[{}]`, `must be an object, not an array`)
	f(`nope`, `invalid character 'o' in literal null (expecting 'u') at byte 1`)
	f("\ufeff{}", `invalid character '\ufeff' at start of value at byte 0`)
	// No JSON.
	f(`{`, `unexpected EOF at byte 1`)
	f(`}`, `invalid character '}' at start of value at byte 0`)
	f(`{"rate"}`, `rate: invalid character '}' after object name (expecting ':') at byte 7`)
	f(`{"rate":}`, `rate: invalid character '}' at start of value at byte 8`)
	f(`{"rate":5,}`, `invalid character ',' at start of value at byte 9`)
	f(`{rate:5}`, `invalid character 'r' at start of value at byte 1`)
	f(`{'rate':5}`, `invalid character '\'' at start of value at byte 1`)
	f(`{"rate":5 "per":1}`, `invalid character '"' after object value (expecting ',' or '}') at byte 10`)
	f(`{"tags":["a",]}`, `tags: invalid character ',' at start of value at byte 12`)
	f(`{"meta_data":{"a":nul}}`, `meta_data.a: invalid character '}' in literal null (expecting 'l') at byte 21`)
	f(`{} // a comment`, `invalid character '/' after top-level value at byte 3`)
	// Something behind it.
	f(`{}}`, `invalid character '}' after top-level value at byte 2`)
	f(`{} {}`, `invalid character '{' after top-level value at byte 3`)
	f(`{},`, `invalid character ',' after top-level value at byte 2`)
	f("{}\x00", `invalid character '\x00' after top-level value at byte 2`)
	// Numbers that are none, or too large.
	f(`{"rate":NaN}`, `rate: invalid character 'N' at start of value at byte 8`)
	f(`{"rate":Infinity}`, `rate: invalid character 'I' at start of value at byte 8`)
	f(`{"rate":-Infinity}`, `rate: invalid character 'I' in number (expecting digit) at byte 9`)
	f(`{"rate":+5}`, `rate: invalid character '+' at start of value at byte 8`)
	f(`{"rate":05}`, `invalid character '5' after object value (expecting ',' or '}') at byte 9`)
	f(`{"rate":.5}`, `rate: invalid character '.' at start of value at byte 8`)
	f(`{"rate":0x10}`, `invalid character 'x' after object value (expecting ',' or '}') at byte 9`)
	f(`{"rate":1e309}`, `rate = 1e309: `+finite)
	f(`{"rate":-1e309}`, `rate = -1e309: `+finite)
	f(`{"per":1e999999999}`, `per = 1e999999999: `+finite)
	f(`{"quota_max":9223372036854775808}`, `quota_max = 9223372036854775808: `+integer)
	f(`{"quota_max":-9223372036854775809}`, `quota_max = -9223372036854775809: `+integer)
	f(`{"quota_max":1.5}`, `quota_max = 1.5: `+integer)
	f(`{"quota_max":1e3}`, `quota_max = 1e3: `+integer)
	f(`{"quota_renewal_rate":5.0}`, `quota_renewal_rate = 5.0: `+integer)
	f(`{"rate":`+strings.Repeat("9", 400)+`}`, `rate = `+strings.Repeat("9", 80)+`…: `+finite)
	// Wrong types: the error has the member, its value and the right type.
	f(`{"rate":"5"}`, `rate = "5": `+finite+`, not a string`)
	f(`{"rate":true}`, `rate = true: `+finite+`, not a boolean`)
	f(`{"rate":[5]}`, `rate: `+finite+`, not an array`)
	f(`{"rate":{}}`, `rate: `+finite+`, not an object`)
	f(`{"rate":"`+strings.Repeat("v", 400)+`"}`, `rate = "`+strings.Repeat("v", 79)+`…: `+finite+`, not a string`)
	f(`{"quota_max":"5"}`, `quota_max = "5": `+integer+`, not a string`)
	f(`{"expires":"never"}`, `expires = "never": `+integer+`, not a string`)
	f(`{"is_inactive":"true"}`, `is_inactive = "true": must be true or false, not a string`)
	f(`{"is_inactive":1}`, `is_inactive = 1: must be true or false, not a number`)
	f(`{"alias":5}`, `alias = 5: must be a string, not a number`)
	f(`{"org_id":{"a":1}}`, `org_id: must be a string, not an object`)
	f(`{"tags":"a"}`, `tags = "a": must be an array, not a string`)
	f(`{"tags":{"a":1}}`, `tags: must be an array, not an object`)
	f(`{"tags":["a",5]}`, `tags[1] = 5: must be a string, not a number`)
	f(`{"last_updated":1723}`, `last_updated = 1723: must be a string, not a number`)
	f(`{"meta_data":5}`, `meta_data = 5: must be an object, not a number`)
	f(`{"monitor":[]}`, `monitor: must be an object, not an array`)
	f(`{"monitor":{"trigger_limits":["80"]}}`, `monitor.trigger_limits[0] = "80": `+finite+`, not a string`)
	f(`{"smoothing":{"step":1.5}}`, `smoothing.step = 1.5: `+integer)
	f(`{"access_rights":[]}`, `access_rights: must be an object, not an array`)
	f(`{"access_rights":"all"}`, `access_rights = "all": must be an object, not a string`)
	f(`{"access_rights":{"orders":5}}`, `access_rights.orders = 5: must be an object, not a number`)
	f(`{"access_rights":{"orders":{"versions":"v1"}}}`, `access_rights.orders.versions = "v1": must be an array, not a string`)
	f(`{"access_rights":{"orders":{"allowed_urls":[{"url":"/x","methods":"GET"}]}}}`,
		`access_rights.orders.allowed_urls[0].methods = "GET": must be an array, not a string`)
	f(`{"access_rights":{"orders":{"allowed_urls":[{"url":"/x"},{"url":7}]}}}`,
		`access_rights.orders.allowed_urls[1].url = 7: must be a string, not a number`)
	f(`{"access_rights":{"orders":{"limit":{"rate":"x"}}}}`, `access_rights.orders.limit.rate = "x": `+finite+`, not a string`)
	f(`{"access_rights":{"orders":{"endpoints":[{"methods":[{"limit":{"rate":false}}]}]}}}`,
		`access_rights.orders.endpoints[0].methods[0].limit.rate = false: `+finite+`, not a boolean`)
}

// encoding/json lets the last of two members win, merges names that differ in case, and
// puts U+FFFD for broken bytes: "a\xff" and "a\xfe" become one user.
func TestT80DuplicatesAndBrokenText(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if _, _, err := DecodeSession([]byte(body)); err == nil || err.Error() != want {
			t.Errorf("%.100q\ngot  %v\nwant %s", body, err, want)
		}
	}
	f(`{"rate":1,"rate":2}`, `rate: duplicate object member name at byte 10`)
	f(`{"rate":1,"per":1,"rate":1}`, `rate: duplicate object member name at byte 18`)
	f(`{"rate":1,"r\u0061te":2}`, `rate: duplicate object member name at byte 10`)
	f(`{"access_rights":{"a":{},"a":{}}}`, `access_rights.a: duplicate object member name at byte 25`)
	f(`{"access_rights":{"a":{"versions":[],"versions":[]}}}`, `access_rights.a.versions: duplicate object member name at byte 37`)
	f(`{"meta_data":{"x":{"y":1,"y":2}}}`, `meta_data.x.y: duplicate object member name at byte 25`)
	f(`{"jwt_data":{"y":1,"y":2}}`, `jwt_data.y: duplicate object member name at byte 19`)
	f(`{"absent":1,"absent":2}`, `absent: duplicate object member name at byte 12`)
	f(`{"absent":{"x":1,"x":2}}`, `absent.x: duplicate object member name at byte 17`)
	f("{\"alias\":\"a\xff\"}", `alias: invalid UTF-8 at byte 11`)
	f("{\"alias\":\"\xc0\xae\"}", `alias: invalid UTF-8 at byte 10`)
	f("{\"meta_data\":{\"a\xfe\":1}}", `meta_data: invalid UTF-8 at byte 16`)
	f(`{"alias":"a`+"\n"+`b"}`, `alias: invalid character '\n' in string (expecting non-control character) at byte 11`)
	f("{\"alias\":\"a\x00b\"}", `alias: invalid character '\x00' in string (expecting non-control character) at byte 11`)
	f(`{"alias":"\x41"}`, "alias: invalid escape sequence in string at byte 10")

	// Names are compared byte for byte: another case is another name.
	s, unknown, err := DecodeSession([]byte(`{"RATE":1,"Rate":2,"rate":3,"rAte":4,"ACCESS_RIGHTS":{}}`))
	if want := []string{"ACCESS_RIGHTS", "RATE", "Rate", "rAte"}; err != nil || s.Rate != 3 || !slices.Equal(unknown, want) {
		t.Errorf("rate %v, unknown %q, %v", s.Rate, unknown, err)
	}
}

// Large inputs: depth, length and number are bounded, and so are the errors.
func TestT80Large(t *testing.T) {
	f := func(name, body string, wantErr bool) {
		t.Helper()
		_, _, err := DecodeSession([]byte(body))
		if (err != nil) != wantErr {
			t.Errorf("%s: %.200v", name, err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: the problem is told in %d bytes: %.60s…", name, len(err.Error()), err)
		}
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	f("depth 64", `{"meta_data":{"x":`+deep(62)+`}}`, false)
	f("depth 65", `{"meta_data":{"x":`+deep(63)+`}}`, true)
	f("depth 65 of an unknown member", `{"x":`+deep(64)+`}`, true)
	f("depth 9998", `{"meta_data":{"x":`+deep(9998)+`}}`, true)
	f("depth 10001", `{"meta_data":{"x":`+deep(10_001)+`}}`, true)
	f("depth 10001 of an unknown member", `{"x":`+deep(10_001)+`}`, true)
	f("10001 objects", strings.Repeat(`{"some_long_name_of_a_member":`, 10_001)+"1"+strings.Repeat("}", 10_001), true)
	f("a wrong type, deep", strings.Repeat(`{"access_rights":`, 9000)+"1"+strings.Repeat("}", 9000), true)
	f("a number of 1,000,000 digits", `{"rate":`+strings.Repeat("9", 1_000_000)+`}`, true)
	f("an integer of 1,000,000 digits", `{"expires":`+strings.Repeat("9", 1_000_000)+`}`, true)
	f("a name of 1,000,000 bytes", `{"access_rights":{"`+strings.Repeat("n", 1_000_000)+`":5}}`, true)
	f("a string of 1,000,000 bytes where a number belongs", `{"rate":"`+strings.Repeat("n", 1_000_000)+`"}`, true)
	var members strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&members, `"m%d":{},`, i)
	}
	f("100,000 members", `{"access_rights":{`+members.String()+`"last":{}}}`, false)
}

// T-80: a patch of 1 MiB, nested as deep as it may be or deeper, is merged or refused in time.
func TestT80DeepPatch(t *testing.T) {
	f := func(depth int, inside string, wantErr bool) {
		t.Helper()
		began := time.Now()
		_, _, err := PatchSession(Session{}, []byte(`{"meta_data":`+strings.Repeat(`{"a":`, depth-1)+inside+strings.Repeat("}", depth-1)+`}`))
		if (err != nil) != wantErr {
			t.Errorf("depth %d: %.200v", depth, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("depth %d: %v", depth, took)
		}
	}
	f(64, "1", false)
	f(64, `"`+strings.Repeat("x", 1_000_000)+`"`, false)
	f(65, "1", true)
	f(5000, "1", true) // 35 seconds, once
	f(9999, "1", true)
}

// Nothing may silently mean "unlimited", "never" or "everything".
func TestT60NothingMeansUnlimited(t *testing.T) {
	f := func(body string) {
		t.Helper()
		if s, _, err := DecodeSession([]byte(body)); err == nil {
			t.Errorf("%s was taken for rate %v per %v, quota_max %d per %d, expires %d, inactive %v, rights %+v",
				body, s.Rate, s.Per, s.QuotaMax, s.QuotaRenewalRate, s.Expires, s.IsInactive, s.AccessRights)
		}
	}
	// A number too small to be told from zero, which is no limit.
	f(`{"rate":1e-400}`)
	f(`{"per":1e-400}`)
	f(`{"access_rights":{"orders":{"limit":{"rate":1e-999}}}}`)
	// null is a wrong type for a number, a bool or an object.
	f(`{"rate":null}`)
	f(`{"per":null}`)
	f(`{"quota_max":null}`)
	f(`{"quota_renewal_rate":null}`)
	f(`{"expires":null}`)
	f(`{"is_inactive":null}`)
	f(`{"access_rights":{"orders":{"limit":{"quota_max":null}}}}`)
}

// What Tyk's own APIs write as null is nothing, and read as such.
func TestDecodeSessionNull(t *testing.T) {
	s, unknown, err := DecodeSession([]byte(`{"access_rights":null,"tags":null,"meta_data":null,"apply_policies":null,"smoothing":null,"oauth_keys":null,
		"jwt_data":null,"monitor":{"trigger_limits":null}}`))
	if err != nil || unknown != nil {
		t.Fatalf("%q, %v", unknown, err)
	}
	if len(s.AccessRights)+len(s.Tags)+len(s.MetaData)+len(s.ApplyPolicies)+len(s.Monitor.TriggerLimits) != 0 || s.Smoothing != nil {
		t.Errorf("%+v", s)
	}
	if _, _, err := DecodeSession([]byte(`{"access_rights":{"orders":{"versions":null,"allowed_urls":null,"limit":null,"endpoints":null}}}`)); err != nil {
		t.Error(err)
	}
}

// A password never stands in the text of an error, wherever in the body it stands and
// whatever is wrong with it or around it.
func TestT75PasswordStaysOutOfErrors(t *testing.T) {
	f := func(body string) {
		t.Helper()
		_, unknown, err := DecodeSession([]byte(body))
		if err == nil && unknown == nil {
			t.Fatalf("%s: nothing is wrong", body)
		}
		text := strings.Join(unknown, " ")
		if err != nil {
			text += err.Error()
		}
		for part := range len(canary) - 3 {
			if strings.Contains(text, canary[part:part+4]) {
				t.Errorf("%s: %s", body, text)
				return
			}
		}
	}
	f(`{"basic_auth_data":"` + canary + `"}`)
	f(`{"basic_auth_data":["` + canary + `"]}`)
	f(`{"basic_auth_data":{"password":["` + canary + `"]}}`)
	f(`{"basic_auth_data":{"password":{"` + canary + `":"` + canary + `"}}}`)
	f(`{"basic_auth_data":{"password":"` + canary + `}}`)
	f(`{"basic_auth_data":{"password":` + canary + `}}`)
	f(`{"basic_auth_data":{"password":'` + canary + `'}}`)
	f(`{"basic_auth_data":{"password":"` + canary + `" "` + canary + `"}}`)
	f(`{"basic_auth_data":{"password":"` + canary + `","password":"` + canary + `"}}`)
	f(`{"basic_auth_data":{"password":"` + canary + `","hash_type":5}}`)
	f(`{"basic_auth_data":{"passwort":"` + canary + `"}}`)
	f(`{"basic_auth":{"password":"` + canary + `"}}`)
	f(`{"Basic_Auth_Data":{"password":"` + canary + `"}}`)
	f(`{"password":"` + canary + `"}`)
	// Broken text: the rest of the string must not come along.
	f(`{"basic_auth_data":{"password":"\x` + canary + `"}}`)
	f(`{"basic_auth_data":{"password":"\u` + canary + `"}}`)
	f(`{"basic_auth_data":{"password":"\ud800` + canary + `"}}`)
	f(`{"basic_auth_data":{"password":"\ud800\u` + canary + `"}}`)
	f(`{"basic_auth_data":{"password":"\ud800` + canary)
	f("{\"basic_auth_data\":{\"password\":\"\xff" + canary + "\"}}")
	f("{\"basic_auth_data\":{\"password\":\"\x01" + canary + "\"}}")
	f("{\"basic_auth_data\":{\"password\":\"" + canary + "\n\"}}")
	// The whole session in the wrong place, or encoded twice.
	f(`[{"basic_auth_data":{"password":"` + canary + `"}}]`)
	f(`{"session":{"basic_auth_data":{"password":"` + canary + `"}}}`)
	f(`"{\"basic_auth_data\":{\"password\":\"` + canary + `\"}}"`)
	f(`{"basic_auth_data":"{\"password\":\"` + canary + `\"}"}`)
	f(`"` + canary + `"`)
	// The other secrets.
	f(`{"hmac_string":["` + canary + `"]}`)
	f(`{"hmac_string":{"x":"` + canary + `"}}`)
	f(`{"hmac_string":"\ud800` + canary + `"}`)
	f(`{"jwt_data":{"secret":"\ud800` + canary + `"}}`)
	f(`{"jwt_data":{"secret":"` + canary + `"`)
}

// A problem is one line without characters that would forge a log line or a header (T-82).
func TestT82ProblemsAreOneLine(t *testing.T) {
	for _, name := range []string{`a\nb`, `a\r\nX-Admin: 1`, `\u0000`, `\u001b[2J`, `\u007f`, `\u0085`, `\u2028`, `\u202egnp.exe`, `\u2066`, `\ufeff`, `\u200f`} {
		for _, body := range []string{
			`{"access_rights":{"` + name + `":5}}`,
			`{"access_rights":{"` + name + `":{"versions":5}}}`,
			`{"meta_data":{"` + name + `":1,"` + name + `":2}}`,
			`{"` + name + `":1,"` + name + `":2}`,
			`{"rate":"` + name + `"}`,
			`{"tags":["x",{"` + name + `":1}]}`,
			`{"` + name + `":5}`,
			`{"basic_auth_data":{"` + name + `":5}}`,
		} {
			_, unknown, err := DecodeSession([]byte(body))
			texts := unknown
			if err != nil {
				texts = append(texts, err.Error())
			}
			if len(texts) == 0 {
				t.Fatalf("%s: nothing is wrong", body)
			}
			for _, text := range texts {
				if strings.ContainsFunc(text, problem.Misleading) {
					t.Errorf("%s is told as %q", body, text)
				}
			}
		}
	}
}

// Members that no session has are no error, but each is named.
func TestDecodeSessionUnknown(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		s, unknown, err := DecodeSession([]byte(body))
		if err != nil || !slices.Equal(unknown, want) {
			t.Errorf("%s: %q, %v; want %q", body, unknown, err, want)
		}
		if text := mustEncode(t, s); bytes.Contains(text, []byte("absent")) {
			t.Errorf("%s: what is unknown is kept: %s", body, text)
		}
	}
	f(`{}`)
	f(`{"absent":1}`, "absent")
	f(`{"absent":{"a":[1,2]},"absent2":null}`, "absent", "absent2")
	f(`{"quota_maximum":5,"quota_max":5}`, "quota_maximum")
	f(`{"Unknown":{"a":1},"unknown":5}`, "Unknown", "unknown")
	f(`{"basic_auth_data":{"absent":1}}`, "basic_auth_data.absent")
	f(`{"monitor":{"absent":1}}`, "monitor.absent")
	f(`{"smoothing":{"absent":1}}`, "smoothing.absent")
	f(`{"access_rights":{"orders":{"absent":1},"a":{"absent":2}}}`, "access_rights.a.absent", "access_rights.orders.absent")
	f(`{"access_rights":{"orders":{"limit":{"absent":1}}}}`, "access_rights.orders.limit.absent")
	f(`{"access_rights":{"orders":{"limit":{"smoothing":{"absent":1}}}}}`, "access_rights.orders.limit.smoothing.absent")
	f(`{"access_rights":{"orders":{"allowed_urls":[{},{"absent":1}]}}}`, "access_rights.orders.allowed_urls[1].absent")
	f(`{"access_rights":{"orders":{"endpoints":[{"absent":1,"methods":[{"absent":1,"limit":{"absent":1}}]}]}}}`,
		"access_rights.orders.endpoints[0].absent",
		"access_rights.orders.endpoints[0].methods[0].absent",
		"access_rights.orders.endpoints[0].methods[0].limit.absent")
	// Members inside meta_data and kept members are never unknown.
	f(`{"meta_data":{"a":{"b":1}},"jwt_data":{"c":1},"oauth_keys":{"d":"1"}}`)
	f(`{"absent`+strings.Repeat("y", 300)+`":1}`, "absent"+strings.Repeat("y", 74)+"…")
}

// Members of a right that other gateways use are kept and given back.
func TestDecodeSessionKeepsForOthers(t *testing.T) {
	body := `{"access_rights":{"orders":{"json_rpc_methods":{"allow":[1]},"mcp_tools":["a"],"restricted_types":[{"name":"x"}],"absent":1}},"jwt_data":{"secret":"s"}}`
	s, unknown, err := DecodeSession([]byte(body))
	if err != nil || !slices.Equal(unknown, []string{"access_rights.orders.absent"}) {
		t.Fatalf("%q, %v", unknown, err)
	}
	text := string(mustEncode(t, s))
	for _, want := range []string{`"json_rpc_methods":{"allow":[1]}`, `"mcp_tools":["a"]`, `"restricted_types":[{"name":"x"}]`, `"jwt_data":{"secret":"s"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	// Only there, and only these.
	if _, unknown, _ := DecodeSession([]byte(`{"mcp_tools":1,"access_rights":{"orders":{"mcp":1}}}`)); len(unknown) != 2 {
		t.Errorf("unknown: %q", unknown)
	}
}

func mustEncode(t testing.TB, s any) []byte {
	t.Helper()
	text, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
