package limiter

// Retire ends limits whose memory can be given up: if they were forgotten and made again
// from the ledger's record, no request would be admitted earlier or later. It ends all of
// them and returns true, or none. A request that still holds one of them is told to look
// the user up again ([Retired]).
//
// A window can be given up if it is empty, a smoothed one if its allowed rate is where it
// began. Of a quota the ledger must hold exactly what was used. If more is reserved, Retire
// gives that back, and succeeds once the ledger has answered.
func Retire(now Now, windows []*Window, quotas []*Quota) bool {
	// All locks, so that no request is charged between the test and the end. Windows
	// before quotas, as in Admit, which takes one of each.
	for _, w := range windows {
		if w != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
		}
	}
	for _, q := range quotas {
		if q != nil {
			q.mu.Lock()
			defer q.mu.Unlock()
		}
	}
	for _, w := range windows {
		if w != nil && !w.idleLocked(now.Mono) {
			return false
		}
	}
	known := true
	for _, q := range quotas {
		if q != nil && !q.knownLocked(now.Wall) {
			q.releaseLocked()
			known = false
		}
	}
	if !known {
		return false
	}
	for _, w := range windows {
		if w != nil {
			w.retired = true
		}
	}
	for _, q := range quotas {
		if q != nil {
			q.closed = true
		}
	}
	return true
}

// Begin tells a new window the time. A request that came earlier, and was on its way while
// an older window of the same user was retired, counts as coming now. Otherwise it would
// leave the window before its time.
func (w *Window) Begin(now Now) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tickLocked(now.Mono)
}

// idleLocked reports whether a new window would answer like this one from now on.
func (w *Window) idleLocked(asked int64) bool {
	now := w.tickLocked(asked)
	if count, _ := w.log.inWindow(now, w.per, 1); count > 0 {
		return false
	}
	s := w.smoothed
	if s == nil {
		return true
	}
	s.decay(now, 0)
	return s.allowed == min(s.Threshold, w.n) && (!s.moved || now-s.changed >= int64(s.Delay))
}

// knownLocked reports whether the ledger's record says all there is to know of the quota.
func (q *Quota) knownLocked(wall int64) bool {
	return !q.closed && q.pending == nil && !q.failed && q.waiting == 0 && q.used == q.reserved &&
		(!q.begunLocked(wall) || q.reportedAllLocked())
}

// releaseLocked gives back what is reserved and not used. Until the ledger has answered,
// requests wait as they do for any other block.
func (q *Quota) releaseLocked() {
	if q.closed || q.pending != nil || q.waiting > 0 || q.used == q.reserved && !q.failed {
		return
	}
	ask := q.giveBackLocked()
	q.reserved, q.step = q.used, 0
	q.sendLocked(ask)
}
