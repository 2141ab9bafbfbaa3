package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const aUser = `{"alias":"as it was","basic_auth_data":{"password":"pw"}}`

// Wrong bodies, with their refusals in both dialects, for creating, overwriting and replacing a user.
// Nothing changes.
func TestMalformedSessions(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/alice", aUser)
	before := l.users.Dump()
	n := 0
	f := func(body, problem string) {
		t.Helper()
		n++
		text := "Request malformed: " + problem
		for _, user := range []string{"alice", "ghost"} {
			for _, method := range []string{"POST", "PUT"} {
				what := fmt.Sprintf("%s %.200s", method, body)
				l.ask(method, "/api/apis/keys/basic/"+user, body).want(t, what, 400, dashboardError(text))
				l.ask(method, "/tyk/keys/"+user, body).want(t, what, 400, gatewayError(text))
			}
		}
		l.ask("POST", "/tyk/keys/create", body).want(t, "create", 400, gatewayError(text))
	}
	f("", `unexpected EOF at byte 0`)
	f(" ", `unexpected EOF at byte 1`)
	f(`{`, `unexpected EOF at byte 1`)
	f(`{}x`, `invalid character 'x' after top-level value at byte 2`)
	f(`{}{}`, `invalid character '{' after top-level value at byte 2`)
	f(`null`, `null: must be a JSON object`)
	f(`5`, `must be an object, not a number`)
	f("\ufeff{}", `invalid character '\ufeff' at start of value at byte 0`)
	f(`{"rate":1,}`, `invalid character ',' at start of value at byte 9`)
	f(`{'rate':1}`, `invalid character '\'' at start of value at byte 1`)
	f(`{rate:1}`, `invalid character 'r' at start of value at byte 1`)
	f(`{"rate":1 "per":2}`, `invalid character '"' after object value (expecting ',' or '}') at byte 10`)
	f(`{"rate":01}`, `invalid character '1' after object value (expecting ',' or '}') at byte 9`)
	f(`{"rate":+1}`, `rate: invalid character '+' at start of value at byte 8`)
	f(`{"rate":.5}`, `rate: invalid character '.' at start of value at byte 8`)
	f(`{"rate":NaN}`, `rate: invalid character 'N' at start of value at byte 8`)
	f(`{"rate":Infinity}`, `rate: invalid character 'I' at start of value at byte 8`)
	f(`{"rate":1e309}`, `rate = 1e309: must be a finite number`)
	f(`{"rate":-1e309}`, `rate = -1e309: must be a finite number`)
	f(`{"rate":1,"rate":2}`, `rate: duplicate object member name at byte 10`)
	f(`{"rate":1,"\u0072ate":2}`, `rate: duplicate object member name at byte 10`)
	f(`{"quota_max":1.5}`, `quota_max = 1.5: must be a whole number from -2^63 to 2^63-1`)
	f(`{"quota_max":1e3}`, `quota_max = 1e3: must be a whole number from -2^63 to 2^63-1`)
	f(`{"quota_max":9223372036854775808}`, `quota_max = 9223372036854775808: must be a whole number from -2^63 to 2^63-1`)
	f(`{"quota_max":-9223372036854775809}`, `quota_max = -9223372036854775809: must be a whole number from -2^63 to 2^63-1`)
	f(`{"quota_renewal_rate":1e30}`, `quota_renewal_rate = 1e30: must be a whole number from -2^63 to 2^63-1`)
	f(`{"expires":1.5}`, `expires = 1.5: must be a whole number from -2^63 to 2^63-1`)
	f(`{"expires":99999999999999999999}`, `expires = 99999999999999999999: must be a whole number from -2^63 to 2^63-1`)
	f(`{"tags":[null]}`, `tags[0] = "": must not be empty`)
	f(`{"tags":[""]}`, `tags[0] = "": must not be empty`)
	f(`{"tags":["a\u0000b"]}`, `tags[0] = "a\x00b": must not contain the control character U+0000`)
	f("{\"tags\":[\"a\nb\"]}", `tags[0]: invalid character '\n' in string (expecting non-control character) at byte 11`)
	f(`{"tags":["a\u000ab"]}`, `tags[0] = "a\nb": must not contain the control character U+000A`)
	f(`{"tags":["a\u007fb"]}`, `tags[0] = "a\x7fb": must not contain the control character U+007F`)
	f(`{"tags":["`+strings.Repeat("t", 300)+`"]}`, `tags[0] = "`+strings.Repeat("t", 79)+`…: must be at most 255 bytes, not 300`)
	f(`{"tags":["a","b,c"]}`, `tags[1] = "b,c": must not contain a comma: X-Auth-Tags joins tags with commas`)
	f(`{"meta_data":{"a":[1e400]}}`, `meta_data.a[0] = 1e400: must be a finite number`)
	f(`{"nonsense":-1e400}`, `nonsense = -1e400: must be a finite number`)
	f(`{"alias":"a\u0001"}`, `alias = "a\x01": must not contain the control character U+0001`)
	f(`{"alias":"a\u202eb"}`, `alias = "a\u202eb": must not contain the control character U+202E`)
	f("{\"alias\":\"\xff\"}", `alias: invalid UTF-8 at byte 10`)
	f(`{"alias":"\ud800"}`, "alias: invalid surrogate pair in string at byte 10")
	f(`{"alias":"`+strings.Repeat("a", 1025)+`"}`, `alias = "`+strings.Repeat("a", 79)+`…: must be at most 1024 bytes, not 1025`)
	f("{\"\xff\":1}", `invalid UTF-8 at byte 2`)
	f(`{"meta_data":{"a\u0000":1}}`, "meta_data.a\\x00 = \"a\\x00\": must not contain the control character U+0000")
	f(`{"meta_data":{"developer":"a\u000ab"}}`, `meta_data.developer = "a\nb": must not contain the control character U+000A`)
	f(`{"meta_data":{"x":1,"x":2}}`, `meta_data.x: duplicate object member name at byte 20`)
	f(`{"access_rights":{"nothing":{}}}`, `access_rights.nothing = "nothing": must be a configured API: orders, rest`)
	f(`{"access_rights":{"acme-api":{}}}`, `access_rights.acme-api = "acme-api": must be an API of org_id "default": orders, rest`)
	f(`{"access_rights":{"":{}}}`, `access_rights.: must be a configured API: orders, rest`)
	f(`{"access_rights":{"rest":{"versions":[""]}}}`, `access_rights.rest.versions[0] = "": must not be empty`)
	f(`{"access_rights":{"rest":{"allowed_urls":[{"url":"(","methods":["GET"]}]}}}`, "access_rights.rest.allowed_urls[0].url = \"(\": must be a regular expression (RE2): error parsing regexp: missing closing ): `(`")
	f(`{"access_rights":{"rest":{"allowed_urls":[{"url":"/a","methods":[]}]}}}`, `access_rights.rest.allowed_urls[0].methods: must have at least one method, such as GET`)
	f(`{"access_rights":{"rest":{"allowed_urls":[{"url":"","methods":["GET"]}]}}}`, `access_rights.rest.allowed_urls[0].url: must be a path or a regular expression`)
	f(`{"access_rights":{"rest":{"allowed_urls":[{"url":"/a","methods":["G T"]}]}}}`, `access_rights.rest.allowed_urls[0].methods = "G T": must be a request method, such as GET`)
	f(`{"access_rights":{"rest":{"endpoints":[{"path":"[","methods":[{"name":"GET","limit":{"rate":1,"per":1}}]}]}}}`, "access_rights.rest.endpoints[0].path = \"[\": must be a regular expression (RE2): error parsing regexp: missing closing ]: `[`")
	f(`{"org_id":"a\u0000"}`, `org_id = "a\x00": must not contain the control character U+0000`)
	f(`{"org_id":" a"}`, `org_id = " a": must not begin or end with white space`)
	f(`{"basic_auth_data":{"password":"`+strings.Repeat("p", 73)+`"}}`, `basic_auth_data.password: must be at most 72 bytes, not 73: the hash reads no further`)
	f(`{"basic_auth_data":{"password":"a\u0000b"}}`, `basic_auth_data.password: must not contain control characters (a line end at its end?): RFC 7617 allows none`)
	f("{\"basic_auth_data\":{\"password\":\"pw\n\"}}", `basic_auth_data.password: no valid JSON at byte 34`)
	f(`{"basic_auth_data":{"password":"pw\u000a"}}`, `basic_auth_data.password: must not contain control characters (a line end at its end?): RFC 7617 allows none`)
	f(`{"basic_auth_data":{"password":"a","password":"b"}}`, `basic_auth_data.password: duplicate object member name at byte 35`)
	f(`{"apply_policies":["nothing"]}`, `apply_policies[0] = "nothing": must be a policy that exists: there is none`)
	f(`{"apply_policy_id":"nothing"}`, `apply_policies[0] = "nothing": must be a policy that exists: there is none`)
	f(`{"monitor":{"trigger_limits":[1e400]}}`, `monitor.trigger_limits[0] = 1e400: must be a finite number`)
	f(`{"post_expiry_action":"burn"}`, `post_expiry_action = "burn": must be "delete" or "retain"`)
	f(`{"post_expiry_grace_period":-2}`, `post_expiry_grace_period = -2: must be at least 0 seconds, or -1 for no limit`)
	f(`{"alias":"a\u0001","tags":["b\u0002"],"access_rights":{"x":{}}}`, `access_rights.x = "x": must be a configured API: orders, rest; alias = "a\x01": must not contain the control character U+0001; tags[0] = "b\x02": must not contain the control character U+0002`)

	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}
	if n < 40 {
		t.Errorf("only %d bodies", n)
	}
}

