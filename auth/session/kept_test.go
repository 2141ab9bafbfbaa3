package session

import (
	"testing"

	"github.com/go-json-experiment/json"
)

// Kept members come back as they were written, but for the white space between their parts:
// numbers and escapes keep their spelling, members their order.
func TestMarshalSession(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		s, _, err := DecodeSession([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			return
		}
		got, err := MarshalSession([]Session{s, s}, json.OmitZeroStructFields(true), json.Deterministic(true))
		if err != nil || string(got) != "["+want+","+want+"]" {
			t.Errorf("%s: %v\ngot  %s\nwant [%s,…]", body, err, got, want)
		}
	}
	f(`{}`, `{}`)
	f(`{"rate": 5.0}`, `{"rate":5}`)
	f(`{"last_check":0,"allowance":1000.0}`, `{"last_check":0,"allowance":1000.0}`)
	f(`{"last_check":-0,"allowance":1E+3}`, `{"last_check":-0,"allowance":1E+3}`)
	f(`{"jwt_data": { "secret" : "\u0061\/" , "x":[ ] } }`, `{"jwt_data":{"secret":"\u0061\/","x":[]}}`)
	f("{\"oauth_keys\":{\r\n\t\"a\":\"b\"}}", `{"oauth_keys":{"a":"b"}}`)
	f(`{"certificate":"","oauth_client_id":null,"rsa_certificate_id":"a b"}`, `{"oauth_client_id":null,"certificate":"","rsa_certificate_id":"a b"}`)
	f(`{"access_rights":{"a":{"mcp_x": [ 1 ],"json_rpc_methods":{},"allowed_types":null,"restricted_types":[],"disable_introspection":false}}}`,
		`{"access_rights":{"a":{"restricted_types":[],"allowed_types":null,"disable_introspection":false,"json_rpc_methods":{},"mcp_x":[1]}}}`)
	f(`{"meta_data":{"a": [ 1.50 ]}}`, `{"meta_data":{"a":[1.50]}}`)
}

// Values that Tyk could not read are refused with the path of the fault.
func TestKeptTypes(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if _, _, err := DecodeSession([]byte(body)); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", body, err, want)
		}
	}
	f(`{"last_check":"1"}`, `last_check = "1": must be a whole number from -2^63 to 2^63-1, not a string`)
	f(`{"last_check":1.5}`, `last_check = 1.5: must be a whole number from -2^63 to 2^63-1`)
	f(`{"last_check":null}`, `last_check = null: must be a whole number from -2^63 to 2^63-1, not null`)
	f(`{"allowance":[]}`, `allowance: must be a finite number, not an array`)
	f(`{"allowance":1e400}`, `allowance = 1e400: must be a finite number`)
	f(`{"data_expires":9223372036854775808}`, `data_expires = 9223372036854775808: must be a whole number from -2^63 to 2^63-1`)
	f(`{"id_extractor_deadline":{}}`, `id_extractor_deadline: must be a whole number from -2^63 to 2^63-1, not an object`)
	f(`{"max_query_depth":true}`, `max_query_depth = true: must be a whole number from -2^63 to 2^63-1, not a boolean`)
	f(`{"oauth_client_id":5}`, `oauth_client_id = 5: must be a string, not a number`)
	f(`{"certificate":{}}`, `certificate: must be a string, not an object`)
	f(`{"rsa_certificate_id":false}`, `rsa_certificate_id = false: must be a string, not a boolean`)
	f(`{"enable_http_signature_validation":"yes"}`, `enable_http_signature_validation = "yes": must be true or false, not a string`)
	f(`{"enable_detail_recording":1}`, `enable_detail_recording = 1: must be true or false, not a number`)
	f(`{"jwt_data":5}`, `jwt_data: must be an object, not a number`)
	f(`{"jwt_data":{"secret":5}}`, `jwt_data.secret: must be a string, not a number`)
	f(`{"oauth_keys":[]}`, `oauth_keys: must be an object, not an array`)
	f(`{"oauth_keys":{"a":1}}`, `oauth_keys.a = 1: must be a string, not a number`)
	f(`{"mtls_static_certificate_bindings":"a"}`, `mtls_static_certificate_bindings = "a": must be an array, not a string`)
	f(`{"mtls_static_certificate_bindings":["a",1]}`, `mtls_static_certificate_bindings[1] = 1: must be a string, not a number`)
	right := func(members string) string { return `{"access_rights":{"rest":{` + members + `}}}` }
	f(right(`"restricted_types":{}`), `access_rights.rest.restricted_types: must be an array, not an object`)
	f(right(`"allowed_types":[{"name":5}]`), `access_rights.rest.allowed_types[0].name = 5: must be a string, not a number`)
	f(right(`"field_access_rights":[{"limits":{"max_query_depth":"1"}}]`), `access_rights.rest.field_access_rights[0].limits.max_query_depth = "1": must be a whole number from -2^63 to 2^63-1, not a string`)
	f(right(`"disable_introspection":null`), `access_rights.rest.disable_introspection = null: must be true or false, not null`)
	f(right(`"mcp_x":[1,1e400]`), `access_rights.rest.mcp_x[1] = 1e400: must be a finite number`)
	f(right(`"mcp_x":{"a":1,"a":2}`), `access_rights.rest.mcp_x.a: duplicate object member name at byte 41`)
	f(`{"meta_data":{"a":{"b":-1e400}}}`, `meta_data.a.b = -1e400: must be a finite number`)
	f(`{"jwt_data":{"secret":"a","secret":"b"}}`, `jwt_data.secret: duplicate object member name at byte 26`)
}
