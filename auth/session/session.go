// Package session holds Tyk's session and policy objects: decoded strictly, validated, combined.
//
// [DecodeSession] and [DecodePolicy] read them, Validate refuses objects that could not be enforced as
// they read, and [Apply] combines a session with its policies into an [Effective].
//
// # Choices
//
// We read JSON with github.com/go-json-experiment/json (the v2 semantics of encoding/json). Because it
// refuses duplicate members and broken UTF-8 and matches names exactly. Instead of encoding/json, which
// lets two users become one. Costs a dependency whose API may still change; it is pinned.
//
// We keep members that do not act here as they were sent ([Kept]). Because a user must be able to see
// them, and other gateways read them. Instead of dropping them, or decoding and encoding them again,
// which changes numbers. Costs their memory and a type for each, so that wrong ones are refused.
//
// We apply policies when a decision needs them. Because an edit of a policy is then one write and acts
// on the next request of each of its users. Instead of writing it into all sessions, as Tyk can. Costs a
// compilation for each active user of the policy.
//
// We bound the size of a right ([MaxRightSteps]). Because a check must compare a path with all its
// patterns, and a client chooses the path. Instead of a limit on each pattern alone. Costs operators
// with thousands of patterns a refused write.
package session

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sidekey/internal/problem"
	"sidekey/limiter"
)

// Session is one user as Tyk's APIs show it: the "session object" of the Dashboard and the Gateway.
// Field names and their order on output are those of Tyk. docs/users.md lists the fields that act and
// those that are only kept.
//
// The zero Session grants all APIs of the org, without limits, to a user without a password.
// {"rate": 5, "per": 1, "quota_max": 1000, "quota_renewal_rate": 86400} allows 5 requests per second
// and 1000 per day.
type Session struct {
	LastCheck Kept[int64]   `json:"last_check"` // deprecated by Tyk
	Allowance Kept[float64] `json:"allowance"`  // deprecated by Tyk

	Rate               float64    `json:"rate"` // requests per Per seconds; <= 0: no limit
	Per                float64    `json:"per"`  // seconds; <= 0: no limit
	ThrottleInterval   float64    `json:"throttle_interval"`
	ThrottleRetryLimit int64      `json:"throttle_retry_limit"`
	Smoothing          *Smoothing `json:"smoothing"`

	QuotaMax         int64 `json:"quota_max"`          // requests per period; <= 0: no limit
	QuotaRenewalRate int64 `json:"quota_renewal_rate"` // seconds; <= 0: the period never ends
	QuotaRenews      int64 `json:"quota_renews"`       // state, Unix seconds: never read from a body
	QuotaRemaining   int64 `json:"quota_remaining"`    // state: never read from a body

	Expires    int64 `json:"expires"` // Unix seconds; <= 0: never
	IsInactive bool  `json:"is_inactive"`

	AccessRights map[string]Right `json:"access_rights"` // by API id; empty: all APIs of the org
	OrgID        string           `json:"org_id"`
	BasicAuth    BasicAuth        `json:"basic_auth_data"`

	HMACEnabled bool   `json:"hmac_enabled"`
	HMACString  string `json:"hmac_string"`

	ApplyPolicies []string `json:"apply_policies"`
	ApplyPolicyID string   `json:"apply_policy_id"` // shows the first of ApplyPolicies

	Tags     []string                  `json:"tags"`
	Alias    string                    `json:"alias"`
	MetaData map[string]jsontext.Value `json:"meta_data"`
	Monitor  Monitor                   `json:"monitor"`

	EnableDetailedRecording bool `json:"enable_detailed_recording"`

	SessionLifetime       int64  `json:"session_lifetime"`
	PostExpiryAction      string `json:"post_expiry_action"`
	PostExpiryGracePeriod int64  `json:"post_expiry_grace_period"`

	DateCreated string `json:"date_created"` // RFC 3339; set by sidekey
	LastUpdated string `json:"last_updated"` // Unix seconds in decimal; set by sidekey

	// For gateways of other kinds.
	JWTData                       Kept[jwtData]           `json:"jwt_data"`
	OAuthClientID                 Kept[string]            `json:"oauth_client_id"`
	OAuthKeys                     Kept[map[string]string] `json:"oauth_keys"`
	Certificate                   Kept[string]            `json:"certificate"`
	MTLSStaticCertificateBindings Kept[[]string]          `json:"mtls_static_certificate_bindings"`
	EnableHTTPSignatureValidation Kept[bool]              `json:"enable_http_signature_validation"`
	RSACertificateID              Kept[string]            `json:"rsa_certificate_id"`
	MaxQueryDepth                 Kept[int64]             `json:"max_query_depth"`
	IDExtractorDeadline           Kept[int64]             `json:"id_extractor_deadline"`
	DataExpires                   Kept[int64]             `json:"data_expires"`
	EnableDetailRecording         Kept[bool]              `json:"enable_detail_recording"` // Tyk's older spelling

	Undeclared
}

