package password

import (
	"fmt"
	"testing"
	"time"

	"sidekey/internal/testutil"
)

// Hashes whose comparison takes the same time are one class, with any salt.
func TestCostClass(t *testing.T) {
	seen := make(map[string]string)
	for _, same := range [][]string{
		{"$2a$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "$2y$10$zbcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"},
		{"$2a$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"},
		{"$apr1$abcdefgh$ABCDEFGHIJKLMNOPQRSTU1", "$apr1$zbcdefgh$ABCDEFGHIJKLMNOPQRSTU1"},
		{"{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="},
		{"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI", "$argon2id$v=19$m=19456,t=2,p=1$d2FsdHNhbHRzYWx0c2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"},
		{"", "plain", "$2a$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"},
	} {
		class := costClass(same[0])
		if other, taken := seen[class]; taken {
			t.Errorf("%q and %q are of class %q", same[0], other, class)
		}
		seen[class] = same[0]
		for _, hash := range same {
			if got := costClass(hash); got != class {
				t.Errorf("%q: %q, and %q: %q", hash, got, same[0], class)
			}
		}
	}
}

// Names that do not exist get the kinds that users have, as often, and always the same.
func TestT11DecoysFollowUsers(t *testing.T) {
	p, err := NewPasswords(&testutil.PlainHash{}, 1, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.decoyFor("default", []byte("absent")); got != p.decoy {
		t.Errorf("before the first count: %q", got)
	}
	census := NewCensus()
	for i := range 100 {
		if i < 30 {
			census.Add(tenHash)
		} else {
			census.Add(twelveHash)
		}
		census.Add("") // a user without a password
	}
	p.SetCensus(census, []byte("key"))
	count := make(map[string]int)
	for i := range 10_000 {
		name := []byte(fmt.Sprint("user", i))
		decoy := p.decoyFor("default", name)
		if p.decoyFor("default", name) != decoy {
			t.Fatalf("%s has two decoys", name)
		}
		count[decoy]++
	}
	if n := count[tenHash]; len(count) != 2 || n < 2800 || n > 3200 {
		t.Errorf("%v, where 30 %% have one and 70 %% the other", count)
	}
	other := make(map[string]bool)
	p.SetCensus(census, []byte("another key"))
	for i := range 100 {
		other[p.decoyFor("default", []byte(fmt.Sprint("user", i)))] = true
	}
	if len(other) != 2 {
		t.Errorf("%v", other)
	}
	p.SetCensus(NewCensus(), []byte("key"))
	if got := p.decoyFor("default", []byte("absent")); got != p.decoy {
		t.Errorf("no user is left: %q", got)
	}
}
