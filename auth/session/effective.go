package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sidekey/limiter"
)

// Effective is a session with its policies applied: the basis of decisions.
//
// A session with rate 5 per second and the policy gold, which grants the API orders with rate 100 and a
// quota of 1000, becomes
//
//	Effective{Limits: {Rate: 100, Per: 1, QuotaMax: 1000, …}, Rights: {"orders": …}}
//
// If a second policy granted reports, each right would get a limit of its own, in the scopes
// "policy:gold" and "policy:…".
type Effective struct {
	Inactive bool
	Why      string // the policy that makes it inactive, as a text; "" if the session itself does
	HMAC     bool   // the user must sign requests

	Limits LimitSpec // of all rights without a limit of their own; scope ""
	Rights map[string]effectiveRight
	Every  bool // neither session nor policies have rights: all APIs of the org

	rateTaken, quotaTaken bool // Limits come from policies that grant nothing, not from the session

	Tags     []string
	MetaData map[string]jsontext.Value
}

type effectiveRight struct {
	Right
	Limit  *LimitSpec // nil: Effective.Limits
	Scope  string     // of Limit: "api:ID", or "policy:" and the ids of the policies that share it
	Shadow bool       // the limits of its endpoints are counted and refuse nothing
	Excess bool       // it is not complete: the policies' patterns are too many for a check
}

// Apply applies policies, in their order, to a session. policies are those of s.ApplyPolicies, with nil
// for a policy that does not exist. mergeTags unites the tags; otherwise the policies' tags replace the
// session's.
//
//   - A whole policy's limits and rights replace the session's; of several for the
//     same API the higher rate, the larger quota and the longer renewal count.
//   - Several policies for different APIs limit each API by itself (scope: the
//     policies that grant it). If all rights come from the same policies, they
//     share one bucket and one quota.
//   - Only the parts of a partitioned policy that are switched on apply.
//   - per_api: each right's own limit, else the policy's; scope: the API.
func Apply(s *Session, policies []*Policy, mergeTags bool) Effective {
	e := Effective{
		Inactive: s.IsInactive,
		HMAC:     s.HMACEnabled,
		Limits:   s.Limits(),
		MetaData: s.MetaData,
		Tags:     s.Tags,
	}
	e.block(s, policies)
	e.Every = len(policies) == 0 && len(s.AccessRights) == 0
	policies = slices.DeleteFunc(slices.Clone(policies), func(p *Policy) bool { return p == nil })
	e.applyLimits(policies)
	e.applyRights(s, policies)
	e.applyLabels(policies, mergeTags)
	for _, p := range policies {
		e.HMAC = e.HMAC || p.HMACEnabled
	}
	return e
}

func (e *Effective) block(s *Session, policies []*Policy) {
	for i, p := range policies {
		switch {
		case p == nil:
			e.Why = fmt.Sprintf("policy %q does not exist", s.ApplyPolicies[i])
		case p.OrgID != s.OrgID:
			e.Why = fmt.Sprintf("policy %q belongs to org_id %q", p.ID, p.OrgID)
		case p.blocks():
			e.Why = fmt.Sprintf("policy %q is inactive", p.ID)
		default:
			continue
		}
		e.Inactive = true
		return
	}
}

// applyLimits replaces the session's limits with those of policies that grant nothing themselves: they
// apply to all APIs.
func (e *Effective) applyLimits(policies []*Policy) {
	for _, p := range policies {
		if !p.takesACL() {
			e.Limits.take(p, &e.rateTaken, &e.quotaTaken)
		}
	}
}

// take puts the limits that a policy sets into l. The first policy replaces what is there; after that
// the better of both counts. rate and quota say whether a policy has set them yet.
func (l *LimitSpec) take(p *Policy, rate, quota *bool) {
	shadow := l.Shadow || p.Shadow && (p.takesRate() || p.takesQuota())
	defer func() { l.Shadow = shadow }()
	if p.takesRate() {
		if *rate {
			l.takeRate(p.limits())
		} else {
			l.setRate(p.limits())
		}
		*rate = true
	}
	if p.takesQuota() {
		if *quota {
			l.takeQuota(p.limits())
		} else {
			l.setQuota(p.limits())
		}
		*quota = true
	}
}

func (e *Effective) applyRights(s *Session, policies []*Policy) {
	e.Rights = make(map[string]effectiveRight)
	replaced := false
	granted := make(map[string][]Right) // in the order of the policies
	shadow := make(map[string]bool)
	for _, p := range policies {
		if !p.takesACL() {
			continue
		}
		replaced = true
		for id, right := range p.AccessRights {
			granted[id] = append(granted[id], right)
			shadow[id] = shadow[id] || p.Shadow
		}
	}
	for id, rights := range granted {
		united, excess := uniteRights(rights)
		e.Rights[id] = effectiveRight{Right: united, Shadow: shadow[id], Excess: excess}
	}
	if !replaced {
		for id, right := range s.AccessRights {
			r := effectiveRight{Right: right}
			if !right.Limit.empty() {
				limit := right.Limit.limits()
				limit.Shadow = s.shadow()
				r.Limit, r.Scope = &limit, "api:"+id
			}
			e.Rights[id] = r
		}
		return
	}
	for id, right := range e.Rights {
		right.Limit, right.Scope = e.limitOf(id, policies)
		e.Rights[id] = right
	}
	e.shareScope()
}