// A wrong type is refused with the path of the member and its value.
func TestWrongTypes(t *testing.T) {
	l := start(t)
	f := func(body, field, value string) {
		t.Helper()
		for _, target := range []string{"/api/apis/keys/basic/alice", "/tyk/keys/alice"} {
			a := l.ask("POST", target, body)
			if a.status != 400 {
				t.Errorf("%s: %v", body, a)
				continue
			}
			unquoted := strings.ReplaceAll(a.body, `\"`, `"`)
			if !strings.Contains(unquoted, "Request malformed: "+field) {
				t.Errorf("%s: got %s, want the field %s named", body, a.body, field)
			}
			if !strings.Contains(unquoted, field+" = "+value) {
				t.Errorf("%s: got %s, want the value %s named", body, a.body, value)
			}
		}
	}
	f(`{"rate":"5"}`, `rate`, `"5"`)
	f(`{"rate":true}`, `rate`, `true`)
	f(`{"per":"60"}`, `per`, `"60"`)
	f(`{"quota_max":"100"}`, `quota_max`, `"100"`)
	f(`{"expires":"never"}`, `expires`, `"never"`)
	f(`{"is_inactive":"yes"}`, `is_inactive`, `"yes"`)
	f(`{"is_inactive":1}`, `is_inactive`, `1`)
	f(`{"tags":"a"}`, `tags`, `"a"`)
	f(`{"tags":["a",1]}`, `tags[1]`, `1`)
	f(`{"alias":5}`, `alias`, `5`)
	f(`{"access_rights":{"rest":5}}`, `access_rights.rest`, `5`)
	f(`{"access_rights":{"rest":{"versions":"v1"}}}`, `access_rights.rest.versions`, `"v1"`)
	f(`{"org_id":5}`, `org_id`, `5`)
	f(`{"apply_policies":"gold"}`, `apply_policies`, `"gold"`)
	f(`{"monitor":{"trigger_limits":[80,"a"]}}`, `monitor.trigger_limits[1]`, `"a"`)
	f(`{"session_lifetime":"1h"}`, `session_lifetime`, `"1h"`)
	if n := l.users.Count(); n != 0 {
		t.Errorf("%d users were made", n)
	}
}

