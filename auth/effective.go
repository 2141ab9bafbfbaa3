package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sidekey/limiter"
)

// Effective is a session with its policies applied: what the decision is made from.
type Effective struct {
	Inactive bool
	Why      string // which policy makes it inactive; "" where the session itself does
	HMAC     bool

	limits limitSpec // of every right that has none of its own; scope ""
	rights map[string]effectiveRight
	every  bool // no rights anywhere: every API of the org

	Tags     []string
	MetaData map[string]jsontext.Value
}

type effectiveRight struct {
	Right
	limit *limitSpec // nil: Effective.limits
	scope string     // of limit
}

// Apply applies policies, in their order, to a session. A nil entry stands for one
// that does not exist. mergeTags unites the tags instead of letting a policy's
// override the session's.
//
//   - A whole policy's limits and rights replace the session's; of several for the
//     same API the higher rate, the larger quota and the longer renewal count.
//   - Several policies for different APIs limit each API by itself (scope: the
//     policies that grant it). Where all rights come from the same policies, they
//     share one bucket and one quota.
//   - Of a partitioned policy only the parts switched on are taken.
//   - per_api: each right's own limit, else the policy's; scope: the API.
func Apply(s *Session, policies []*Policy, mergeTags bool) Effective {
	e := Effective{
		Inactive: s.IsInactive,
		HMAC:     s.HMACEnabled,
		limits:   s.limits(),
		MetaData: s.MetaData,
		Tags:     s.Tags,
	}
	e.block(s, policies)
	e.every = len(policies) == 0 && len(s.AccessRights) == 0
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

// applyLimits gathers the limits that hold where a right has none of its own: of the
// policies that take part in them, the best; without any, the session's.
func (e *Effective) applyLimits(policies []*Policy) {
	rate, quota := false, false
	for _, p := range policies {
		if p.takesRate() {
			if rate {
				e.limits.takeRate(p.limits())
			} else {
				e.limits.setRate(p.limits())
			}
			rate = true
		}
		if p.takesQuota() {
			if quota {
				e.limits.takeQuota(p.limits())
			} else {
				e.limits.setQuota(p.limits())
			}
			quota = true
		}
	}
}

func (e *Effective) applyRights(s *Session, policies []*Policy) {
	e.rights = make(map[string]effectiveRight)
	replaced := false
	for _, p := range policies {
		if !p.takesACL() {
			continue
		}
		replaced = true
		for id, right := range p.AccessRights {
			e.grant(p, id, right)
		}
	}
	if replaced {
		e.shareScope()
		return
	}
	for id, right := range s.AccessRights {
		r := effectiveRight{Right: right}
		if right.Limit != nil {
			limit := right.Limit.limits()
			r.limit, r.scope = &limit, "api:"+id
		}
		e.rights[id] = r
	}
}

// grant adds a policy's right to an API to those of the policies before it.
func (e *Effective) grant(p *Policy, id string, right Right) {
	before, granted := e.rights[id]
	after := effectiveRight{Right: right, limit: before.limit, scope: before.scope}
	if granted {
		if len(before.Versions) == 0 || len(right.Versions) == 0 {
			after.Versions = nil
		} else {
			after.Versions = unite(before.Versions, right.Versions)
		}
		after.AllowedURLs = uniteURLs(before.AllowedURLs, right.AllowedURLs)
		after.Endpoints = uniteEndpoints(before.Endpoints, right.Endpoints)
	}
	var own limitSpec
	switch {
	case p.Partitions.PerAPI && right.Limit != nil:
		own = right.Limit.limits()
	case p.Partitions.PerAPI, p.whole():
		own = p.limits()
	default:
		e.rights[id] = after // the limits are other policies' or the session's business
		return
	}
	if after.limit != nil {
		merged := *after.limit
		merged.takeRate(own)
		merged.takeQuota(own)
		own = merged
	}
	after.limit = &own
	switch {
	case p.Partitions.PerAPI:
		after.scope = "api:" + id
	case strings.HasPrefix(after.scope, "policy:"):
		after.scope += "," + p.ID
	case after.scope == "":
		after.scope = "policy:" + p.ID
	}
	e.rights[id] = after
}

// shareScope lets all rights share one bucket where the same policies grant them all.
func (e *Effective) shareScope() {
	scopes := make(map[string]bool)
	for _, r := range e.rights {
		scopes[r.scope] = true
	}
	if len(scopes) != 1 {
		return
	}
	for id, r := range e.rights {
		if !strings.HasPrefix(r.scope, "policy:") {
			return
		}
		e.limits = *r.limit
		r.limit, r.scope = nil, ""
		e.rights[id] = r
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

// Grants reports whether an API may be used at all.
func (e *Effective) Grants(api string) bool {
	_, granted := e.rights[api]
	return granted || e.every
}

// Show puts what is in force into a session that is to be shown: limits, rights with
// their own limits and scopes, tags and metadata. quotas are the live states by scope.
func (e *Effective) Show(s *Session, quotas map[string]limiter.QuotaState) {
	s.IsInactive = e.Inactive
	s.HMACEnabled = e.HMAC
	s.Tags, s.MetaData = e.Tags, e.MetaData
	l := e.limits
	s.Rate, s.Per, s.ThrottleInterval, s.ThrottleRetryLimit, s.Smoothing = l.rate, l.per, l.throttleInterval, l.throttleRetries, l.smoothing
	s.QuotaMax, s.QuotaRenewalRate = l.quotaMax, l.renewal
	s.QuotaRemaining, s.QuotaRenews = live(quotas[""])
	if len(e.rights) == 0 {
		return
	}
	s.AccessRights = make(map[string]Right, len(e.rights))
	for id, r := range e.rights {
		right := r.Right
		right.AllowanceScope = ""
		if r.limit == nil {
			right.Limit = nil
		} else {
			right.Limit = r.limit.show()
			right.Limit.QuotaRemaining, right.Limit.QuotaRenews = live(quotas[r.scope])
			_, right.AllowanceScope, _ = strings.Cut(r.scope, ":")
		}
		s.AccessRights[id] = right
	}
}

// live returns what is left of a quota, and the Unix second at which its period ends: 0
// where none has begun or it never ends.
func live(q limiter.QuotaState) (remaining, renews int64) {
	renews = q.Renews / int64(time.Second)
	if q.Renews%int64(time.Second) > 0 {
		renews++
	}
	return q.Remaining, renews
}

func (l *limitSpec) show() *Limit {
	return &Limit{
		Rate: l.rate, Per: l.per,
		ThrottleInterval: l.throttleInterval, ThrottleRetryLimit: l.throttleRetries,
		QuotaMax: l.quotaMax, QuotaRenewalRate: l.renewal, Smoothing: l.smoothing,
	}
}
