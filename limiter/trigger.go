package limiter

import (
	"slices"
	"sort"
)

// triggers are the percentages of a quota whose reaching is reported.
type triggers struct {
	percent []float64 // ascending; never changed
	next    int       // the first that has not been reached
}

// SetTriggers sets the percentages of the maximum that are reported when the use reaches
// them (Tyk's monitor.trigger_limits), in any order. Each is reported once a period, by the
// request that reaches it ([Result.Reached]). One that the period's use has already passed
// is no longer reported, whether it is new or not. Values of 0 or less are left out; those
// above 100 are never reached.
func (q *Quota) SetTriggers(percent []float64) {
	if q == nil {
		return
	}
	sorted := slices.DeleteFunc(slices.Clone(percent), func(p float64) bool { return !(p > 0) })
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.triggers = nil
	if len(sorted) > 0 {
		q.triggers = &triggers{percent: sorted, next: sort.Search(len(sorted), func(i int) bool { return sorted[i] > q.reported })}
	}
}

// reachedLocked returns the triggers that the use has reached and that were not reported
// in this period, the lowest first. The caller must not change them.
func (q *Quota) reachedLocked() []float64 {
	t := q.triggers
	if t == nil {
		return nil
	}
	first := t.next
	for t.next < len(t.percent) && percent(q.used, q.max) >= t.percent[t.next] {
		q.reported = t.percent[t.next]
		t.next++
	}
	return t.percent[first:t.next]
}

// reportedAllLocked reports whether the use says which triggers were reported: a change of
// the maximum may have moved the use back behind a trigger that was reported, or past one
// that was not.
func (q *Quota) reportedAllLocked() bool {
	now, t := percent(q.used, q.max), q.triggers
	return q.reported <= now && (t == nil || t.next == len(t.percent) || t.percent[t.next] > now)
}

// forgetReportedLocked begins a period in which nothing has been reported.
func (q *Quota) forgetReportedLocked() {
	q.reported = 0
	if q.triggers != nil {
		q.triggers.next = 0
	}
}

func percent(used, limit int64) float64 { return float64(used) * 100 / float64(limit) }
