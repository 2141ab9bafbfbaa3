package auth

// Reason says why a request was refused; Pass says that it was not. The order is the order of the
// checks: the first that applies is the answer.
//
// A request with a wrong password for a user who is also expired gets BadCredentials.
type Reason uint8

// The reasons, in the order of the checks. AmbiguousPath may also follow APINotGranted, because the rules
// of the right decide, and Unavailable may end a decision at any check.
const (
	Pass                 Reason = iota
	ProxyConfig                 // the proxy does not send a header that it must send
	AmbiguousRequest            // the client asks for a tunnel
	AmbiguousPath               // readers of host or path disagree, and it matters
	UnknownAPI                  // no active API is at this host and path
	UnknownVersion              // the API does not have the version
	NoCredentials               // there is no Authorization header
	MalformedCredentials        // the Authorization header cannot be read
	TooManyFailures             // the client's address must wait because it guessed too often
	Busy                        // there is no room to hash the password, or to record quota or signature
	BadCredentials              // the user does not exist, or the password or signature is wrong
	Inactive                    // the session or one of its policies is inactive
	Expired                     // the session has expired
	APINotGranted               // no right includes the API or its version
	URLNotGranted               // the right does not include the path and method
	RateExceeded                // the user is over the rate
	QuotaExceeded               // the user's quota is used up
	APIRateExceeded             // all users of the API together are over its rate
	Unavailable                 // the store cannot be read, or sidekey is stopping

	reasonCount
)

// ReasonCount is the number of reasons.
const ReasonCount = int(reasonCount)

// reasons holds name, status and message of each reason. Messages are Tyk's if Tyk has the case. The
// status of QuotaExceeded is configurable (limits.quota_exceeded_status).
var reasons = [reasonCount]struct {
	name    string
	status  int
	message string
}{
	Pass:                 {"pass", 200, ""},
	ProxyConfig:          {"proxy_config", 403, "Request metadata missing"},
	AmbiguousRequest:     {"ambiguous_request", 403, "Upgrade not allowed"},
	AmbiguousPath:        {"ambiguous_path", 403, "Path not allowed"},
	UnknownAPI:           {"unknown_api", 403, "API not found"},
	UnknownVersion:       {"unknown_version", 403, "This API version does not seem to exist"},
	NoCredentials:        {"no_credentials", 401, "Authorization field missing"},
	MalformedCredentials: {"malformed_credentials", 400, "Attempted access with malformed header, header not in basic auth format"},
	TooManyFailures:      {"too_many_failures", 429, "Too many failed logins"},
	Busy:                 {"busy", 429, "Too many logins in progress"},
	BadCredentials:       {"bad_credentials", 401, "User not authorised"},
	Inactive:             {"inactive", 403, "Key is inactive, please renew"},
	Expired:              {"expired", 401, "Key has expired, please renew"},
	APINotGranted:        {"api_not_granted", 403, "Access to this API has been disallowed"},
	URLNotGranted:        {"url_not_granted", 403, "Access to this resource has been disallowed"},
	RateExceeded:         {"rate", 429, "Rate Limit Exceeded"},
	QuotaExceeded:        {"quota", 403, "Quota exceeded"},
	APIRateExceeded:      {"api_rate", 429, "API Rate Limit Exceeded"},
	Unavailable:          {"unavailable", 503, "Not ready"},
}

// Reasons returns all reasons, including [Pass], in their order.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// String returns the reason's name in logs, metrics and answers.
func (r Reason) String() string { return reasons[r].name }

// Status returns the HTTP status that the client should see.
func (r Reason) Status() int { return reasons[r].status }

// Message returns the text of the error body.
func (r Reason) Message() string { return reasons[r].message }
