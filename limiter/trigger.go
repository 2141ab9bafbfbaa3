package limiter

import (
	"slices"
	"sort"
)

// triggers are the percentages at which the use of a quota is worth telling.
type triggers struct {
	percent []float64 // ascending; never changed
	next    int       // the first that has not been reached
}

// SetTriggers sets the percentages of the maximum at which the use is worth telling
// (Tyk's monitor.trigger_limits), in any order. Each is reported once a period, by the
// request that reaches it ([Result.Reached]). One that the period's use has already
// passed is not reported any more, whether it is new or not. What is not above 0 is left
// out; what is above 100 is never reached.
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
		q.triggers = &triggers{percent: sorted, next: sort.Search(len(sorted), func(i int) bool { return sorted[i] > q.told })}
	}
}

// reachedLocked returns the triggers that the use has reached and that nobody has been
// told of in this period, the lowest first. The caller must not change them.
func (q *Quota) reachedLocked() []float64 {
	t := q.triggers
	if t == nil {
		return nil
	}
	first := t.next
	for t.next < len(t.percent) && percent(q.used, q.max) >= t.percent[t.next] {
		q.told = t.percent[t.next]
		t.next++
	}
	return t.percent[first:t.next]
}

// toldAllLocked reports whether what has been told follows from the use: a change of the
// maximum may have moved the use back behind a trigger that was reported, or past one that
// was not.
func (q *Quota) toldAllLocked() bool {
	now, t := percent(q.used, q.max), q.triggers
	return q.told <= now && (t == nil || t.next == len(t.percent) || t.percent[t.next] > now)
}

// forgetToldLocked begins a period in which nothing has been reported.
func (q *Quota) forgetToldLocked() {
	q.told = 0
	if q.triggers != nil {
		q.triggers.next = 0
	}
}

func percent(used, limit int64) float64 { return float64(used) * 100 / float64(limit) }