// Deep, long and large bodies are refused or accepted quickly, with a short answer.
func TestLargeSessions(t *testing.T) {
	l := start(t)
	f := func(what, body string, status int) {
		t.Helper()
		a := l.ask("POST", "/tyk/keys/alice"+map[bool]string{true: "?strict=1"}[strings.Contains(what, "strict")], body)
		if a.status != status {
			t.Errorf("%s: %d %.300s, want %d", what, a.status, a.body, status)
		}
		head := strings.Join(a.header, "\r\n")
		if len(head) > 64<<10 || len(a.body) > 64<<10 {
			t.Errorf("%s: the answer has %d bytes of headers and %d of body: clients cannot read that", what, len(head), len(a.body))
		}
	}
	many := func(n int, member string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, member, i)
		}
		return b.String()
	}
	f("arrays in arrays", `{"meta_data":{"x":`+strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)+`}}`, 400)
	f("objects in objects", `{"meta_data":`+strings.Repeat(`{"x":`, 10_001)+"1"+strings.Repeat("}", 10_001)+`}`, 400)
	f("a number of a million digits", `{"quota_max":`+strings.Repeat("1", 1_000_000)+`}`, 400)
	f("a fraction of a million digits", `{"rate":0.`+strings.Repeat("1", 1_000_000)+`}`, 200)
	f("a long name of a member", `{"`+strings.Repeat("x", 1_000_000)+`":1}`, 200)
	f("many tags", `{"tags":[`+many(50_000, `"t%d"`)+`]}`, 400)
	f("many wrong tags", `{"tags":[`+many(50_000, `"\u0000%d"`)+`]}`, 400)
	f("many rights to nothing", `{"access_rights":{`+many(20_000, `"x%d":{}`)+`}}`, 400)
	f("many unknown members", `{`+many(40_000, `"x%d":1`)+`}`, 200)
	f("many unknown members, strict", `{`+many(40_000, `"x%d":1`)+`}`, 400)
	f("many duplicates", `{`+many(40_000, `"x":%d`)+`}`, 400)
}

