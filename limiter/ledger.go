package limiter

import "errors"

// ErrStale is the answer of a [Ledger] to an ask about a quota that an edit, a reset or a
// deletion of its user has ended. The Quota that asked must admit no further request.
var ErrStale = errors.New("quota was reset, edited or deleted")

// Ledger is the durable memory of quotas. A [Quota] spends only what its ledger has granted,
// so several processes with one ledger share one quota.
type Ledger interface {
	// Reserve asks for ask.Want requests of a quota. It makes the grant durable and then calls
	// done once, from any goroutine, with the grant, with [ErrStale], or with an error after
	// which it is unknown whether the ledger made the grant. A ledger computes the grant from its
	// record of the quota with [Reservation.Grant].
	//
	// Reserve never blocks, and never calls done before it returns. A ledger may wait for
	// other asks to share a write with, until Hurry is called. It answers the asks for one
	// quota in the order in which it received them.
	Reserve(key QuotaKey, ask Ask, done func(Grant, error))
	// Hurry says that a request is waiting for the answer to an earlier Reserve.
	Hurry()
}

// QuotaKey names one quota: a user's own (Scope "") or one of its narrower ones.
type QuotaKey struct {
	Org, User, Scope string
}

// Reservation is the durable state of a quota: {Generation: 3, Start: t, Reserved: 40} says
// that in the period that began at t at most 40 requests were admitted, and that it holds as
// long as the user's record has generation 3.
type Reservation struct {
	Generation uint64 // of the user's record; a write that starts the quotas afresh raises it
	Start      int64  // first moment of the period, Unix nanoseconds; 0 = none has begun
	Reserved   int64  // requests of the period that are granted: admitted or not
	Returned   int64  // requests of the period that were granted and given back; 0 if a single process asks
}

// Ask asks a ledger for a part of a quota, a block that the asking process then spends
// without the ledger.
type Ask struct {
	// Want is how many requests are asked for. A negative number gives back as many of those
	// that were granted earlier and not used.
	Want int64
	// Seen is the reservation that the ledger reported last. The requests in it were certainly
	// granted and given back, so a ledger that has lost a write adopts these numbers.
	Seen Reservation

	Max     int64 // requests per period
	Renewal int64 // length of a period in nanoseconds; 0 = it never ends
	Wall    int64 // the asking process's clock, Unix nanoseconds
}

// Grant is a ledger's answer to an [Ask].
type Grant struct {
	Reservation       // what the ledger holds now, for all who ask it
	Count       int64 // requests that the asking process may spend; negative: given back
}

// Grant returns the answer to ask of a ledger that holds r. The answer's Reservation is to
// be stored in place of r. For a quota of 100 of which 95 are reserved, an ask for 10 is
// granted 5, and the next one 0 until the period ends.
//
// Only this function decides whether a period is over and whether the maximum is reached. A period ends when its renewal has passed on the clock of an ask for more. Its start never
// moves back, so a clock that steps back stays in the period. The caller must have checked
// that ask.Seen.Generation is that of the user's record, else the answer is [ErrStale].
//
// alone says that no other process asks this ledger. Requests in r beyond ask.Seen were then
// granted to an ask whose outcome its process never learned, and are granted again. With several
// processes, another one may be using them, so they stay reserved.
func (r Reservation) Grant(ask Ask, alone bool) Grant {
	if r.Generation != ask.Seen.Generation {
		r = Reservation{} // of quotas that have ended
	}
	g := Grant{Reservation: ask.Seen}
	switch {
	case r.Start > ask.Seen.Start:
		if g.Reservation = r; alone {
			g.Reserved = 0
		}
	case r.Start == ask.Seen.Start && !alone:
		granted := max(r.Reserved+r.Returned, ask.Seen.Reserved+ask.Seen.Returned)
		g.Returned = max(r.Returned, ask.Seen.Returned)
		g.Reserved = granted - g.Returned
	}
	switch {
	case ask.Want > 0:
		if !g.inPeriod(ask.Wall, ask.Renewal) {
			g.Start, g.Reserved, g.Returned = max(ask.Wall, AddSaturating(g.Start, 1)), 0, 0
		}
		g.Count = min(ask.Want, max(0, ask.Max-g.Reserved))
	case g.Start == ask.Seen.Start:
		if g.Count = max(ask.Want, -g.Reserved); !alone {
			g.Returned -= g.Count
		}
	}
	g.Reserved += g.Count
	return g
}

// inPeriod reports whether wall lies in the period that r describes.
func (r Reservation) inPeriod(wall, renewal int64) bool {
	if r.Start == 0 {
		return false
	}
	return renewal == 0 || wall < AddSaturating(r.Start, renewal)
}
