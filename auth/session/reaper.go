package session

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Removable is the part of a store that a [Reaper] needs.
type Removable interface {
	// Scan calls f for up to n users after a name, in the order of their names. It returns the last
	// name, and whether there are more.
	Scan(after Name, n int, f func(Brief)) (last Name, more bool, err error)
	// Update replaces a record with the one that edit returns; nil removes it. It may call edit twice:
	// the last call counts.
	Update(org, user string, edit func(old *Record) (*Record, error)) (Record, error)
}

// Reaper removes the records of sessions whose time is over (see [Lifetime.RemoveAt]). No decision
// depends on it: each request checks whether its session has expired.
type Reaper struct {
	Users     Removable
	Policies  func() *Policies // in force
	Every     time.Duration    // from the end of one round to the start of the next
	PerSecond int              // how many records are removed per second at most
	Log       *slog.Logger
}

const (
	reapTick  = 100 * time.Millisecond
	reapChunk = 250 // records looked at per tick
)

// Run removes records, round after round, until ctx ends.
func (r *Reaper) Run(ctx context.Context) {
	for {
		removed := r.round(ctx)
		if removed > 0 {
			r.Log.Info("removed expired records", "count", removed)
		}
		if !sleep(ctx, r.Every) {
			return
		}
	}
}

// round looks at every record once, a chunk at a time.
func (r *Reaper) round(ctx context.Context) (removed int) {
	var last Name
	for {
		var due []Name
		next, more, err := r.Users.Scan(last, reapChunk, func(user Brief) {
			if r.over(user.Lifetime) {
				due = append(due, user.Name)
			}
		})
		if err != nil {
			r.Log.Warn("cannot remove expired records", "error", err)
			return removed
		}
		for _, name := range due {
			if !r.remove(name) {
				continue
			}
			removed++
			if !sleep(ctx, time.Second/time.Duration(r.PerSecond)) {
				return removed
			}
		}
		if !more || !sleep(ctx, reapTick) {
			return removed
		}
		last = next
	}
}

var errRenewed = errors.New("the record must not be removed any more")

// remove removes a record whose time is over. It checks that again in the transaction that removes it,
// because the record may have been renewed since the scan.
func (r *Reaper) remove(name Name) bool {
	_, err := r.Users.Update(name.Org, name.User, func(old *Record) (*Record, error) {
		if old == nil || !r.over(old.Session.Lifetime()) {
			return nil, errRenewed
		}
		return nil, nil
	})
	if err != nil && !errors.Is(err, errRenewed) {
		r.Log.Warn("cannot remove an expired record", "org", name.Org, "user", name.User, "error", err)
	}
	return err == nil
}

func (r *Reaper) over(l Lifetime) bool {
	policies, _ := r.Policies().Use(l.ApplyPolicies)
	at, ever := l.RemoveAt(policies)
	return ever && at <= time.Now().Unix()
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
