package check

import (
	"maps"
	"sync"
	"sync/atomic"

	"sidekey/auth"
)

// Rows of a tally.
const (
	kindEnvoy = iota
	kindNGINX
	kindForward
	kindNoDialect  // the request names none
	kindShadow     // by the reason for which limits in shadow would have refused
	kindRemembered // admitted by a remembered password, whatever became of the request
	kinds
)

// tally counts decisions about one API. It is cut into parts, so that connections that are
// served at once do not wait for each other's counters.
type tally struct {
	parts [tallyParts]struct {
		counts [kinds][auth.ReasonCount]atomic.Uint64
		_      [64]byte // no cache line is shared with the next part
	}
}

const tallyParts = 8

func (t *tally) add(part uint64, kind int, reason auth.Reason) {
	t.parts[part%tallyParts].counts[kind][reason].Add(1)
}

func (t *tally) count(kind int, reason auth.Reason) (n uint64) {
	for i := range t.parts {
		n += t.parts[i].counts[kind][reason].Load()
	}
	return n
}

// tallies are the tallies of all APIs by their ids. A tally stays while an API of its id is
// configured, so a reload resets no counter.
type tallies struct {
	byID atomic.Pointer[map[string]*tally] // never changed once stored

	mu sync.Mutex // held while a new map is made
}

// find returns the tally of an API, or nil if nothing was counted yet.
func (t *tallies) find(id string) *tally {
	m := t.byID.Load()
	if m == nil {
		return nil
	}
	return (*m)[id]
}

// of returns the tally of an API, and begins it if nothing was counted yet.
func (t *tallies) of(id string, checker *auth.Checker) *tally {
	if tally := t.find(id); tally != nil {
		return tally
	}
	return t.begin(id, checker)
}

// begin adds a tally, and drops those of APIs that are no longer configured.
func (t *tallies) begin(id string, checker *auth.Checker) *tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tally := t.find(id); tally != nil {
		return tally
	}
	next := make(map[string]*tally)
	if m := t.byID.Load(); m != nil {
		configured := checker.Settings().APIs
		maps.Copy(next, *m)
		maps.DeleteFunc(next, func(id string, _ *tally) bool { return configured.ByID(id) == nil })
	}
	next[id] = new(tally)
	t.byID.Store(&next)
	return next[id]
}
