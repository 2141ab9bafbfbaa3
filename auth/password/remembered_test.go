package password

import (
	"bytes"
	"strings"
	"testing"
)

func TestRemembered(t *testing.T) {
	var r Remembered
	r.key[0] = 1
	f := func(password string, mono int64, want bool) {
		t.Helper()
		if got := r.Knows([]byte(password), mono); got != want {
			t.Errorf("%.40q at %d: %v", password, mono, got)
		}
	}
	f("", 0, false)
	f("pw", 0, false)
	r.Learn([]byte("pw"), 0, 100, nil)
	f("pw", 0, true)
	f("pw", 99, true)
	f("pw", 100, false)
	f("pw", 101, false)
	f("pW", 0, false)
	f("p", 0, false)
	f("", 0, false)
	f("pw\x00", 0, false)
	f("pw ", 0, false)
	f(strings.Repeat("p", 1024), 0, false)
	// Of two right ones the last is known: there is one memory, however many try.
	r.Learn([]byte("other"), 0, 100, nil)
	f("pw", 0, false)
	f("other", 0, true)
	// The longest, and one that is a byte longer than the memory reads.
	longest := strings.Repeat("p", MaxPassword)
	r.Learn([]byte(longest), 0, 100, nil)
	f(longest, 0, true)
	f(longest+"x", 0, false)
	f(longest[1:], 0, false)
	f(longest+longest, 0, false)
	// Another account's key makes another memory of the same password.
	var other Remembered
	other.last.Store(r.last.Load())
	if other.Knows([]byte(longest), 0) {
		t.Error("what one account remembers lets another one in")
	}
	if last := r.last.Load(); bytes.Contains(last.digest[:], []byte("ppp")) {
		t.Error("the password itself is kept")
	}
}
