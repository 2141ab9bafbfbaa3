package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// QuotaStore is as much of a store as quotas need.
type QuotaStore interface {
	auth.Source
	limiter.Ledger
	updater
}

// RunQuotas runs the part of the suite that concerns quotas.
func RunQuotas(t *testing.T, open func(t *testing.T) QuotaStore) {
	for _, p := range []struct {
		name string
		test func(t *testing.T, s QuotaStore)
	}{
		{"a grant is in the store when it is answered", testGrant},
		{"a ledger answers later, once, and in order", testAnswers},
		{"an edit that keeps the generation keeps the quotas", testKeptQuotas},
		{"a new generation ends the quotas", testEndedQuotas},
		{"quotas of names that begin alike are apart", testNeighbours},
		{"what is not used is given back", testGiveBack},
		{"a quota spends its maximum and no more", testSpend},
	} {
		t.Run(p.name, func(t *testing.T) { p.test(t, open(t)) })
	}
}

func quotaKey(user, scope string) limiter.QuotaKey {
	return limiter.QuotaKey{Org: "default", User: user, Scope: scope}
}

// start is when the quotas of the tests begin.
const start = int64(1_800_000_000 * time.Second)

// ask is the first ask about a quota of 100 in an hour, later than its start.
func ask(r session.Record, n int64, later time.Duration) limiter.Ask {
	return limiter.Ask{
		Want: n, Seen: limiter.Reservation{Generation: r.Generation},
		Max: 100, Renewal: int64(time.Hour), Wall: start + int64(later),
	}
}

// askAgain is the ask of a process that was granted g.
func askAgain(g limiter.Grant, n int64) limiter.Ask {
	return limiter.Ask{Want: n, Seen: g.Reservation, Max: 100, Renewal: int64(time.Hour), Wall: start}
}

// quotasOf returns what the store holds of a user's quotas.
func quotasOf(t *testing.T, s QuotaStore, user string) []auth.KeptQuota {
	t.Helper()
	_, quotas, err := s.Load("default", user)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(quotas, func(a, b auth.KeptQuota) int { return len(a.Scope) - len(b.Scope) })
	return quotas
}

func testGrant(t *testing.T, s QuotaStore) {
	alice := put(t, s, record("alice", "x"))
	whole, orders := quotaKey("alice", ""), quotaKey("alice", "api:orders")
	var wanted []auth.KeptQuota
	f := func(what string, key limiter.QuotaKey, a limiter.Ask, count, reserved int64) limiter.Grant {
		t.Helper()
		g, err := reserve(t, s, key, a)
		if err != nil || g.Count != count || g.Reserved != reserved || g.Generation != alice.Generation {
			t.Errorf("%s: %+v, %v, want %d of %d", what, g, err, count, reserved)
		}
		wanted = slices.DeleteFunc(wanted, func(q auth.KeptQuota) bool { return q.Scope == key.Scope })
		wanted = append(wanted, auth.KeptQuota{Scope: key.Scope, Reservation: g.Reservation})
		slices.SortFunc(wanted, func(a, b auth.KeptQuota) int { return len(a.Scope) - len(b.Scope) })
		if got := quotasOf(t, s, "alice"); !slices.Equal(got, wanted) {
			t.Errorf("%s: the store has %+v, want %+v", what, got, wanted)
		}
		return g
	}
	first := f("the first", whole, ask(alice, 10, 0), 10, 10)
	if first.Start != start {
		t.Errorf("the period begins at %d, want %d", first.Start, start)
	}
	second := f("more", whole, askAgain(first, 20), 20, 30)
	f("of a scope", orders, ask(alice, 5, time.Second), 5, 5)
	all := f("more than is left", whole, askAgain(second, 90), 70, 100)
	f("when none is left", whole, askAgain(all, 1), 0, 100)
	next := askAgain(all, 7)
	next.Wall += int64(time.Hour)
	if g := f("of the next period", whole, next, 7, 7); g.Start != next.Wall {
		t.Errorf("the next period begins at %d, want %d", g.Start, next.Wall)
	}

	for what, a := range map[string]limiter.Ask{"of an earlier generation": askAgain(all, 1), "of a later generation": askAgain(all, 1)} {
		if a.Seen.Generation--; what == "of a later generation" {
			a.Seen.Generation += 2
		}
		_, err := reserve(t, s, whole, a)
		want(t, what, err, limiter.ErrStale)
	}
	_, err := reserve(t, s, quotaKey("bob", ""), ask(alice, 1, 0))
	want(t, "of a user that does not exist", err, limiter.ErrStale)
	_, err = reserve(t, s, limiter.QuotaKey{Org: "other", User: "alice"}, ask(alice, 1, 0))
	want(t, "of another org", err, limiter.ErrStale)
	if got := quotasOf(t, s, "alice"); !slices.Equal(got, wanted) {
		t.Errorf("the store has %+v, want %+v", got, wanted)
	}
}