// A body may have one mebibyte, and not a byte more.
func TestBodySize(t *testing.T) {
	l := start(t)
	body := func(size int) string {
		head, tail := `{"meta_data":{"x":"`, `"}}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	if a := l.ask("POST", "/tyk/keys/alice", body(1<<20)); a.status != 200 {
		t.Errorf("1 MiB: %v", a)
	}
	before := l.users.Dump()
	const text = "Request malformed: body: must be at most 1048576 bytes"
	l.ask("POST", "/tyk/keys/bob", body(1<<20+1)).want(t, "a byte more", 413, gatewayError(text))
	l.ask("POST", "/api/apis/keys/basic/bob", body(1<<20+1)).want(t, "a byte more", 413, dashboardError(text))
	l.ask("PUT", "/api/apis/keys/basic/alice", body(2<<20)).want(t, "two", 413, dashboardError(text))
	const head = "POST /tyk/keys/bob HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + secret + "\r\nConnection: close\r\n"
	chunk := strings.Repeat("x", 1<<16)
	chunks := strings.Repeat("10000\r\n"+chunk+"\r\n", 17)
	parseAnswer(t, l.send(head+"Transfer-Encoding: chunked\r\n\r\n"+chunks+"0\r\n\r\n")).want(t, "in chunks", 413, gatewayError(text))
	parseAnswer(t, l.send(head+"Content-Length: 9223372036854775807\r\n\r\n{}")).want(t, "announced", 413, gatewayError(text))
	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed")
	}
	// A chunked body is accepted like any other.
	if a := parseAnswer(t, l.send(head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")); a.status != 200 {
		t.Errorf("in chunks: %v", a)
	}
}

// Requests that the API does not have, with the exact answers.
func TestOtherRequests(t *testing.T) {
	l := start(t)
	l.ask("POST", "/tyk/keys/alice", aUser)
	before := l.users.Dump()
	f := func(method, target string, status int, text string) {
		t.Helper()
		body := gatewayError(text)
		if strings.HasPrefix(target, "/api/") {
			body = dashboardError(text)
		}
		l.ask(method, target, "").want(t, method+" "+target, status, body)
	}
	for _, target := range []string{"/api/", "/api/nothing", "/tyk", "/tyk/", "/tyk/nothing", "/tyk/keys/a/b/c/d", "/API/apis/keys", "/TYK/keys", "/api/apis/keys/basic", "/api/apis/keys/basic/", "/apiapis/keys", "/nothing", "/.", "/..", "/api/../tyk/keys", "/api//apis/keys", "//api/apis/keys", "/api/apis/keys/basic/a/b"} {
		for _, method := range []string{"GET", "POST"} {
			f(method, target, 404, "Not found")
		}
	}
	for _, target := range []string{"/api/apis/keys/basic/alice", "/tyk/keys/alice", "/tyk/keys", "/api/apis/keys", "/api/keys/detailed", "/healthz"} {
		for _, method := range []string{"PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "Get", "PUTT"} {
			if method == "PATCH" && target == "/api/apis/keys/basic/alice" {
				continue // see TestPatch
			}
			f(method, target, 405, "Method not supported")
		}
	}
	f("DELETE", "/tyk/keys", 405, "Method not supported")
	f("PUT", "/api/apis/keys", 405, "Method not supported")
	f("POST", "/healthz", 405, "Method not supported")
	f("POST", "/tyk/reload", 405, "Method not supported")

	f("GET", "/api/apis/keys?p=x", 400, `Request malformed: p = "x": must be a whole number`)
	f("GET", "/api/apis/keys?p=1.5", 400, `Request malformed: p = "1.5": must be a whole number`)
	f("GET", "/api/apis/keys?p=99999999999999999999", 400, `Request malformed: p = "99999999999999999999": must be a whole number`)
	f("GET", "/api/keys/detailed?p=x", 400, `Request malformed: p = "x": must be a whole number`)
	f("GET", "/api/apis/nothing/keys", 404, `API "nothing" is not configured`)
	f("GET", "/tyk/keys?api_id=nothing", 404, `API "nothing" is not configured`)
	f("GET", "/tyk/keys/ghost", 404, "Key not found")
	f("DELETE", "/tyk/keys/ghost", 404, "There is no such key found")
	f("POST", "/tyk/keys/reset/ghost", 404, "There is no such key found")
	f("GET", "/api/apis/keys/basic/ghost", 404, "Key not found")
	f("DELETE", "/api/apis/keys/basic/ghost", 404, "Key not found")
	f("GET", "/api/keys/ghost", 404, "Key not found")
	f("DELETE", "/api/keys/ghost", 404, "Key not found")
	f("GET", "/api/keys/0123456789abcdef?hashed=1", 404, "Key not found")
	f("GET", "/tyk/policies/nothing", 404, "Policy not found")
	f("DELETE", "/tyk/policies/nothing", 404, "Policy not found")
	l.ask("PUT", "/tyk/keys/ghost", `{}`).want(t, "PUT", 404, gatewayError("Key is not found"))
	l.ask("PUT", "/api/apis/keys/basic/ghost", `{}`).want(t, "PUT", 404, dashboardError("Key not found"))
	for _, text := range []string{"BAD", "GET", "GET /", "\x00\x01\x02", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\nHost : localhost", "GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00"} {
		if a := parseAnswer(t, l.send(text+"\r\n\r\n")); a.status != 400 {
			t.Errorf("%q: %v", text, a)
		}
	}
	// Very large page numbers are beyond the last page.
	for _, p := range []string{"922337203685477581", "922337203685477582", "922337203685477583", "1844674407370955162", "9223372036854775807"} {
		for _, target := range []string{"/api/apis/keys?p=", "/api/keys/detailed?p=", "/api/portal/policies?p="} {
			if a := l.ask("GET", target+p, ""); a.status != 200 {
				t.Errorf("GET %s%s: %v", target, p, a)
			}
		}
	}
	if a := l.ask("GET", "/api/apis/keys?p=-9223372036854775808", ""); a.status != 200 || !strings.Contains(a.body, "defaultalice") {
		t.Errorf("all pages: %v", a)
	}
	if after := l.users.Dump(); after != before {
		t.Errorf("something was changed:\n%s\nwas\n%s", after, before)
	}
}

// T-72: the server does not wait for the body of a request without the secret.
func TestT72StrangersBody(t *testing.T) {
	l := start(t)
	for _, size := range []string{"Content-Length: 1048576", "Content-Length: 5000", "Content-Length: 9223372036854775807"} {
		for _, header := range []string{"Authorization: wrong", "X: y", "Authorization: " + secret[1:]} {
			began := time.Now()
			a := parseAnswer(t, l.send("POST /api/apis/keys/basic/bob HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n"+size+"\r\n\r\n{"))
			a.want(t, size+" with "+header, 401, dashboardError("Not authorised"))
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s with %s: answered after %v", size, header, took)
			}
		}
	}
	parseAnswer(t, l.send("POST /tyk/keys/bob HTTP/1.1\r\nHost: evil.com\r\nContent-Length: 1000000\r\n\r\n{")).want(t, "another host", 403, gatewayError("Host is not a loopback name and not one of admin.hosts"))
	parseAnswer(t, l.send("POST /readyz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{")).want(t, "an open page", 413, gatewayError("Request malformed: body: must be at most 1048576 bytes"))
	if n := l.users.Count(); n != 0 {
		t.Errorf("%d users were made", n)
	}
}
