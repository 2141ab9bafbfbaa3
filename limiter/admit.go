package limiter

import "time"

// Limits are the limits that one request is charged to. Any of them may be nil: no limit.
type Limits struct {
	Rate  *Window // of the user
	Quota *Quota  // of the user
	API   *Window // of all users of the API together

	Edition uint64 // of Quota, as the caller looked it up; see [Quota.SetLimit]
}

// Outcome says whether a request was admitted and, if not, which limit refused.
type Outcome int

const (
	Admitted     Outcome = iota
	OverRate             // Limits.Rate is used up
	OverQuota            // Limits.Quota is used up
	OverAPI              // Limits.API is used up
	NeedsLedger          // the ledger must grant a block first: [Quota.Wait], then try again
	QuotaIsStale         // the quota was ended by an edit: look the user up again
	QuotaEdited          // the quota has another edition: look the user up again
	Retired              // the limits were forgotten (see [Retire]): look the user up again
)

// Result is an Outcome with the state of the user's limits right after it. For a user with
// 10 requests per second and no quota, the first request has {Outcome: Admitted, Rate:
// {Limit: 10, Per: 1s, Remaining: 9, Reset: 1s}}.
type Result struct {
	Outcome Outcome
	Rate    RateState
	Quota   QuotaState
	Retry   time.Duration // after a refusal: until the refusing limit may admit again
	Reached []float64     // triggers of the quota that this request reached, see [Quota.SetTriggers]; must not be changed
}

// Admit charges one request to all of l, or to nothing. If several limits are used up, it
// names the first in the order rate, quota, API.
func Admit(now Now, l Limits) Result {
	// All callers take locks in this order, so no two requests can wait for each other.
	if l.Rate != nil {
		l.Rate.mu.Lock()
		defer l.Rate.mu.Unlock()
	}
	if l.Quota != nil {
		l.Quota.mu.Lock()
		defer l.Quota.mu.Unlock()
	}
	if l.API != nil {
		l.API.mu.Lock()
		defer l.API.mu.Unlock()
	}

	var r Result
	r.Outcome = refusedLocked(now, l)
	if r.Outcome == Admitted {
		if l.Rate != nil {
			l.Rate.addLocked(now.Mono)
		}
		if l.Quota != nil {
			r.Reached = l.Quota.chargeLocked(now)
		}
		if l.API != nil {
			l.API.addLocked(now.Mono)
		}
	}
	if l.Rate != nil {
		r.Rate = l.Rate.stateLocked(now.Mono)
	}
	if l.Quota != nil {
		r.Quota = l.Quota.stateLocked(now.Wall)
	}
	switch r.Outcome {
	case OverRate:
		r.Retry = r.Rate.Retry
	case OverQuota:
		r.Retry = r.Quota.Retry
	case OverAPI:
		r.Retry = l.API.stateLocked(now.Mono).Retry
	}
	return r
}

// refusedLocked asks every limit. A quota that needs its ledger comes last, so that nothing
// is reserved for a request that another limit refuses.
func refusedLocked(now Now, l Limits) Outcome {
	if l.Rate != nil && l.Rate.retired {
		return Retired
	}
	if l.Quota != nil && !l.Quota.closed && l.Quota.edition != l.Edition {
		return QuotaEdited
	}
	if l.Rate != nil && !l.Rate.admitsLocked(now.Mono) {
		return OverRate
	}
	quota := yes
	if l.Quota != nil {
		quota = l.Quota.askLocked(now.Wall)
	}
	switch quota {
	case gone:
		return QuotaIsStale
	case no:
		return OverQuota
	}
	if l.API != nil && !l.API.admitsLocked(now.Mono) {
		return OverAPI
	}
	if quota == later {
		return NeedsLedger
	}
	return Admitted
}

// Peek returns what Admit would return, as far as the state at this moment tells, and
// charges nothing. A quota that would need its ledger counts as one that admits.
func Peek(now Now, l Limits) Result {
	r := Result{Rate: l.Rate.State(now), Quota: l.Quota.State(now)}
	api := l.API.State(now)
	switch {
	case l.Rate != nil && r.Rate.Remaining == 0:
		r.Outcome, r.Retry = OverRate, r.Rate.Retry
	case l.Quota != nil && r.Quota.Remaining == 0:
		r.Outcome, r.Retry = OverQuota, r.Quota.Retry
	case l.API != nil && api.Remaining == 0:
		r.Outcome, r.Retry = OverAPI, api.Retry
	}
	return r
}