// A ledger that answered before Reserve returns would meet the lock of its caller.
func testAnswers(t *testing.T, s QuotaStore) {
	alice := put(t, s, record("alice", "x"))
	const asks = 50
	var caller, mu sync.Mutex
	var order []int
	var answers sync.WaitGroup
	answers.Add(asks)
	caller.Lock()
	for i := range asks {
		a := ask(alice, 1, 0)
		a.Seen.Start, a.Seen.Reserved = start, int64(i)
		s.Reserve(quotaKey("alice", ""), a, func(g limiter.Grant, err error) {
			caller.Lock()
			defer caller.Unlock()
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			if err != nil || g.Count != 1 || g.Reserved != int64(i+1) {
				t.Errorf("ask %d: %+v, %v", i, g, err)
			}
			answers.Done()
		})
	}
	s.Hurry()
	caller.Unlock()
	answers.Wait()
	if !slices.IsSorted(order) || len(order) != asks {
		t.Errorf("answered in the order %v", order)
	}
}

func testKeptQuotas(t *testing.T, s QuotaStore) {
	alice := put(t, s, record("alice", "x"))
	g, err := reserve(t, s, quotaKey("alice", ""), ask(alice, 10, 0))
	want(t, "reserve", err, nil)
	alice.Session.Alias = "edited"
	put(t, s, alice)
	if got := quotasOf(t, s, "alice"); !slices.Equal(got, []auth.KeptQuota{{Reservation: g.Reservation}}) {
		t.Errorf("after the edit: %+v", got)
	}
	larger := askAgain(g, 150)
	larger.Max = 120
	more, err := reserve(t, s, quotaKey("alice", ""), larger)
	if err != nil || more.Count != 110 || more.Start != g.Start {
		t.Errorf("with a larger maximum: %+v, %v", more, err)
	}
	less, err := reserve(t, s, quotaKey("alice", ""), askAgain(more, 1))
	if err != nil || less.Count != 0 || less.Reserved != 120 {
		t.Errorf("with a smaller maximum: %+v, %v", less, err)
	}
}

func testEndedQuotas(t *testing.T, s QuotaStore) {
	alice := put(t, s, record("alice", "x"))
	bob := put(t, s, record("bob", "x"))
	keys := []limiter.QuotaKey{quotaKey("alice", ""), quotaKey("alice", "api:orders")}
	for _, key := range keys {
		_, err := reserve(t, s, key, ask(alice, 10, 0))
		want(t, "reserve", err, nil)
	}
	_, err := reserve(t, s, quotaKey("bob", ""), ask(bob, 10, 0))
	want(t, "reserve", err, nil)
	over := func(when string) {
		t.Helper()
		if got := quotasOf(t, s, "alice"); len(got) != 0 {
			t.Errorf("%s: the store has %+v", when, got)
		}
		for _, key := range keys {
			for _, n := range []int64{1, 0, -1} {
				_, err := reserve(t, s, key, ask(alice, n, 0))
				want(t, fmt.Sprint(when, ", an ask for ", n), err, limiter.ErrStale)
			}
		}
	}
	fresh := put(t, s, record("alice", "afresh"))
	over("written afresh")
	g, err := reserve(t, s, keys[0], ask(fresh, 100, 0))
	if err != nil || g.Count != 100 {
		t.Errorf("of the new generation: %+v, %v", g, err)
	}
	alice = fresh
	remove(t, s, "alice")
	put(t, s, record("alice", "created again"))
	over("deleted and created again")
	if got := quotasOf(t, s, "bob"); len(got) != 1 || got[0].Reserved != 10 {
		t.Errorf("bob has %+v", got)
	}
}

