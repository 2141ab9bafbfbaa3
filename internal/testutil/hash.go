package testutil

import (
	"sync"
	"sync/atomic"
	"time"
)

// PlainHash is a password hash that costs nothing and records what it compares.
type PlainHash struct {
	Gate    chan struct{} // if it is not nil, a comparison waits for a token
	Lenient bool          // everything matches
	Count   atomic.Int64  // of comparisons

	mu    sync.Mutex // protects asked
	asked []Comparison
}

// Comparison is what a hash was asked to compare.
type Comparison struct{ Stored, Password string }

func (*PlainHash) Kind() string                         { return "plain" }
func (*PlainHash) MaxPassword() int                     { return 72 }
func (*PlainHash) Make(password []byte) (string, error) { return Plain(string(password)), nil }
func (*PlainHash) Current(string) bool                  { return true }

// Plain returns what [PlainHash] stores for a password.
func Plain(password string) string { return "plain:" + password }

// Matches compares without hashing. It waits at the gate first.
func (h *PlainHash) Matches(stored string, password []byte) bool {
	h.Count.Add(1)
	h.mu.Lock()
	if len(h.asked) < 1000 {
		h.asked = append(h.asked, Comparison{stored, string(password)})
	}
	h.mu.Unlock()
	if h.Gate != nil {
		<-h.Gate
	}
	return h.Lenient || stored == Plain(string(password))
}

// Take returns the comparisons since the last call.
func (h *PlainHash) Take() []Comparison {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked
	h.asked = nil
	return asked
}

// SlowHash takes its time, such as that of a synctest bubble. The password is "right".
type SlowHash struct {
	PlainHash
	Takes time.Duration
}

// Matches compares with "right" after h.Takes.
func (h *SlowHash) Matches(_ string, password []byte) bool {
	time.Sleep(h.Takes)
	return string(password) == "right"
}
