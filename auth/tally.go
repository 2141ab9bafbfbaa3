package auth

import "sync/atomic"

// Tally counts decisions. It is cut into parts, so that connections that are served at
// once do not wait for each other's counters.
type Tally struct {
	parts [tallyParts]tallyPart
}

const (
	tallyParts = 8
	tallyKinds = 6
)

type tallyPart struct {
	counts [tallyKinds][reasonCount]atomic.Uint64
	_      [64]byte // no cache line is shared with the next part
}

// Add counts a decision of a kind (below 6, the caller's choice) in a part, which is any
// number, best that of the connection.
func (t *Tally) Add(part uint64, kind int, reason Reason) {
	t.parts[part%tallyParts].counts[kind][reason].Add(1)
}

// Count returns how many decisions of a kind had a reason.
func (t *Tally) Count(kind int, reason Reason) (n uint64) {
	for i := range t.parts {
		n += t.parts[i].counts[kind][reason].Load()
	}
	return n
}