// BasicAuth is a session's password. In a request Password is the new password; in a stored record it
// is the hash; in an answer it is empty.
type BasicAuth struct {
	Password string `json:"password"`
	HashType string `json:"hash_type"` // such as "bcrypt"; set by sidekey
	User     string `json:"user"`      // accepted, and shown as the user's name

	Undeclared
}

// Right grants one API. In {"orders": {"versions": ["v1"], "allowed_urls": [{"url": "/orders/{id}",
// "methods": ["GET"]}]}} it grants GETs of single orders by version v1 of the API orders.
type Right struct {
	APIName        string       `json:"api_name"`
	APIID          string       `json:"api_id"` // not used: the key in access_rights counts, as in Tyk
	Versions       []string     `json:"versions"`
	AllowedURLs    []AllowedURL `json:"allowed_urls"`
	Limit          *Limit       `json:"limit"`
	Endpoints      []Endpoint   `json:"endpoints,omitempty"`
	AllowanceScope string       `json:"allowance_scope"`

	// For GraphQL gateways, as are members whose names begin with json_rpc_methods or
	// mcp_ (see keptInRight).
	RestrictedTypes      Kept[[]graphQLType] `json:"restricted_types,omitzero"`
	AllowedTypes         Kept[[]graphQLType] `json:"allowed_types,omitzero"`
	FieldAccessRights    Kept[[]fieldAccess] `json:"field_access_rights,omitzero"`
	DisableIntrospection Kept[bool]          `json:"disable_introspection,omitzero"`

	Undeclared
}

// AllowedURL narrows a right to paths that match URL, with one of Methods.
type AllowedURL struct {
	URL     string   `json:"url"`
	Methods []string `json:"methods"`

	Undeclared
}

// Limit replaces all limits of the session for one API.
type Limit struct {
	Rate               float64    `json:"rate"`
	Per                float64    `json:"per"`
	ThrottleInterval   float64    `json:"throttle_interval"`
	ThrottleRetryLimit int64      `json:"throttle_retry_limit"`
	MaxQueryDepth      int64      `json:"max_query_depth"`
	QuotaMax           int64      `json:"quota_max"`
	QuotaRenews        int64      `json:"quota_renews"`
	QuotaRemaining     int64      `json:"quota_remaining"`
	QuotaRenewalRate   int64      `json:"quota_renewal_rate"`
	Smoothing          *Smoothing `json:"smoothing"`
	SetByPolicy        bool       `json:"set_by_policy,omitzero"`

	Undeclared
}

// Endpoint limits the requests to the paths of one pattern. Without Methods it limits none,
// and is shown without them, as Tyk does.
type Endpoint struct {
	Path    string           `json:"path"`
	Methods []EndpointMethod `json:"methods,omitzero"`

	Undeclared
}

// EndpointMethod is the limit of one method of an [Endpoint].
type EndpointMethod struct {
	Name  string        `json:"name"`
	Limit EndpointLimit `json:"limit"`

	Undeclared
}

// EndpointLimit allows Rate requests per Per seconds; unless both are above 0, there is no limit.
type EndpointLimit struct {
	Rate float64 `json:"rate"`
	Per  float64 `json:"per"`

	Undeclared
}

