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

// Effective is a session with its policies applied: what the decision is made from.
type Effective struct {
	Inactive bool
	Why      string // which policy makes it inactive; "" where the session itself does
	HMAC     bool

	Limits LimitSpec // of every right that has none of its own; scope ""
	Rights map[string]effectiveRight
	Every  bool // no rights anywhere: every API of the org

	rateTaken, quotaTaken bool // limits are of policies that grant nothing, not the session's

	Tags     []string
	MetaData map[string]jsontext.Value
}

type effectiveRight struct {
	Right
	Limit  *LimitSpec // nil: Effective.limits
	Scope  string     // of limit
	Shadow bool       // the limits of its endpoints refuse nobody
	Excess bool       // it is not complete: there is too much of it for a check
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

// applyLimits puts the limits of policies that grant nothing themselves in the place of
// the session's: they hold for every API.
func (e *Effective) applyLimits(policies []*Policy) {
	for _, p := range policies {
		if !p.takesACL() {
			e.Limits.take(p, &e.rateTaken, &e.quotaTaken)
		}
	}
}

// take puts the parts of a policy that it takes part with into l: instead of what is
// there for the first, the better of both for each that follows.
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

// limitOf returns the limit of an API and its scope: what the policies that grant it say
// of rate and quota, together with those that grant nothing. nil: none of those that
// grant it says anything, so the limits of the session hold.
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

// shareScope lets all rights share one bucket where the same policies grant them all,
// and otherwise gives the session itself, which then nothing is charged to, the best.
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

// Grants reports whether an API may be used at all.
func (e *Effective) Grants(api string) bool {
	_, granted := e.Rights[api]
	return granted || e.Every
}

// Show puts what is in force into a session that is to be shown: limits, rights with
// their own limits and scopes, tags and metadata. quotas are the live states by scope.
// is_inactive stays the session's own: a client that writes back what it has read must
// not make a policy's state the user's (see Why).
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

// live returns what is left of a quota, and the Unix second at which its period ends: 0
// where none has begun or it never ends.
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
