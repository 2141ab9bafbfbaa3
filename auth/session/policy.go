package session

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sidekey/internal/problem"
	"sidekey/limiter"
)

// Policy is a bundle of limits and rights that many sessions share: Tyk's policy object. It is applied
// to a session when the account is compiled (see [Apply]).
type Policy struct {
	ID      string `json:"id"`
	MongoID string `json:"_id"` // the Dashboard's name for ID; shows the same
	Name    string `json:"name"`
	OrgID   string `json:"org_id"`

	Rate               float64     `json:"rate"`
	Per                float64     `json:"per"`
	ThrottleInterval   float64     `json:"throttle_interval"`
	ThrottleRetryLimit int64       `json:"throttle_retry_limit"`
	Smoothing          *Smoothing  `json:"smoothing"`
	QuotaMax           int64       `json:"quota_max"`
	QuotaRenewalRate   int64       `json:"quota_renewal_rate"`
	MaxQueryDepth      Kept[int64] `json:"max_query_depth"`

	AccessRights map[string]Right `json:"access_rights"`
	HMACEnabled  bool             `json:"hmac_enabled"`
	Active       *bool            `json:"active"` // null or absent: active
	IsInactive   bool             `json:"is_inactive"`

	Tags         []string                  `json:"tags"`
	MetaData     map[string]jsontext.Value `json:"meta_data"`
	KeyExpiresIn int64                     `json:"key_expires_in"` // seconds; sets expires of new sessions
	Partitions   Partitions                `json:"partitions"`

	// Shadow counts and reports the policy's limits without enforcing them. Tyk has no such member, so
	// answers show it only if it is set.
	Shadow bool `json:"shadow,omitzero"`

	PostExpiryAction      string `json:"post_expiry_action"`
	PostExpiryGracePeriod int64  `json:"post_expiry_grace_period"`

	DateCreated string `json:"date_created"`
	LastUpdated string `json:"last_updated"`

	EnableHTTPSignatureValidation Kept[bool]                      `json:"enable_http_signature_validation"`
	GraphQLAccessRights           Kept[map[string]jsontext.Value] `json:"graphql_access_rights"`

	Undeclared
}

// Partitions select the parts of a policy that apply. Without any, the whole policy applies. With
// {Quota: true} only its quota does.
type Partitions struct {
	Quota      bool `json:"quota"`
	RateLimit  bool `json:"rate_limit"`
	ACL        bool `json:"acl"`
	Complexity bool `json:"complexity"`
	PerAPI     bool `json:"per_api"`

	Undeclared
}

// Any reports whether the policy is partitioned.
func (p Partitions) Any() bool { return p.Quota || p.RateLimit || p.ACL || p.Complexity }

// Excludes reports whether policies with these partitions cannot be applied to one session.
func (p Partitions) Excludes(o Partitions) bool { return p.PerAPI && o.Any() || o.PerAPI && p.Any() }

func (p *Policy) takesRate() bool {
	return p.Partitions.RateLimit || p.Partitions.PerAPI || p.whole()
}
func (p *Policy) takesQuota() bool { return p.Partitions.Quota || p.Partitions.PerAPI || p.whole() }
func (p *Policy) takesACL() bool   { return p.Partitions.ACL || p.Partitions.PerAPI || p.whole() }

// whole reports whether the whole policy applies: without partitions, or with all of them.
func (p *Policy) whole() bool {
	part := p.Partitions
	return !part.PerAPI && (!part.Any() || part.Quota && part.RateLimit && part.ACL)
}

// blocks reports whether sessions with the policy are refused.
func (p *Policy) blocks() bool { return p.IsInactive || p.Active != nil && !*p.Active }

// DecodePolicy reads a policy object as [DecodeSession] reads a session.
func DecodePolicy(body []byte) (p Policy, unknown []string, err error) {
	if err := Decode(body, &p); err != nil {
		return Policy{}, nil, err
	}
	return p, TakeUnknown(&p), nil
}

// Validate refuses a policy that could not be enforced as it reads. The error is a [problem.List].
func (p *Policy) Validate(rules Rules) error {
	var ps problem.List
	ps.CheckName("id", p.ID)
	if strings.ContainsAny(p.ID, ",/?#") {
		ps.Add("id", p.ID, "must not contain , / ? #")
	}
	ps.CheckName("org_id", p.OrgID)
	ps.CheckText("name", p.Name, problem.MaxText)
	ps.CheckLimit("", p.Rate, p.Per, p.ThrottleInterval)
	ps = append(ps, p.Smoothing.check("smoothing")...)
	checkTags(&ps, p.Tags)
	checkMeta(&ps, p.MetaData, rules.MetaHeaders)
	if p.Partitions.PerAPI && p.Partitions.Any() {
		ps.AddNumber("partitions.per_api", true, "must not be set together with other partitions")
	}
	if p.KeyExpiresIn < 0 {
		ps.AddNumber("key_expires_in", p.KeyExpiresIn, "must be at least 0 seconds")
	}
	checkExpiryAction(&ps, p.PostExpiryAction, p.PostExpiryGracePeriod)
	var before map[string]Right
	if rules.Policies != nil {
		if old := rules.Policies.Get(p.ID); old != nil {
			before = old.AccessRights
		}
	}
	checkRights(&ps, p.AccessRights, p.OrgID, rules, before)
	ps.Sort()
	return ps.Err()
}

