package password

import (
	"sync"
	"time"
)

// ShortestRefusal is how long it takes to refuse credentials for which nothing is hashed: a
// signature, and those who are told to wait. Looking up a user who is active, one who is
// not and one who does not exist takes a different number of microseconds.
const ShortestRefusal = 2 * time.Millisecond

// pace makes every wrong password take the same time, whatever it was compared with.
//
// Users have hashes of several kinds and costs, and decoys only follow them on the whole
// ([Census]): among those who have logged in, or whom somebody has just written, the
// kinds are others. So an answer waits until a fixed time after its request came: what the
// slowest kind takes, and room for a busy machine. One that is not ready then waits for as
// long once more. Waiting for a turn is not counted: it depends on others alone.
//
// Nothing is random: a pause that is drawn is averaged out by whoever asks often enough.
// Few wait, since each of them has been hashed; the others are refused at once.
type pace struct {
	exact bool // see [Passwords.PauseExactly]

	mu      sync.Mutex               // protects all below
	least   map[string]time.Duration // by [costClass]: of a comparison that nothing disturbed
	slowest time.Duration            // of these
}

// PauseExactly has refusals wait for timers of the system, where it has some, in the place
// of the runtime's. It is to be called before anything is asked.
func (p *Passwords) PauseExactly() { p.pace.exact = true }

// PauseRefusal waits until a refusal for which nothing was hashed may be answered, if the
// decision has taken so long already.
func (p *Passwords) PauseRefusal(taken time.Duration) {
	p.pace.pause(time.Now().Add(ShortestRefusal - taken))
}

// Learn notes how long a comparison with a stored hash took, as if p had made it.
func (p *Passwords) Learn(stored string, took time.Duration) { p.pace.learn(stored, took) }

// pause waits before a refusal, until the moment for it: what has been done since that was
// told would show otherwise.
func (p *pace) pause(until time.Time) {
	if p.exact {
		pauseExactly(until)
		return
	}
	time.Sleep(time.Until(until))
}

// mostRoom keeps the answer within the time that proxies wait, also for the slowest kinds.
const mostRoom = 500 * time.Millisecond

// learn notes how long a comparison took. Of several with the same kind the shortest
// counts: the others had to share their processor.
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

// left returns how long an answer has to wait that was ready after a while.
func (p *pace) left(after time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	quantum := p.slowest + min(2*p.slowest, mostRoom)
	if quantum == 0 {
		return 0
	}
	return quantum - after%quantum
}
