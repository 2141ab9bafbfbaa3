package check

import (
	"sync/atomic"
	"time"

	"sidekey/auth"
)

// Kinds of decisions in a tally.
const (
	kindEnvoy = iota
	kindNGINX
	kindForward
	kindNoDialect  // the path names none
	kindShadow     // by what limits in shadow would have refused for
	kindRemembered // let in by a remembered password, whatever became of the request
)

// bounds are the upper bounds of the histogram's buckets. The last one has none.
var bounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second,
}

// counts are what the handler has answered. APIs have tallies of their own.
type counts struct {
	noAPI auth.Tally // of requests for which no API was found
	took  [8]struct {
		buckets [len(bounds) + 1]atomic.Uint64
		nanos   atomic.Uint64
		_       [64]byte // no cache line is shared with the next part
	}
}

func (c *counts) add(connection uint64, d *dialect, v *auth.Verdict, took time.Duration) {
	tally := &c.noAPI
	if v.API != nil {
		tally = v.API.Tally()
	}
	kind := kindNoDialect
	if d != nil {
		kind = d.kind
	}
	tally.Add(connection, kind, v.Reason)
	if v.Shadow != auth.Pass {
		tally.Add(connection, kindShadow, v.Shadow)
	}
	if v.Remembered {
		tally.Add(connection, kindRemembered, auth.Pass)
	}
	part := &c.took[connection%uint64(len(c.took))]
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	part.buckets[i].Add(1)
	part.nanos.Add(uint64(took))
}

// Decided is a number of decisions with something in common.
type Decided struct {
	API     string // "" where none was found
	Dialect string // "" where the path names none
	Reason  string
	N       uint64
}

// Decisions are all decisions so far, those about APIs that are configured no more left
// out. Shadow are those that limits in shadow would have refused, by their reason.
func (h *Handler) Decisions() (all, shadow []Decided, remembered uint64) {
	add := func(api string, tally *auth.Tally) {
		for _, reason := range auth.Reasons() {
			for _, d := range dialects {
				if n := tally.Count(d.kind, reason); n > 0 {
					all = append(all, Decided{api, d.name, reason.String(), n})
				}
			}
			if n := tally.Count(kindNoDialect, reason); n > 0 {
				all = append(all, Decided{api, "", reason.String(), n})
			}
			if n := tally.Count(kindShadow, reason); n > 0 {
				shadow = append(shadow, Decided{API: api, Reason: reason.String(), N: n})
			}
		}
		remembered += tally.Count(kindRemembered, auth.Pass)
	}
	add("", &h.counts.noAPI)
	for _, api := range h.checker.Settings().APIs.All() {
		add(api.ID, api.Tally())
	}
	return all, shadow, remembered
}

// Durations are how long decisions took, from the request's arrival to its answer: how
// many up to each bound, all those before included, then how many at all, and the sum of
// their times.
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
