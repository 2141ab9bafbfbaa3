package auth

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/internal/testutil"
	"sidekey/limiter"
)

// charged is what the model knows of one scope.
type charged struct {
	at   []int64 // admits that a rate has counted, since there is one
	used int64   // admits that a quota has counted since the last write afresh
}

// In any order of edits of the session (afresh or not), edits of policies and
// requests, a request is admitted only if the limits in force at that moment leave
// room for it. Nothing renews: time moves by less than any period.
func TestPolicyEditsNeverAdmitMore(t *testing.T) {
	const period = 1_000_000 // seconds
	apis, err := route.NewAPIs([]route.API{
		{ID: "x", Org: "default", ListenPath: "/x", Realm: "r", Active: true},
		{ID: "y", Org: "default", ListenPath: "/y", Realm: "r", Active: true},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	limits := rapid.Custom(func(rt *rapid.T) *session.Limit {
		return &session.Limit{
			Rate: float64(rapid.IntRange(0, 5).Draw(rt, "rate")), Per: period,
			QuotaMax: int64(rapid.IntRange(-1, 6).Draw(rt, "quota")), QuotaRenewalRate: period,
		}
	})
	rights := func(rt *rapid.T) map[string]session.Right {
		m := make(map[string]session.Right)
		for _, id := range []string{"x", "y"} {
			if rapid.IntRange(0, 2).Draw(rt, id) > 0 {
				var r session.Right
				if rapid.Bool().Draw(rt, "own") {
					r.Limit = limits.Draw(rt, "limit")
				}
				m[id] = r
			}
		}
		return m
	}
	policy := func(rt *rapid.T, id string) *session.Policy {
		l := limits.Draw(rt, "policy")
		return &session.Policy{
			ID: id, OrgID: "default", AccessRights: rights(rt), IsInactive: rapid.IntRange(0, 9).Draw(rt, "inactive") == 0,
			Rate: l.Rate, Per: l.Per, QuotaMax: l.QuotaMax, QuotaRenewalRate: l.QuotaRenewalRate,
			Partitions: rapid.SampledFrom([]session.Partitions{{}, {}, {}, {PerAPI: true}, {ACL: true}, {RateLimit: true}, {Quota: true}, {ACL: true, RateLimit: true, Quota: true}}).Draw(rt, "partitions"),
		}
	}
	sess := func(rt *rapid.T) session.Session {
		l := limits.Draw(rt, "session")
		s := session.Session{OrgID: "default", Rate: l.Rate, Per: l.Per, QuotaMax: l.QuotaMax, QuotaRenewalRate: l.QuotaRenewalRate, AccessRights: rights(rt)}
		for _, id := range []string{"A", "B"} {
			if rapid.Bool().Draw(rt, "has "+id) {
				s.ApplyPolicies = append(s.ApplyPolicies, id)
			}
		}
		return s
	}

	rapid.Check(t, func(rt *rapid.T) {
		memory := newMemory()
		policies := session.NewPolicies([]session.Policy{*policy(rt, "A"), *policy(rt, "B")})
		memory.write(session.Record{Org: "default", User: "alice", Session: sess(rt)})
		record := func() session.Record {
			r, _, err := memory.Load("default", "alice")
			if err != nil {
				rt.Fatal(err)
			}
			return r
		}
		d := NewDirectory(memory, &Compiler{Ledger: memory, Policies: policies})
		now := limiter.Now{Mono: 1, Wall: 1_800_000_000 * int64(time.Second)}
		c := NewChecker(d, &Settings{APIs: apis, QuotaWait: testutil.Patience, AllowEmptyRights: true}, func() limiter.Now { return now })

		model := make(map[string]*charged)
		effective := func() *session.Effective {
			s := record().Session
			list, _ := policies.Use(s.ApplyPolicies)
			e := session.Apply(&s, list, false)
			return &e
		}
		of := func(scope string) *charged {
			if model[scope] == nil {
				model[scope] = &charged{}
			}
			return model[scope]
		}
		// forget does what a new account does: it drops what a rate has counted where
		// there is no such rate now, and of more admits than the new rate has only the
		// last count under it.
		forget := func() {
			e := effective()
			limits := map[string]session.LimitSpec{"": e.Limits}
			for _, r := range e.Rights {
				if r.Limit != nil {
					limits[r.Scope] = *r.Limit
				}
			}
			for scope, m := range model {
				most := 0
				if l := limits[scope]; l.LimitsRate() {
					most = int(l.Rate)
				}
				m.at = m.at[max(0, len(m.at)-most):]
			}
		}
		forget()

		rt.Repeat(map[string]func(*rapid.T){
			"request": func(rt *rapid.T) {
				id := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "api")
				now.Mono += int64(time.Second)
				now.Wall += int64(time.Second)
				account, err := d.Find("default", []byte("alice"))
				if err != nil {
					rt.Fatal(err)
				}
				forget() // an account without requests was not compiled
				api := apis.ByID(id)
				v := admit(c, now, api, account, &Request{})
				e := effective()
				limit, scope, granted := e.Limits, "", e.Grants(id)
				if r, ok := e.Rights[id]; ok && r.Limit != nil {
					limit, scope = *r.Limit, r.Scope
				}
				m := of(scope)
				rateFull := limit.LimitsRate() && len(m.at) >= int(limit.Rate)
				quotaFull := limit.QuotaMax > 0 && m.used >= limit.QuotaMax
				var want Reason
				switch {
				case e.Inactive:
					want = Inactive
				case !granted:
					want = APINotGranted
				case rateFull:
					want = RateExceeded
				case quotaFull:
					want = QuotaExceeded
				}
				if v.Reason != want {
					rt.Fatalf("API %s, scope %q, rate %v with %d admits, quota %d with %d: %v, want %v",
						id, scope, limit.Rate, len(m.at), limit.QuotaMax, m.used, v.Reason, want)
				}
				if v.Reason == Pass {
					if limit.LimitsRate() {
						m.at = append(m.at, now.Mono)
					}
					if limit.QuotaMax > 0 {
						m.used++
					}
				}
			},
			"edit the session": func(rt *rapid.T) {
				afresh := rapid.Bool().Draw(rt, "afresh")
				r := record()
				if r.Session = sess(rt); afresh {
					r.Generation = 0
				}
				memory.write(r)
				d.Publish("default", "alice")
				if afresh {
					clear(model)
				}
				if d.Live("default", "alice") != nil {
					forget()
				}
			},
			"edit a policy": func(rt *rapid.T) {
				id := rapid.SampledFrom([]string{"A", "B"}).Draw(rt, "id")
				policies.SetStored(id, policy(rt, id))
			},
			"delete a policy": func(rt *rapid.T) {
				policies.SetStored(rapid.SampledFrom([]string{"A", "B"}).Draw(rt, "id"), nil)
			},
			"show": func(rt *rapid.T) {
				e := effective()
				r, kept, _ := memory.Load("default", "alice")
				for scope, q := range d.Quotas(r, kept, now) {
					var used int64
					if m := model[scope]; m != nil {
						used = m.used
					}
					if q.Limit > 0 && q.Remaining != max(0, q.Limit-used) {
						rt.Fatalf("scope %q shows %d of %d left after %d (%v)", scope, q.Remaining, q.Limit, used, slices.Sorted(maps.Keys(e.Rights)))
					}
				}
			},
			"": func(rt *rapid.T) {
				memory.mu.Lock()
				defer memory.mu.Unlock()
				for key, q := range memory.quotas {
					if used := of(key.Scope).used; q.Reserved < used {
						rt.Fatal(fmt.Sprintf("scope %q: %d are reserved and %d were admitted: a crash would give some twice", key.Scope, q.Reserved, used))
					}
				}
			},
		})
	})
}
