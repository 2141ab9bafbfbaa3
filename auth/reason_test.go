package auth

import (
	"testing"

	"sidekey/auth/session"
)

// The table of reasons is that of the contract (section 3).
func TestReasons(t *testing.T) {
	f := func(r Reason, name string, status int, message string) {
		t.Helper()
		if r.String() != name || r.Status() != status || r.Message() != message {
			t.Errorf("%v: %d %q, want %s: %d %q", r, r.Status(), r.Message(), name, status, message)
		}
	}
	f(Pass, "pass", 200, "")
	f(ProxyConfig, "proxy_config", 403, "Request metadata missing")
	f(AmbiguousRequest, "ambiguous_request", 403, "Upgrade not allowed")
	f(AmbiguousPath, "ambiguous_path", 403, "Path not allowed")
	f(UnknownAPI, "unknown_api", 403, "API not found")
	f(UnknownVersion, "unknown_version", 403, "This API version does not seem to exist")
	f(NoCredentials, "no_credentials", 401, "Authorization field missing")
	f(MalformedCredentials, "malformed_credentials", 400, "Attempted access with malformed header, header not in basic auth format")
	f(TooManyFailures, "too_many_failures", 429, "Too many failed logins")
	f(Busy, "busy", 429, "Too many logins in progress")
	f(BadCredentials, "bad_credentials", 401, "User not authorised")
	f(Inactive, "inactive", 403, "Key is inactive, please renew")
	f(Expired, "expired", 401, "Key has expired, please renew")
	f(APINotGranted, "api_not_granted", 403, "Access to this API has been disallowed")
	f(URLNotGranted, "url_not_granted", 403, "Access to this resource has been disallowed")
	f(RateExceeded, "rate", 429, "Rate Limit Exceeded")
	f(QuotaExceeded, "quota", 403, "Quota exceeded")
	f(APIRateExceeded, "api_rate", 429, "API Rate Limit Exceeded")
	f(Unavailable, "unavailable", 503, "Not ready")
	for r := ProxyConfig; r < Unavailable; r++ {
		if r.Status() >= 500 || r.Status() < 400 {
			t.Errorf("%v is answered with %d: Envoy lets requests through on 5xx", r, r.Status())
		}
	}
}

// Known from a real Tyk.
func TestKeyHash(t *testing.T) {
	n := session.Name{Org: "default", User: "alice"}
	if got := n.KeyHash(); got != "92ac0f0f241412ec" {
		t.Errorf("key hash %s", got)
	}
	if got := (session.Name{Org: "5e9d9544a1dcd60001d0ed20", User: "alice"}).KeyID(); got != "5e9d9544a1dcd60001d0ed20alice" {
		t.Errorf("key id %s", got)
	}
}
