package limiter

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// 100 per 10 s, from 20 in steps of 10, a change at most every 5 s. With a trigger of
// half a step it goes up at a count of 5 below what is allowed, and down at 15 below.
func TestSmoothingLedger(t *testing.T) {
	w := NewWindow(100, 10)
	w.SetSmoothing(&Smoothing{Threshold: 20, Step: 10, Trigger: 0.5, Delay: 5 * time.Second})
	for i, row := range []struct {
		at        float64 // seconds
		asked     int
		admitted  int
		allowed   int64 // after the last request
		remaining int64
		why       string
	}{
		{0, 10, 10, 20, 10, "starts at the threshold"},
		{0.5, 5, 5, 20, 5, "the 15th is asked for at a count of 14"},
		{1, 1, 1, 30, 14, "a count of 15: up"},
		{2, 9, 9, 30, 5, "a count of 24"},
		{3, 20, 5, 30, 0, "a count of 25, but 5 s have not passed"},
		{5.9, 5, 0, 30, 0, "refusals are free"},
		{6, 20, 10, 40, 0, "5 s after the last change: up"},
		{10, 1, 1, 40, 9, "10 have left: a count of 30 is neither up nor down"},
		{11.5, 5, 5, 30, 0, "16 have left: a count of 25, down"},
		{16.4, 1, 1, 30, 23, "a count of 6, but 5 s have not passed"},
		{16.5, 3, 3, 20, 10, "down to the threshold"},
		{22, 1, 1, 20, 15, "never below it"},
		{40, 1, 1, 20, 19, "empty at the threshold"},
		{41, 29, 29, 30, 0, "up at a count of 15, in the middle of a burst"},
		{46, 20, 10, 40, 0, "up"},
		{51, 1, 1, 30, 19, "a count of 10: down"},
		{60.9, 0, 0, 30, 29, "no request comes, nothing changes"},
		{71, 1, 1, 20, 19, "empty since 61: down without requests"},
	} {
		admitted := 0
		now := Now{Mono: int64(row.at * float64(time.Second))}
		for range row.asked {
			if Admit(now, Limits{Rate: w}).Outcome == Admitted {
				admitted++
			}
		}
		s := w.State(now)
		if admitted != row.admitted || s.Limit != row.allowed || s.Remaining != row.remaining {
			t.Errorf("row %d, %v s, %s: admitted %d, allowed %d, remaining %d; want %d, %d, %d",
				i, row.at, row.why, admitted, s.Limit, s.Remaining, row.admitted, row.allowed, row.remaining)
		}
	}
}

// The definition, step by step, over all admits.
type smoothingModel struct {
	Smoothing
	rate, allowed, per int64
	moved              bool
	changed            int64
	admits             []int64
}

func (m *smoothingModel) count(now int64) (count int64) {
	for _, at := range m.admits {
		if now-at < m.per {
			count++
		}
	}
	return count
}

func (m *smoothingModel) look(now int64, down bool) {
	if m.moved && now-m.changed < int64(m.Delay) {
		return
	}
	count, reach := float64(m.count(now)), float64(m.allowed)-m.Trigger*float64(m.Step)
	before := m.allowed
	if count >= reach && !down {
		m.allowed = min(m.rate, m.allowed+m.Step)
	} else if count <= reach-float64(m.Step) {
		m.allowed = max(m.Threshold, m.allowed-m.Step)
	}
	if m.allowed != before {
		m.moved, m.changed = true, now
	}
}

func (m *smoothingModel) admit(now, before int64) bool {
	// While the window is empty, it goes down by itself at every moment that a change is due.
	if last := len(m.admits) - 1; last >= 0 && m.moved {
		for at := max(m.changed+int64(m.Delay), m.admits[last]+m.per, before); at <= now; at = max(at+1, m.changed+int64(m.Delay)) {
			allowed := m.allowed
			if m.look(at, true); m.allowed == allowed {
				break
			}
		}
	}
	m.look(now, false)
	if m.count(now) >= m.allowed {
		return false
	}
	m.admits = append(m.admits, now)
	return true
}

func TestSmoothingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(1, 30).Draw(t, "rate")
		m := &smoothingModel{rate: rate, per: rapid.Int64Range(1, 40).Draw(t, "per")}
		m.Smoothing = Smoothing{
			Threshold: rapid.Int64Range(1, rate).Draw(t, "threshold"),
			Step:      rapid.Int64Range(1, 12).Draw(t, "step"),
			Trigger:   float64(rapid.IntRange(0, 8).Draw(t, "trigger")) / 4,
			Delay:     time.Duration(rapid.Int64Range(1, 30).Draw(t, "delay")),
		}
		m.allowed = m.Threshold
		w := NewWindow(float64(rate), float64(m.per)/1e9)
		w.SetSmoothing(&m.Smoothing)
		now := int64(0)
		for i := range 200 {
			before := now
			now += rapid.Int64Range(0, 6).Draw(t, "pause")
			if rapid.IntRange(0, 20).Draw(t, "idle") == 0 {
				now += rapid.Int64Range(0, 200).Draw(t, "night")
			}
			got := Admit(Now{Mono: now}, Limits{Rate: w})
			if want := m.admit(now, before); (got.Outcome == Admitted) != want || got.Rate.Limit != m.allowed {
				t.Fatalf("request %d at %d: %v with %d allowed, want %v with %d", i, now, got.Outcome, got.Rate.Limit, want, m.allowed)
			}
		}
	})
}
