package auth

// Reason says why a request was refused; Pass says that it was not. The order is
// the order of the checks: the first that applies is the answer.
type Reason uint8

const (
	Pass Reason = iota
	ProxyConfig
	AmbiguousRequest
	AmbiguousPath
	UnknownAPI
	UnknownVersion
	NoCredentials
	MalformedCredentials
	TooManyFailures
	Busy
	BadCredentials
	Inactive
	Expired
	APINotGranted
	URLNotGranted
	RateExceeded
	QuotaExceeded
	APIRateExceeded
	Unavailable

	reasonCount
)

// ReasonCount is how many reasons there are.
const ReasonCount = int(reasonCount)

// reasons holds name, status and message of every reason. Messages are Tyk's where
// Tyk has the case. The status of QuotaExceeded is configurable (limits.quota_exceeded_status).
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

// Reasons returns all reasons in their order.
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
