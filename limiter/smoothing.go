package limiter

import "time"

// Smoothing lets the allowed rate of a [Window] follow the traffic (Tyk's
// rate_limit_smoothing). It starts at Threshold. It goes up by Step when the count of the
// window reaches allowed − Trigger × Step, and down by Step when the count falls to
// allowed − Step − Trigger × Step: at most once per Delay, never above the window's rate
// and never below Threshold.
//
// The count is evaluated when a request comes. While the window is empty the allowed rate
// goes down as well, so a client that comes back in the morning does not find the rate of
// the night before.
type Smoothing struct {
	Threshold int64 // requests per window, at least 1
	Step      int64 // requests per window, 1 to 2^40
	Trigger   float64
	Delay     time.Duration
}

// SetSmoothing smooths the window from now on, or ends that if s is nil. If it was smoothed
// in the same way, the allowed rate stays as it is.
func (w *Window) SetSmoothing(s *Smoothing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case s == nil:
		w.smoothed = nil
	case w.smoothed == nil || w.smoothed.Smoothing != *s:
		w.smoothed = &smoothed{Smoothing: *s, allowed: min(s.Threshold, w.n)}
	}
}

// smoothed is the state of a window's smoothing. Times are Now.Mono.
type smoothed struct {
	Smoothing
	allowed int64 // requests per window
	moved   bool  // whether changed says anything yet
	changed int64 // when allowed last went up or down
	empty   int64 // when the last admit leaves the window
}

// follow moves the allowed rate after a count, between the threshold and maxAllowed.
func (s *smoothed) follow(now, count, maxAllowed int64) {
	s.decay(now, count)
	if s.moved && now-s.changed < int64(s.Delay) {
		return
	}
	reach := float64(s.allowed) - s.Trigger*float64(s.Step)
	switch {
	case float64(count) >= reach && s.allowed < maxAllowed:
		s.move(now, min(maxAllowed, AddSaturating(s.allowed, s.Step)))
	case float64(count) <= reach-float64(s.Step) && s.allowed > s.Threshold:
		s.move(now, max(s.Threshold, s.allowed-s.Step))
	}
}

func (s *smoothed) move(now, allowed int64) {
	s.allowed, s.changed, s.moved = allowed, now, true
}

// decay takes the steps down that were due while the window was empty, as long as a count of
// zero is low enough for them.
func (s *smoothed) decay(now, count int64) {
	low := float64(s.allowed) - s.Trigger*float64(s.Step) - float64(s.Step)
	if count > 0 || !s.moved || s.Delay <= 0 || low < 0 || s.allowed <= s.Threshold {
		return
	}
	since := max(s.changed, s.empty-int64(s.Delay)) // the first is due when the window is empty
	due := (now - since) / int64(s.Delay)
	if due <= 0 {
		return
	}
	toThreshold := (s.allowed - s.Threshold + s.Step - 1) / s.Step
	steps := min(due, toThreshold, int64(low/float64(s.Step))+1)
	s.move(since+steps*int64(s.Delay), max(s.Threshold, s.allowed-steps*s.Step))
}
