package password

import (
	"sync"
	"time"
)

// ShortestRefusal is the time that a refusal takes if nothing was hashed for it: of a signature, or of
// a client that must wait. Looking up a user who is active, one who is not and one who does not exist
// takes a different number of microseconds each.
const ShortestRefusal = 2 * time.Millisecond

// pace makes every wrong password take the same time, whatever it was compared with.
//
// Users have hashes of several kinds and costs, and decoys follow them only on average ([Census]):
// users who have logged in, or have just been written, have other kinds. So an answer waits until a
// fixed time after its request: the time of the slowest kind, and room for a busy machine. An answer
// that is not ready by then waits for as long again. The wait for a turn does not count: it depends on
// other requests only.
//
// With a slowest kind of 70 ms, a wrong password is answered 210 ms after its request; if a busy
// machine needs 250 ms, after 420 ms.
//
// Nothing is random: a client that asks often enough averages a random pause out. Few answers wait at
// once, because each of them has been hashed.
type pace struct {
	exact bool // see [Passwords.PauseExactly]

	mu      sync.Mutex               // protects all below
	least   map[string]time.Duration // by [costClass]: the time of an undisturbed comparison
	slowest time.Duration            // the longest of these
}

// PauseExactly makes refusals wait for timers of the system instead of the runtime's, if the system
// has any. Call it before the first check.
func (p *Passwords) PauseExactly() { p.pace.exact = true }

// PauseRefusal waits until a refusal for which nothing was hashed may be answered. taken is the time
// that the decision has taken so far.
func (p *Passwords) PauseRefusal(taken time.Duration) {
	p.pace.pause(time.Now().Add(ShortestRefusal - taken))
}

// Learn records how long a comparison with a stored hash took, as if p had made it.
func (p *Passwords) Learn(stored string, took time.Duration) { p.pace.learn(stored, took) }

// pause waits until the moment of a refusal. It takes a moment, not a duration: work between its
// calculation and the pause would show otherwise.
func (p *pace) pause(until time.Time) {
	if p.exact {
		pauseExactly(until)
		return
	}
	time.Sleep(time.Until(until))
}

// maxRoom keeps the answer within the time that proxies wait, even for the slowest kinds.
const maxRoom = 500 * time.Millisecond

// learn records how long a comparison took. Of several with the same kind the shortest counts: the
// others had to share their processor.
func (p *pace) learn(stored string, took time.Duration) {
	class := costClass(stored)
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, known := p.least[class]; known && before <= took {
		return
	}
	if p.least == nil {
		p.least = make(map[string]time.Duration)
	}
	p.least[class] = took
	p.slowest = 0
	for _, least := range p.least {
		p.slowest = max(p.slowest, least)
	}
}

// left returns how long an answer must wait that was ready after this time.
func (p *pace) left(after time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	quantum := p.slowest + min(2*p.slowest, maxRoom)
	if quantum == 0 {
		return 0
	}
	return quantum - after%quantum
}
