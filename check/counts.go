package check

import (
	"sync/atomic"
	"time"

	"sidekey/auth"
)

// bounds are the upper bounds of the histogram's buckets. The last bucket has none.
var bounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second,
}

// counts are the decisions of a handler so far.
type counts struct {
	byAPI tallies
	noAPI tally // of requests for which no API was found
	took  [8]struct {
		buckets [len(bounds) + 1]atomic.Uint64
		nanos   atomic.Uint64
		_       [64]byte // no cache line is shared with the next part
	}
}

// add counts a decision that checker has made.
func (c *counts) add(checker *auth.Checker, r *Record) {
	v := &r.Verdict
	tally := &c.noAPI
	if v.API != nil {
		tally = c.byAPI.of(v.API.ID, checker)
	}
	kind := kindNoDialect
	if r.Dialect != nil {
		kind = r.Dialect.kind
	}
	tally.add(r.Connection, kind, v.Reason)
	if v.Shadow != auth.Pass {
		tally.add(r.Connection, kindShadow, v.Shadow)
	}
	if v.Remembered {
		tally.add(r.Connection, kindRemembered, auth.Pass)
	}
	part := &c.took[r.Connection%uint64(len(c.took))]
	i := 0
	for i < len(bounds) && r.Took > bounds[i] {
		i++
	}
	part.buckets[i].Add(1)
	part.nanos.Add(uint64(r.Took))
}

// Decided is a number of decisions with something in common.
type Decided struct {
	API     string // "" if none was found
	Dialect string // "" if the request names none
	Reason  string
	N       uint64
}

// Decisions returns all decisions so far, except those about APIs that are no longer
// configured. shadow are the decisions that limits in shadow would have refused, by their
// reason, and remembered is how many passwords were not hashed because they had been right
// before.
func (h *Handler) Decisions() (all, shadow []Decided, remembered uint64) {
	add := func(api string, tally *tally) {
		for _, reason := range auth.Reasons() {
			for _, d := range dialects {
				if n := tally.count(d.kind, reason); n > 0 {
					all = append(all, Decided{api, d.name, reason.String(), n})
				}
			}
			if n := tally.count(kindNoDialect, reason); n > 0 {
				all = append(all, Decided{api, "", reason.String(), n})
			}
			if n := tally.count(kindShadow, reason); n > 0 {
				shadow = append(shadow, Decided{API: api, Reason: reason.String(), N: n})
			}
		}
		remembered += tally.count(kindRemembered, auth.Pass)
	}
	add("", &h.counts.noAPI)
	for _, api := range h.checker.Settings().APIs.All() {
		if tally := h.counts.byAPI.find(api.ID); tally != nil {
			add(api.ID, tally)
		}
	}
	return all, shadow, remembered
}

// Durations returns how long decisions took, from the request's arrival to its reply, as a
// cumulative histogram: n[i] decisions took at most upTo[i], and the last of n is the number
// of all. sum is the sum of their times.
func (h *Handler) Durations() (upTo []time.Duration, n []uint64, sum time.Duration) {
	n = make([]uint64, len(bounds)+1)
	for p := range h.counts.took {
		part := &h.counts.took[p]
		for i := range part.buckets {
			n[i] += part.buckets[i].Load()
		}
		sum += time.Duration(part.nanos.Load())
	}
	for i := 1; i < len(n); i++ {
		n[i] += n[i-1]
	}
	return bounds[:], n, sum
}
