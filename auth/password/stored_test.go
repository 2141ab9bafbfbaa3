package password

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// T-42: only hashes in one of the known forms, at a cost that can be waited for, are
// compared with.
func TestT42UsableHashes(t *testing.T) {
	made, err := bcrypt.GenerateFromPassword([]byte("pw"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	tail := strings.TrimPrefix(string(made), "$2a$04$")
	argon := argonString("pw", 64, 1, 1, 16, 32)
	f := func(stored string, want bool) {
		t.Helper()
		if got := usable(stored); got != want {
			t.Errorf("%q: %v, want %v", stored, got, want)
		}
	}
	for cost := range 100 {
		f(fmt.Sprintf("$2a$%02d$%s", cost, tail), cost >= 4 && cost <= 14)
	}
	f("$2b$10$"+tail, true)
	f("$2y$10$"+tail, true)
	f("$2x$10$"+tail, false) // PHP's broken one
	f("$2$10$"+tail, false)
	f("$2a$4$"+tail, false)
	f("$2a$+4$"+tail, false)
	f("$2a$10$"+tail+"x", false)
	f("$2a$10$"+tail[1:], false)
	f("$2a$10$"+tail[1:]+"\n", false)
	f("$2a$10$"+tail[1:]+"\x00", false)
	f("$2a$10$"+tail[1:]+"=", false)
	f(" $2a$10$"+tail, true) // no kind that is known: the configured one says no
	f(argon, true)
	f(strings.Replace(argon, "m=64", "m=99999999", 1), false)
	f(strings.Replace(argon, "t=1", "t=99", 1), false)
	f("$argon2id$", false)
	f("", false)
}

// T-42: a stored hash at a cost of 40 hours is answered in the time of any other refusal,
// whatever password is presented, and so is one that is none.
func TestT42AbsurdCost(t *testing.T) {
	p, err := NewPasswords(Bcrypt(bcrypt.MinCost), 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	made, err := Bcrypt(bcrypt.MinCost).Make([]byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	for _, stored := range []string{
		strings.Replace(made, "$04$", "$15$", 1), strings.Replace(made, "$04$", "$31$", 1), strings.Replace(made, "$2a$", "$2x$", 1), made[:40],
		"$argon2id$v=19$m=4194304,t=1000,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
	} {
		began := time.Now()
		matches, err := p.MatchesForOperator(stored, []byte("pw"))
		if matches || err != nil {
			t.Errorf("%s: %v, %v", stored, matches, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Fatalf("%s: took %v", stored, took)
		}
	}
	if matches, err := p.MatchesForOperator(made, []byte("pw")); !matches || err != nil {
		t.Errorf("%s: %v, %v", made, matches, err)
	}
}

// FuzzUsable, T-42: whatever is stored, comparing with it neither panics nor takes long, and it
// is never right by itself.
func FuzzUsable(f *testing.F) {
	made, err := bcrypt.GenerateFromPassword([]byte("pw"), bcrypt.MinCost)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", "$", "$2", "$2a$", "$2a$04$", "$2a$31$" + string(made[7:]), "$2x$04$" + string(made[7:]), string(made), string(made) + "\n",
		argonString("pw", 64, 1, 1, 8, 16), "$argon2id$v=19$m=8,t=1,p=1$$", "$argon2id$v=19$m=08,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "$argon2i$v=19$m=8,t=1,p=1$x$y",
	} {
		f.Add(seed, "pw")
	}
	p, err := NewPasswords(Bcrypt(bcrypt.MinCost), 1, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, stored, password string) {
		if len(stored) > 1024 {
			return
		}
		if h, ok := parseArgon(stored); ok && uint64(h.memory)*uint64(h.passes) > 1<<12 {
			return // allowed, and slow for a fuzzer
		}
		if boundedBcrypt.MatchString(stored) && stored[4:6] > "06" {
			return
		}
		matches, err := p.MatchesForOperator(stored, []byte(password))
		if err != nil {
			t.Fatal(err)
		}
		if matches && (!usable(stored) || password == "" || password == stored || len(password) > MaxPassword) {
			t.Fatalf("%q is right for %q", password, stored)
		}
	})
}
