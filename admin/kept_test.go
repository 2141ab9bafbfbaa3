package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// Members that do not act come back as they were sent, without white space between their parts:
// escapes and numbers keep their spelling, in both dialects, after POST and after PUT.
func TestKeptMembers(t *testing.T) {
	l := start(t)
	spaces := rapid.StringOfN(rapid.RuneFrom([]rune(" \t\n\r")), 0, 3, -1)
	draw := func(t *rapid.T, label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	text := func(t *rapid.T) string {
		return draw(t, "text", `""`, `"a"`, `"a b"`, `"\u0061\/\\\""`, `"ü\u00fc\ud83d\ude00"`, `"<&>\u2028"`, `"\u0000"`, `null`)
	}
	whole := func(t *rapid.T) string {
		return draw(t, "whole", "0", "-0", "1", "-1", "9223372036854775807", "-9223372036854775808")
	}
	truth := func(t *rapid.T) string { return draw(t, "truth", "true", "false") }
	list := func(element func(*rapid.T) string) func(*rapid.T) string {
		return func(t *rapid.T) string {
			elements := make([]string, rapid.IntRange(0, 3).Draw(t, "length"))
			for i := range elements {
				elements[i] = spaces.Draw(t, "space") + element(t) + spaces.Draw(t, "space")
			}
			return "[" + strings.Join(elements, ",") + spaces.Draw(t, "space") + "]"
		}
	}
	object := func(members map[string]func(*rapid.T) string) func(*rapid.T) string {
		return func(t *rapid.T) string {
			if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
				return "null"
			}
			var texts []string
			for _, name := range rapid.Permutation([]string{"secret", "name", "fields", "limits", "max_query_depth", `x\u0079`, "z"}).Draw(t, "names") {
				if value := members[name]; value != nil && rapid.Bool().Draw(t, "there") {
					texts = append(texts, fmt.Sprintf("%s%q%s:%s%s%s", spaces.Draw(t, "a"), name, spaces.Draw(t, "b"), spaces.Draw(t, "c"), value(t), spaces.Draw(t, "d")))
				}
			}
			return strings.ReplaceAll("{"+strings.Join(texts, ",")+spaces.Draw(t, "space")+"}", `\\u`, `\u`)
		}
	}
	type members = map[string]func(*rapid.T) string
	number := func(t *rapid.T) string {
		return draw(t, "number", "0", "-0.0", "1000.0", "1E+3", "1e-7", "0.1000", "123456789012345678901234567890")
	}
	anything := func(t *rapid.T) string {
		return rapid.OneOf(rapid.Custom(text), rapid.Custom(number), rapid.Custom(truth),
			rapid.Custom(list(number)), rapid.Custom(object(members{"name": text, `x\u0079`: number, "z": list(text)}))).Draw(t, "anything")
	}
	types := list(object(members{"name": text, "fields": list(text), "z": anything}))
	ofSession := members{
		"last_check": whole, "allowance": number, "jwt_data": object(members{"secret": text, "z": anything}),
		"oauth_client_id": text, "oauth_keys": object(members{"name": text, `x\u0079`: text}), "certificate": text,
		"mtls_static_certificate_bindings": list(text), "enable_http_signature_validation": truth, "rsa_certificate_id": text,
		"max_query_depth": whole, "id_extractor_deadline": whole, "data_expires": whole, "enable_detail_recording": truth,
	}
	ofRight := members{
		"restricted_types": types, "allowed_types": types, "disable_introspection": truth,
		"field_access_rights": list(object(members{"name": text, "limits": object(members{"max_query_depth": whole})})),
		"json_rpc_methods":    anything, "json_rpc_methods_access_rights": anything, "mcp_access_rights": anything,
	}
	kept := func(t *rapid.T, all members) map[string]string {
		some := make(map[string]string)
		var names []string
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if rapid.Bool().Draw(t, "has "+name) {
				some[name] = all[name](t)
			}
		}
		return some
	}
	write := func(t *rapid.T, values map[string]string, more string) string {
		texts := []string{more}
		for name, value := range values {
			texts = append(texts, fmt.Sprintf("%s%q%s:%s%s", spaces.Draw(t, "a"), name, spaces.Draw(t, "b"), spaces.Draw(t, "c"), value))
		}
		return "{" + strings.Join(texts, ",") + "}"
	}
	read := func(t *rapid.T, body jsontext.Value, name string) (members map[string]jsontext.Value) {
		if err := json.Unmarshal(body, &members); err != nil {
			t.Fatalf("%s: %v in %s", name, err, body)
		}
		return members
	}

	rapid.Check(t, func(t *rapid.T) {
		for _, method := range []string{"POST", "PUT"} {
			session, right := kept(t, ofSession), kept(t, ofRight)
			body := write(t, session, `"basic_auth_data":{"password":"pw"},"access_rights":{"rest":`+write(t, right, `"api_id":"rest"`)+"}")
			compare := func(what string, got map[string]jsontext.Value) {
				for name, sent := range session {
					if want := compact(t, sent); string(got[name]) != want {
						t.Errorf("%s: %s: got %q, want %q", what, name, got[name], want)
					}
				}
				got = read(t, read(t, got["access_rights"], what)["rest"], what)
				for name, sent := range right {
					if want := compact(t, sent); string(got[name]) != want {
						t.Errorf("%s: rest.%s: got %q, want %q", what, name, got[name], want)
					}
				}
			}
			if a := l.ask(method, "/tyk/keys/alice", body); a.status != 200 {
				t.Fatalf("%s %s: %v", method, body, a)
			}
			compare("gateway", read(t, jsontext.Value(l.ask("GET", "/tyk/keys/alice", "").body), "gateway"))
			compare("dashboard", read(t, read(t, jsontext.Value(l.ask("GET", "/api/apis/keys/basic/alice", "").body), "dashboard")["data"], "data"))
			var list struct {
				Keys []struct {
					Data map[string]jsontext.Value `json:"data"`
				} `json:"keys"`
			}
			if err := json.Unmarshal([]byte(l.ask("GET", "/api/keys/detailed", "").body), &list); err != nil || len(list.Keys) != 1 {
				t.Fatalf("detailed: %v, %d keys", err, len(list.Keys))
			}
			compare("detailed", list.Keys[0].Data)
		}
	})
}

// compact returns a JSON text without the white space between its parts.
func compact(t *rapid.T, text string) string {
	v := jsontext.Value(text)
	if err := v.Compact(); err != nil {
		t.Fatal(err)
	}
	return string(v)
}

// A member that a client did not send is zero in the Dashboard's dialect and missing in the Gateway's.
func TestKeptMembersNotSent(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/alice", aUser)
	a := l.ask("GET", "/api/apis/keys/basic/alice", "")
	for _, want := range []string{
		`"last_check":0`, `"allowance":0`, `"jwt_data":{"secret":""}`, `"oauth_client_id":""`, `"oauth_keys":{}`, `"certificate":""`,
		`"mtls_static_certificate_bindings":null`, `"enable_http_signature_validation":false`, `"rsa_certificate_id":""`,
		`"max_query_depth":0`, `"id_extractor_deadline":0`, `"data_expires":0`, `"enable_detail_recording":false`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
		name, _, _ := strings.Cut(want, ":")
		if b := l.ask("GET", "/tyk/keys/alice", ""); strings.Contains(b.body, name) {
			t.Errorf("%s in %s", name, b.body)
		}
	}
}
