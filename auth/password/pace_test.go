package password

import (
	"testing"
	"time"
)

const (
	tenHash    = "$2a$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
	twelveHash = "$2a$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
)

func TestPace(t *testing.T) {
	var p pace
	f := func(after, want time.Duration) {
		t.Helper()
		if got := after + p.left(after); got != want {
			t.Errorf("ready after %v: answered after %v, want %v", after, got, want)
		}
	}
	const ms = time.Millisecond
	f(7*ms, 7*ms) // nothing is known yet
	p.learn(tenHash, 70*ms)
	f(0, 210*ms)
	f(209*ms, 210*ms)
	f(210*ms, 420*ms)
	f(1000*ms, 1050*ms)
	p.learn(tenHash, 900*ms) // disturbed
	f(0, 210*ms)
	p.learn(twelveHash, 1600*ms)
	f(100*ms, 2100*ms)
	f(400*ms, 2100*ms)
	p.learn(twelveHash, 300*ms) // the first one was disturbed
	f(100*ms, 800*ms)
	f(400*ms, 800*ms)
	p.learn(tenHash, 60*ms)
	f(100*ms, 800*ms)
}