// limitOf returns the limit of an API and its scope: the rates and quotas of the policies that grant it,
// together with those that grant nothing. nil: none of the policies that grant it sets a limit, so the
// limits of the session apply.
func (e *Effective) limitOf(id string, policies []*Policy) (limit *LimitSpec, scope string) {
	own, rate, quota := e.Limits, e.rateTaken, e.quotaTaken
	var ids []string
	perAPI := false
	for _, p := range policies {
		right, grants := p.AccessRights[id]
		grants = grants && p.takesACL()
		switch {
		case grants && !right.Limit.empty() && (p.Partitions.PerAPI || p.whole()):
			q := *p // as if the policy had the right's limit
			q.setLimits(right.Limit.limits())
			own.take(&q, &rate, &quota)
			perAPI = true
		case grants && (p.takesRate() || p.takesQuota()):
			own.take(p, &rate, &quota)
			ids = append(ids, p.ID)
			perAPI = perAPI || p.Partitions.PerAPI
		}
	}
	switch {
	case perAPI:
		return &own, "api:" + id
	case len(ids) > 0:
		return &own, "policy:" + strings.Join(ids, ",")
	}
	return nil, ""
}

// shareScope lets all rights share one bucket if the same policies grant them all. Otherwise it sets the
// session's own limits, which no request is charged to then, to the best of all.
func (e *Effective) shareScope() {
	scopes := make(map[string]*LimitSpec)
	for _, r := range e.Rights {
		if r.Limit == nil {
			return
		}
		scopes[r.Scope] = r.Limit
	}
	first := true
	for _, limit := range scopes {
		if first {
			e.Limits, first = *limit, false
			continue
		}
		e.Limits.takeRate(*limit)
		e.Limits.takeQuota(*limit)
	}
	for id, r := range e.Rights {
		if len(scopes) != 1 || !strings.HasPrefix(r.Scope, "policy:") {
			return
		}
		r.Limit, r.Scope = nil, ""
		e.Rights[id] = r
	}
}

func (e *Effective) applyLabels(policies []*Policy, mergeTags bool) {
	var tags []string
	for _, p := range policies {
		tags = unite(tags, p.Tags)
		if len(p.MetaData) > 0 {
			e.MetaData = maps.Clone(e.MetaData)
			if e.MetaData == nil {
				e.MetaData = make(map[string]jsontext.Value)
			}
			maps.Copy(e.MetaData, p.MetaData)
		}
	}
	switch {
	case len(tags) == 0:
	case mergeTags:
		e.Tags = unite(e.Tags, tags)
	default:
		e.Tags = tags
	}
}

// Grants reports whether the session may use an API at all.
func (e *Effective) Grants(api string) bool {
	_, granted := e.Rights[api]
	return granted || e.Every
}

// Show puts the effective values into a session for an answer: limits, rights with their own limits and
// scopes, tags and metadata. quotas are the live states by scope. is_inactive stays the session's own: a
// client that writes back an answer must not make a policy's state the user's (see Why).
func (e *Effective) Show(s *Session, quotas map[string]limiter.QuotaState) {
	s.HMACEnabled = e.HMAC
	s.Tags, s.MetaData = e.Tags, e.MetaData
	l := e.Limits
	s.Rate, s.Per, s.ThrottleInterval, s.ThrottleRetryLimit, s.Smoothing = l.Rate, l.Per, l.throttleInterval, l.throttleRetries, l.Smoothing
	s.QuotaMax, s.QuotaRenewalRate = l.QuotaMax, l.Renewal
	s.QuotaRemaining, s.QuotaRenews = live(quotas[""])
	if len(e.Rights) == 0 {
		return
	}
	s.AccessRights = make(map[string]Right, len(e.Rights))
	for id, r := range e.Rights {
		right := r.Right
		right.AllowanceScope = ""
		if r.Limit == nil {
			right.Limit = nil
		} else {
			right.Limit = r.Limit.show()
			right.Limit.QuotaRemaining, right.Limit.QuotaRenews = live(quotas[r.Scope])
			_, right.AllowanceScope, _ = strings.Cut(r.Scope, ":")
		}
		s.AccessRights[id] = right
	}
}

// live returns the requests left of a quota, and the Unix second at which its period ends: 0 if no
// period has begun or it never ends.
func live(q limiter.QuotaState) (remaining, renews int64) {
	renews = q.Renews / int64(time.Second)
	if q.Renews%int64(time.Second) > 0 {
		renews++
	}
	return q.Remaining, renews
}

func (l *LimitSpec) show() *Limit {
	return &Limit{
		Rate: l.Rate, Per: l.Per,
		ThrottleInterval: l.throttleInterval, ThrottleRetryLimit: l.throttleRetries,
		QuotaMax: l.QuotaMax, QuotaRenewalRate: l.Renewal, Smoothing: l.Smoothing,
	}
}