func testNeighbours(t *testing.T, s QuotaStore) {
	names := []session.Name{{Org: "o", User: "a"}, {Org: "o", User: "aa"}, {Org: "o", User: "a "}, {Org: "oa", User: "a"}, {Org: "o", User: "ab"}}
	for i, n := range names {
		r := put(t, s, session.Record{Org: n.Org, User: n.User, Session: session.Session{OrgID: n.Org}})
		for _, scope := range []string{"", "a"} {
			_, err := reserve(t, s, limiter.QuotaKey{Org: n.Org, User: n.User, Scope: scope}, ask(r, int64(i+1), 0))
			want(t, "reserve", err, nil)
		}
	}
	for gone := range len(names) + 1 {
		for i, n := range names {
			_, quotas, err := s.Load(n.Org, n.User)
			if i < gone {
				want(t, "load of the deleted", err, auth.ErrNoUser)
				continue
			}
			if err != nil || len(quotas) != 2 || quotas[0].Reserved != int64(i+1) || quotas[1].Reserved != int64(i+1) {
				t.Errorf("%v with %d deleted: %+v, %v", n, gone, quotas, err)
			}
		}
		if gone < len(names) {
			_, err := s.Update(names[gone].Org, names[gone].User, func(*session.Record) (*session.Record, error) { return nil, nil })
			want(t, "delete", err, nil)
		}
	}
}

func testGiveBack(t *testing.T, s QuotaStore) {
	users := []string{"alice", "bob", "carol", "dave"}
	unused := make(map[limiter.QuotaKey]limiter.Ask)
	for _, user := range users {
		g, err := reserve(t, s, quotaKey(user, ""), ask(put(t, s, record(user, "x")), 50, 0))
		want(t, "reserve", err, nil)
		unused[quotaKey(user, "")] = askAgain(g, -30)
	}
	put(t, s, record("bob", "afresh"))
	remove(t, s, "carol")
	if all, ok := s.(interface {
		GiveBack(map[limiter.QuotaKey]limiter.Ask) error
	}); ok {
		want(t, "nothing", all.GiveBack(nil), nil)
		want(t, "give back", all.GiveBack(unused), nil)
	} else {
		for key, a := range unused {
			reserve(t, s, key, a)
		}
	}
	for _, user := range []string{"alice", "dave"} {
		if got := quotasOf(t, s, user); len(got) != 1 || got[0].Reserved != 20 || got[0].Start != start {
			t.Errorf("%s: the store has %+v, want 20 reserved", user, got)
		}
	}
	if got := quotasOf(t, s, "bob"); len(got) != 0 {
		t.Errorf("bob: %+v", got)
	}
}

// spend admits requests until the quota is used up, and returns how many.
func spend(q *limiter.Quota) (admitted int) {
	for {
		now := limiter.At(time.Now())
		switch r := limiter.Admit(now, limiter.Limits{Quota: q}); r.Outcome {
		case limiter.Admitted:
			admitted++
		case limiter.NeedsLedger:
			q.Wait(now, patience)
		default:
			return admitted
		}
	}
}

// Through edits of the limit and a clean stop, a quota grants its maximum exactly.
func testSpend(t *testing.T, s QuotaStore) {
	alice := put(t, s, record("alice", "x"))
	key := quotaKey("alice", "")
	for _, limit := range []int64{3, 50, 1500} {
		alice = put(t, s, record("alice", "afresh"))
		var mu sync.Mutex
		total := 0
		all := func(q *limiter.Quota) {
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					n := spend(q)
					mu.Lock()
					defer mu.Unlock()
					total += n
				})
			}
			group.Wait()
		}
		q := limiter.NewQuota(key, limit, 0, limiter.Reservation{Generation: alice.Generation}, s)
		if all(q); total != int(limit) {
			t.Errorf("%d of %d were admitted", total, limit)
		}
		// A process that stops after half of what a larger limit adds, and one that goes on.
		q = limiter.NewQuota(key, 2*limit, 0, quotasOf(t, s, "alice")[0].Reservation, s)
		for range limit / 2 {
			for limiter.Admit(limiter.At(time.Now()), limiter.Limits{Quota: q}).Outcome != limiter.Admitted {
				q.Wait(limiter.At(time.Now()), patience)
			}
			total++
		}
		if key, a, needed := q.GiveBack(); needed {
			_, err := reserve(t, s, key, a)
			want(t, "give back", err, nil)
		}
		if got := quotasOf(t, s, "alice")[0].Reserved; got != int64(total) {
			t.Errorf("after a clean stop %d are reserved, %d were admitted", got, total)
		}
		q = limiter.NewQuota(key, 2*limit, 0, quotasOf(t, s, "alice")[0].Reservation, s)
		if all(q); total != 2*int(limit) {
			t.Errorf("%d of %d were admitted", total, 2*limit)
		}
	}
}
