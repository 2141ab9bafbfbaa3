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

	rateTaken, quotaTaken bool // limits are of policies that grant nothing, not the session's

	Tags     []string
	MetaData map[string]jsontext.Value
}

type effectiveRight struct {
	Right
	limit  *limitSpec // nil: Effective.limits
	scope  string     // of limit
	shadow bool       // the limits of its endpoints refuse nobody
	excess bool       // it is not complete: there is too much of it for a check
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

// applyLimits puts the limits of policies that grant nothing themselves in the place of
// the session's: they hold for every API.
func (e *Effective) applyLimits(policies []*Policy) {
	for _, p := range policies {
		if !p.takesACL() {
			e.limits.take(p, &e.rateTaken, &e.quotaTaken)
		}
	}
}

// take puts the parts of a policy that it takes part with into l: instead of what is
// there for the first, the better of both for each that follows.
func (l *limitSpec) take(p *Policy, rate, quota *bool) {
	shadow := l.shadow || p.Shadow && (p.takesRate() || p.takesQuota())
	defer func() { l.shadow = shadow }()
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
	e.rights = make(map[string]effectiveRight)
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
		e.rights[id] = effectiveRight{Right: united, shadow: shadow[id], excess: excess}
	}
	if !replaced {
		for id, right := range s.AccessRights {
			r := effectiveRight{Right: right}
			if !right.Limit.empty() {
				limit := right.Limit.limits()
				limit.shadow = s.shadow()
				r.limit, r.scope = &limit, "api:"+id
			}
			e.rights[id] = r
		}
		return
	}
	for id, right := range e.rights {
		right.limit, right.scope = e.limitOf(id, policies)
		e.rights[id] = right
	}
	e.shareScope()
}

// limitOf returns the limit of an API and its scope: what the policies that grant it say
// of rate and quota, together with those that grant nothing. nil: none of those that
// grant it says anything, so the limits of the session hold.
func (e *Effective) limitOf(id string, policies []*Policy) (limit *limitSpec, scope string) {
	own, rate, quota := e.limits, e.rateTaken, e.quotaTaken
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

// shareScope lets all rights share one bucket where the same policies grant them all,
// and otherwise gives the session itself, which then nothing is charged to, the best.
func (e *Effective) shareScope() {
	scopes := make(map[string]*limitSpec)
	for _, r := range e.rights {
		if r.limit == nil {
			return
		}
		scopes[r.scope] = r.limit
	}
	first := true
	for _, limit := range scopes {
		if first {
			e.limits, first = *limit, false
			continue
		}
		e.limits.takeRate(*limit)
		e.limits.takeQuota(*limit)
	}
	for id, r := range e.rights {
		if len(scopes) != 1 || !strings.HasPrefix(r.scope, "policy:") {
			return
		}
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
// is_inactive stays the session's own: a client that writes back what it has read must
// not make a policy's state the user's (see Why).
func (e *Effective) Show(s *Session, quotas map[string]limiter.QuotaState) {
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