// Monitor lists the percentages of the quota at which an event fires.
type Monitor struct {
	TriggerLimits []float64 `json:"trigger_limits"`

	Undeclared
}

// Smoothing lets the allowed rate follow the traffic between Threshold and the rate (Tyk's rate limit
// smoothing). With {Threshold: 400, Trigger: 0.5, Step: 100, Delay: 30} and a rate of 1000 it starts at
// 400 and moves by 100, at most every 30 seconds.
type Smoothing struct {
	Enabled   bool    `json:"enabled"`
	Threshold int64   `json:"threshold"`
	Trigger   float64 `json:"trigger"`
	Step      int64   `json:"step"`
	Delay     int64   `json:"delay"` // seconds between two steps

	Undeclared
}

// Undeclared collects the members of a JSON object that the type embedding it does not declare, so that
// they can be reported: see [TakeUnknown].
type Undeclared struct {
	Members map[string]Kept[jsontext.Value] `json:",embed"`
}

// shadow reports whether the session's limits are counted and reported, but not enforced:
// meta_data.shadow is true. Tyk's object has no other place for it.
func (s *Session) shadow() bool { return MetaText(s.MetaData["shadow"]) == "true" }

// Compile returns the smoothing in the form of a window, or nil if it is disabled or invalid.
func (s *Smoothing) Compile() *limiter.Smoothing {
	if s == nil || !s.Enabled || s.check("") != nil {
		return nil
	}
	return &limiter.Smoothing{
		Threshold: s.Threshold,
		Step:      s.Step,
		Trigger:   s.Trigger,
		Delay:     time.Duration(limiter.Nanoseconds(float64(s.Delay))),
	}
}

// check returns the problems of an enabled smoothing. path is the smoothing's.
func (s *Smoothing) check(path string) (ps problem.List) {
	if s == nil || !s.Enabled {
		return nil
	}
	if s.Threshold < 1 {
		ps.AddNumber(problem.Join(path, "threshold"), s.Threshold, "must be at least 1 request: the rate that it starts at")
	}
	if s.Step < 1 || s.Step > maxStep {
		ps.AddNumber(problem.Join(path, "step"), s.Step, "must be between 1 and 1000000000 requests: what the rate goes up and down by")
	}
	if !(s.Trigger >= 0 && s.Trigger <= maxStep) {
		ps.AddNumber(problem.Join(path, "trigger"), s.Trigger, "must be at least 0 steps: how far below the rate the count moves it")
	}
	if s.Delay < 0 {
		ps.AddNumber(problem.Join(path, "delay"), s.Delay, "must be at least 0 seconds")
	}
	return ps
}

const maxStep = 1_000_000_000

// Record is a user as the store keeps it: Session.BasicAuth.Password is the hash.
type Record struct {
	Org        string  `json:"org"`
	User       string  `json:"user"`
	Generation uint64  `json:"-"` // raised by each write that resets the quota
	Session    Session `json:"session"`

	// Damaged marks the record that a store hands to an edit if the stored one does not match its
	// checksum. The user can be written again or deleted, but nothing is known of the old record.
	Damaged bool `json:"-"`
}

// Name is a user's name with its org.
type Name struct {
	Org, User string
}

// Name returns the name of the record's user.
func (r Record) Name() Name { return Name{r.Org, r.User} }

// Normalise brings a session from a request into the form that is stored: it clears state and the
// fields that sidekey sets, and makes the two ways of naming policies agree.
func (s *Session) Normalise() {
	s.QuotaRenews, s.QuotaRemaining = 0, 0
	s.DateCreated, s.LastUpdated = "", ""
	s.BasicAuth.HashType, s.BasicAuth.User = "", ""
	if len(s.ApplyPolicies) == 0 && s.ApplyPolicyID != "" {
		s.ApplyPolicies = []string{s.ApplyPolicyID}
	}
	s.ApplyPolicyID = ""
	if len(s.ApplyPolicies) > 0 {
		s.ApplyPolicyID = s.ApplyPolicies[0]
	}
}
