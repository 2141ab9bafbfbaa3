package limiter

// Retire ends limits whose memory can be given up: forgetting them, and making them anew
// from what the ledger keeps, would admit nobody earlier and nobody later. It ends all of
// them and returns true, or none. Who still holds one that has ended is told to look the
// user up again ([Retired]).
//
// A window can be given up when it is empty, a smoothed one when its allowed rate is where
// it began. Of a quota the ledger must keep exactly what was used: where more is reserved,
// the ledger is asked for less, so that Retire succeeds once it has answered.
func Retire(now Now, windows []*Window, quotas []*Quota) bool {
	// All locks, so that no request is charged between the look and the end. Windows
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
	settled := true
	for _, q := range quotas {
		if q != nil && !q.settledLocked(now.Wall) {
			q.giveBackLocked()
			settled = false
		}
	}
	if !settled {
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
// an older window of the same user was retired, counts as coming now: else it would leave
// the window before its time.
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

// settledLocked reports whether the ledger keeps all that there is to know of the quota.
func (q *Quota) settledLocked(wall int64) bool {
	return !q.closed && q.pending == nil && !q.failed && q.waiting == 0 && q.used == q.reserved &&
		(!q.begunLocked(wall) || q.toldAllLocked())
}

// giveBackLocked asks the ledger to keep what was used and no more. Requests that come
// meanwhile wait for its answer as for any other.
func (q *Quota) giveBackLocked() {
	if q.closed || q.pending != nil || q.waiting > 0 || q.used == q.reserved && !q.failed {
		return
	}
	q.reserved, q.step = q.used, 0
	p := &pending{done: make(chan struct{})}
	q.pending = p
	r := Reservation{Generation: q.generation, Start: q.start, Reserved: q.used}
	q.ledger.Reserve(q.key, r, func(err error) { q.reservedNow(p, r, err) })
}