// LimitSpec is a rate and a quota as a session, a right or a policy sets them.
//
// LimitSpec{Rate: 5, Per: 1, QuotaMax: 1000, Renewal: 86400} allows 5 requests per second and 1000 per
// day.
type LimitSpec struct {
	Rate, Per         float64 // requests per Per seconds; unless both are above 0, there is no limit
	throttleInterval  float64
	throttleRetries   int64
	Smoothing         *Smoothing
	QuotaMax, Renewal int64 // requests per Renewal seconds; QuotaMax <= 0: no limit; Renewal <= 0: never renewed
	Shadow            bool  // counted and reported, not enforced
}

func (p *Policy) limits() LimitSpec {
	return LimitSpec{p.Rate, p.Per, p.ThrottleInterval, p.ThrottleRetryLimit, p.Smoothing, p.QuotaMax, p.QuotaRenewalRate, p.Shadow}
}

func (p *Policy) setLimits(l LimitSpec) {
	p.Rate, p.Per, p.ThrottleInterval, p.ThrottleRetryLimit, p.Smoothing = l.Rate, l.Per, l.throttleInterval, l.throttleRetries, l.Smoothing
	p.QuotaMax, p.QuotaRenewalRate = l.QuotaMax, l.Renewal
}

// Limits returns the session's own limits, without policies.
func (s *Session) Limits() LimitSpec {
	return LimitSpec{s.Rate, s.Per, s.ThrottleInterval, s.ThrottleRetryLimit, s.Smoothing, s.QuotaMax, s.QuotaRenewalRate, s.shadow()}
}

// empty reports whether a right has no limit of its own. Tyk writes an object full of zeros for that,
// which must not lift the limits of the session.
func (l *Limit) empty() bool {
	return l == nil || l.Rate == 0 && l.Per == 0 && l.QuotaMax == 0 && l.QuotaRenewalRate == 0 &&
		l.ThrottleInterval == 0 && l.ThrottleRetryLimit == 0 && (l.Smoothing == nil || !l.Smoothing.Enabled)
}

func (l *Limit) limits() LimitSpec {
	return LimitSpec{l.Rate, l.Per, l.ThrottleInterval, l.ThrottleRetryLimit, l.Smoothing, l.QuotaMax, l.QuotaRenewalRate, false}
}

// takeRate puts the higher of two rates into l: the one with less time per request, and of equal ones
// the one that counts over the longer time. No limit is the highest.
func (l *LimitSpec) takeRate(o LimitSpec) {
	if !l.LimitsRate() {
		return
	}
	if o.LimitsRate() {
		ours, theirs := l.Rate/l.Per, o.Rate/o.Per
		if theirs < ours || theirs == ours && o.Per <= l.Per {
			return
		}
	}
	l.Rate, l.Per = o.Rate, o.Per
	l.throttleInterval, l.throttleRetries, l.Smoothing = o.throttleInterval, o.throttleRetries, o.Smoothing
}

func (l *LimitSpec) setRate(o LimitSpec) {
	max, renewal := l.QuotaMax, l.Renewal
	*l = o
	l.QuotaMax, l.Renewal = max, renewal
}

// takeQuota puts the larger maximum and the longer renewal into l.
func (l *LimitSpec) takeQuota(o LimitSpec) {
	if o.QuotaMax <= 0 || l.QuotaMax > 0 && o.QuotaMax > l.QuotaMax {
		l.QuotaMax = o.QuotaMax
	}
	if o.Renewal <= 0 || l.Renewal > 0 && o.Renewal > l.Renewal {
		l.Renewal = o.Renewal
	}
}

func (l *LimitSpec) setQuota(o LimitSpec) { l.QuotaMax, l.Renewal = o.QuotaMax, o.Renewal }

// Throttle returns how requests over the rate are held, or nil if they are not.
func (l LimitSpec) Throttle() *Throttle {
	if l.throttleInterval <= 0 || l.throttleRetries <= 0 {
		return nil
	}
	return &Throttle{Interval: time.Duration(limiter.Nanoseconds(l.throttleInterval)), Retries: l.throttleRetries}
}

// LimitsRate reports whether there is a limit of the rate.
func (l LimitSpec) LimitsRate() bool { return l.Rate > 0 && l.Per > 0 }

// unite returns a, followed by the elements of b that it lacks.
func unite(a, b []string) []string {
	united := slices.Clone(a)
	known := make(map[string]bool, len(a))
	for _, s := range a {
		known[s] = true
	}
	for _, s := range b {
		if !known[s] {
			known[s] = true
			united = append(united, s)
		}
	}
	return united
}

// Throttle says how a request over its rate is held: it is tried again every Interval, at most Retries
// times. With {Interval: time.Second, Retries: 3} it is refused after 3 s.
type Throttle struct {
	Interval time.Duration
	Retries  int64
}
