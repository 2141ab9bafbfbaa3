package password

import (
	"fmt"
	"strings"
	"testing"

	"sidekey/internal/testutil"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// argonString makes a stored hash with parameters that Make never uses.
func argonString(password string, memory, passes uint32, lanes uint8, saltLength, keyLength int) string {
	salt := []byte(strings.Repeat("s", saltLength))
	key := argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(keyLength))
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", memory, passes, lanes, encodeArgon(salt), encodeArgon(key))
}

func TestArgon2id(t *testing.T) {
	var a Argon2id
	stored, err := a.Make([]byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := a.Make([]byte("right")); again == stored {
		t.Error("two hashes of one password are the same: the salt is not random")
	}
	if !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored as %s", stored)
	}
	for password, want := range map[string]bool{"right": true, "wrong": false, "": false, "right\x00": false, "righ": false} {
		if got := a.Matches(stored, []byte(password)); got != want {
			t.Errorf("%q matches: %v, want %v", password, got, want)
		}
	}
	if !a.Current(stored) {
		t.Error("what was made just now is not current")
	}

	// The longest password counts to its last byte; a longer one never matches.
	long := strings.Repeat("p", a.MaxPassword())
	if a.MaxPassword() != 1024 {
		t.Errorf("MaxPassword: %d, want 1024", a.MaxPassword())
	}
	if stored, err = a.Make([]byte(long)); err != nil {
		t.Fatal(err)
	}
	if !a.Matches(stored, []byte(long)) || a.Matches(stored, []byte(long[:1023]+"x")) || a.Matches(stored, []byte(long+"p")) {
		t.Error("a password of 1024 bytes is not read as a whole")
	}
}

// Hashes with other parameters are verified, and count as outdated.
func TestArgon2idForeign(t *testing.T) {
	var a Argon2id
	for _, stored := range []string{
		argonString("right", 64, 1, 1, 8, 16),
		argonString("right", 64, 3, 4, 16, 32),
		argonString("right", 1024, 2, 1, 64, 64),
		argonString("right", 128, 1, 16, 16, 32),
	} {
		if !a.Matches(stored, []byte("right")) || a.Matches(stored, []byte("wrong")) {
			t.Errorf("%s: is not checked", stored)
		}
		if a.Current(stored) {
			t.Errorf("%s: is current", stored)
		}
	}
}

func TestArgon2idRefused(t *testing.T) {
	var a Argon2id
	good := argonString("right", 64, 1, 1, 16, 32)
	parts := strings.Split(good, "$")
	with := func(i int, text string) string {
		changed := append([]string(nil), parts...)
		changed[i] = text
		return strings.Join(changed, "$")
	}
	for _, stored := range []string{
		"", "$", "right", "$argon2id$", good + "$", good[1:], " " + good, good[:len(good)-1],
		with(0, "x"),
		with(1, "argon2i"), with(1, "argon2d"), with(1, "ARGON2ID"),
		with(2, "v=16"), with(2, "v=019"), with(2, ""), with(2, "v=19,v=19"),
		// Memory, time and threads that would stop the program.
		with(3, "m=262145,t=1,p=1"), with(3, "m=4294967295,t=1,p=1"), with(3, "m=4294967360,t=1,p=1"),
		with(3, "m=64,t=17,p=1"), with(3, "m=64,t=4294967295,p=1"), with(3, "m=64,t=0,p=1"),
		with(3, "m=64,t=1,p=0"), with(3, "m=1024,t=1,p=17"), with(3, "m=64,t=1,p=257"), with(3, "m=7,t=1,p=1"), with(3, "m=64,t=1,p=9"),
		with(3, "m=-64,t=1,p=1"), with(3, "m=064,t=1,p=1"), with(3, "m=64,t=1,p=1,x=1"), with(3, "t=1,m=64,p=1"), with(3, "m=64,t=1"), with(3, "m= 64,t=1,p=1"),
		with(4, ""), with(4, encodeArgon([]byte("seven77"))), with(4, encodeArgon(make([]byte, 65))), with(4, "!!!"), with(4, parts[4]+"="),
		with(5, ""), with(5, encodeArgon(make([]byte, 15))), with(5, encodeArgon(make([]byte, 65))), with(5, "!!!"), with(5, parts[5]+"="),
	} {
		if a.Matches(stored, []byte("right")) {
			t.Errorf("%q: matches", stored)
		}
		if stored != good && a.Current(stored) {
			t.Errorf("%q: is current", stored)
		}
	}
	if !a.Matches(good, []byte("right")) {
		t.Error("what they were made from does not match")
	}
}

// Each kind reads only its own hashes, and a hash of another kind or cost is outdated.
func TestHashKinds(t *testing.T) {
	argon := argonString("right", 64, 1, 1, 16, 32)
	low, err := bcrypt.GenerateFromPassword([]byte("right"), 4)
	if err != nil {
		t.Fatal(err)
	}
	if (Bcrypt(4)).Matches(argon, []byte("right")) || (Argon2id{}).Matches(string(low), []byte("right")) {
		t.Error("a hash of one kind matches as another")
	}
	for _, c := range []struct {
		hash   Hash
		stored string
		want   bool
	}{
		{Bcrypt(4), string(low), true},
		{Bcrypt(5), string(low), false},
		{Bcrypt(4), argon, false},
		{Bcrypt(4), "", false},
		{Argon2id{}, string(low), false},
		{Argon2id{}, argon, false},
		{Argon2id{}, "", false},
	} {
		if got := c.hash.Current(c.stored); got != c.want {
			t.Errorf("%s: Current(%.20q) = %v, want %v", c.hash.Kind(), c.stored, got, c.want)
		}
	}

	// Whatever is configured for new ones, both kinds log in.
	for _, hash := range []Hash{Bcrypt(4), Argon2id{}} {
		p, err := NewPasswords(hash, 1, testutil.Patience)
		if err != nil {
			t.Fatal(err)
		}
		for _, stored := range []string{argon, string(low)} {
			for password, want := range map[string]bool{"right": true, "wrong": false} {
				got, err := p.Check(nil, Attempt{Org: "default", User: []byte("alice"), Password: []byte(password), Hash: stored})
				if got != want || err != nil {
					t.Errorf("%s: %.12q, %q: %v, %v, want %v", hash.Kind(), stored, password, got, err, want)
				}
			}
		}
	}
}
