package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sidekey/auth/route"
	"sidekey/internal/problem"
)

// MaxRightSteps bounds the work that one right may cause: the steps of all patterns
// ([route.CheckPattern]), and one more for each pattern and each method. It applies to the rights to one
// API that several policies give together, too. A write beyond it is refused. A stored right beyond it
// (an older release wrote it, or a policy in the configuration file grew) is not compiled: requests to
// that API are refused as ambiguous_path, because nothing can be said about their paths.
const MaxRightSteps = 20_000

// Size returns the right's steps as [MaxRightSteps] counts them. A pattern that does not compile counts
// as none: it matches nothing.
func (r *Right) Size() int {
	return r.count(func(text string) int {
		steps, _ := route.CheckPattern(text)
		return steps
	})
}

// TooLarge reports whether the right is beyond [MaxRightSteps]. Most rights are so far below it that no
// pattern has to be parsed.
func (r *Right) TooLarge() bool {
	return r.count(route.AtMostSteps) > MaxRightSteps && r.Size() > MaxRightSteps
}

func (r *Right) count(steps func(text string) int) (total int) {
	for _, u := range r.AllowedURLs {
		total += 1 + len(u.Methods) + steps(u.URL)
	}
	for _, e := range r.Endpoints {
		total += (1 + steps(e.Path)) * max(1, len(e.Methods)) // each method is a rule of its own
	}
	return total
}

// tooLargeText returns the problem of a right of that size.
func tooLargeText(size int) string {
	return fmt.Sprintf("patterns and methods must not come to more than %d steps, but come to %d", MaxRightSteps, size)
}

// TooLarge returns the sorted ids of the APIs whose paths cannot be checked, because the right, or the
// rights of all policies together, are beyond [MaxRightSteps].
func (e *Effective) TooLarge() (apis []string) {
	for _, id := range slices.Sorted(maps.Keys(e.Rights)) {
		if r := e.Rights[id]; r.Excess || r.TooLarge() {
			apis = append(apis, id)
		}
	}
	return apis
}

// checkSizes refuses policies that together give a right that is too large. A right that was as large
// in before passes, so that it does not stop edits of other fields. before is nil for a new session.
func (e *Effective) checkSizes(ps *problem.List, before *Effective) {
	for _, id := range e.TooLarge() {
		r := e.Rights[id]
		if before != nil {
			if old, ok := before.Rights[id]; ok && (old.Excess || !r.Excess && old.Size() >= r.Size()) {
				continue
			}
		}
		*ps = append(*ps, problem.Problem{Field: "apply_policies", Want: "access_rights." + problem.Clip(id) + " of all policies together: " + tooLargeText(r.Size())})
	}
}

// uniteRights joins the rights of several policies to one API. excess reports that they are too large
// together; the union is not complete then.
func uniteRights(rights []Right) (united Right, excess bool) {
	united = rights[len(rights)-1]
	if len(rights) == 1 {
		return united, false
	}
	room := MaxRightSteps
	united.Versions = rights[0].Versions
	for _, r := range rights[1:] {
		if len(united.Versions) == 0 || len(r.Versions) == 0 {
			united.Versions = nil
			break
		}
		united.Versions = unite(united.Versions, r.Versions)
	}
	united.AllowedURLs = uniteURLs(rights, &room)
	united.Endpoints = uniteEndpoints(rights, &room)
	return united, room < 0
}

// uniteURLs joins the allowed_urls of several rights: by url, with the methods of all. A right without
// entries allows all URLs, and so does the union. Each addition takes from room; when that is used up,
// the rest is left out.
func uniteURLs(rights []Right, room *int) (united []AllowedURL) {
	if slices.ContainsFunc(rights, func(r Right) bool { return len(r.AllowedURLs) == 0 }) {
		return nil
	}
	place := make(map[string]int)
	for _, r := range rights {
		for _, more := range r.AllowedURLs {
			if *room < 0 {
				return united
			}
			i, found := place[more.URL]
			if !found {
				place[more.URL] = len(united)
				united = append(united, more)
				*room -= 1 + len(more.Methods)
				continue
			}
			before := len(united[i].Methods)
			united[i].Methods = unite(united[i].Methods, more.Methods)
			*room -= len(united[i].Methods) - before
		}
	}
	return united
}

// uniteEndpoints joins the endpoints of several rights. Of several limits for one path and method the
// highest counts. room is as in uniteURLs.
func uniteEndpoints(rights []Right, room *int) []Endpoint {
	united := make([]Endpoint, 0)
	place := make(map[string]int)     // of a path in united
	method := make(map[[2]string]int) // of a path and a method in its methods
	for _, r := range rights {
		for _, e := range r.Endpoints {
			i, found := place[e.Path]
			if !found {
				i = len(united)
				place[e.Path] = i
				methods := e.Methods
				e.Methods = nil
				united = append(united, e)
				e.Methods = methods
			}
			for _, m := range e.Methods {
				if *room < 0 {
					return united
				}
				key := [2]string{e.Path, strings.ToLower(m.Name)}
				j, found := method[key]
				if !found {
					method[key] = len(united[i].Methods)
					united[i].Methods = append(united[i].Methods, m)
					*room--
					continue
				}
				limit := &united[i].Methods[j].Limit
				higher := LimitSpec{Rate: limit.Rate, Per: limit.Per}
				higher.takeRate(LimitSpec{Rate: m.Limit.Rate, Per: m.Limit.Per})
				limit.Rate, limit.Per = higher.Rate, higher.Per
			}
		}
	}
	return united
}

// MayBeTooLarge reports whether a policy, once it is stored, could give a user a right that is too large
// together with other policies of its org. It is nearly always false, and then no user has to be read.
func (p *Policies) MayBeTooLarge(edited *Policy) bool {
	if !edited.takesACL() {
		return false
	}
	others := p.All()
	for id, right := range edited.AccessRights {
		total, shared := right.count(route.AtMostSteps), false
		for _, other := range others {
			if r, grants := other.AccessRights[id]; grants && other.ID != edited.ID && other.OrgID == edited.OrgID && other.takesACL() {
				shared = true
				total += r.count(route.AtMostSteps)
			}
		}
		if shared && total > MaxRightSteps { // alone it has been checked before
			return true
		}
	}
	return false
}

// TooLargeWith returns the problem that the policies of one user, with these ids, will have once edited
// is stored, or "". A problem that exists already and does not grow does not count.
func (p *Policies) TooLargeWith(edited *Policy, ids []string) string {
	var before, after []*Policy
	for _, id := range ids {
		policy := p.Get(id)
		before = append(before, policy)
		if id == edited.ID {
			policy = edited
		}
		after = append(after, policy)
	}
	s := &Session{OrgID: edited.OrgID, ApplyPolicies: ids}
	old, e := Apply(s, before, false), Apply(s, after, false)
	var ps problem.List
	if e.checkSizes(&ps, &old); len(ps) > 0 {
		return ps[0].Want
	}
	return ""
}
