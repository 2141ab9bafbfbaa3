package password

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/internal/testutil"
)

// bcrypt itself stops reading at the 72nd byte and takes a NUL for the end. Matches refuses the
// passwords that bcrypt would therefore take for equal.
func TestBcrypt(t *testing.T) {
	const cost = Bcrypt(4) // the least there is: these tests are not about time
	make := func(password string) string {
		t.Helper()
		hash, err := cost.Make([]byte(password))
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	f := func(stored, password string, want bool) {
		t.Helper()
		if got := cost.Matches(stored, []byte(password)); got != want {
			t.Errorf("%q against %q: %v", password, stored, got)
		}
	}
	pw := make("pw")
	f(pw, "pw", true)
	f(pw, "PW", false)
	f(pw, "p", false)
	f(pw, "pw ", false)
	f(pw, "", false)
	f("", "pw", false)
	f("", "", false)
	f("pw", "pw", false)
	f("$2a$04$", "pw", false)
	f(pw[:59], "pw", false)
	f(pw, pw, false) // the stored hash is no password
	if !cost.Current(pw) || Bcrypt(5).Current(pw) || cost.Current("plain:pw") || cost.Current("") {
		t.Error("the cost of a hash is not told")
	}
	if cost.Kind() != "bcrypt" || cost.MaxPassword() != 72 {
		t.Errorf("%s of %d bytes", cost.Kind(), cost.MaxPassword())
	}

	// T-40: the 73rd byte.
	longest := strings.Repeat("p", 72)
	full := make(longest)
	f(full, longest, true)
	f(full, longest+"x", false)
	f(full, longest+longest, false)
	f(full, longest[:71], false)
	if _, err := cost.Make([]byte(longest + "x")); err == nil {
		t.Error("T-40: a hash was made of 73 bytes")
	}
	// T-41: a NUL, and other control characters.
	f(pw, "pw\x00", false)
	f(pw, "pw\x00x", false)
	f(pw, "\x00pw", false)
	f(pw, "\x00", false)
	f(pw, "pw\n", false)
	f(make("\x00"), "", false)
	f(make("\x00"), "\x00", false)
	// An imported hash of the empty password matches no login.
	f(make(""), "", false)
	f(make(""), "\x00", false)
	f(make(""), "\x00\x00\x00", false)
}

// One comparison of a wrong, a long, an empty and an illegal password takes the same
// work: a refusal that came at once would tell why.
func TestT11RefusalsCostAHash(t *testing.T) {
	const cost = Bcrypt(5)
	hash, err := cost.Make([]byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	passwords := map[string]string{"right": "pw", "wrong": "pw2", "72 bytes": strings.Repeat("p", 72), "73 bytes": strings.Repeat("p", 73),
		"1024 bytes": strings.Repeat("p", 1024), "empty": "", "NUL": "pw\x00"}
	// The best of many rounds, in each of which all have their turn: whatever else the
	// machine does disturbs them alike.
	best := make(map[string]time.Duration)
	for range 9 {
		for name, password := range passwords {
			start := time.Now()
			cost.Matches(hash, []byte(password))
			if took := time.Since(start); best[name] == 0 || took < best[name] {
				best[name] = took
			}
		}
	}
	for name, took := range best {
		if took < best["right"]/2 {
			t.Errorf("%s takes %v, the right one %v", name, took, best["right"])
		}
	}
}

func TestPasswordsArgon2id(t *testing.T) {
	var a Argon2id
	stored, err := a.Make([]byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(stored, password string, want bool) {
		t.Helper()
		if got := a.Matches(stored, []byte(password)); got != want {
			t.Errorf("%q against %q: %v", password, stored, got)
		}
	}
	f(stored, "pw", true)
	f(stored, "pW", false)
	f(stored, "", false)
	f(stored, strings.Repeat("p", 1025), false)
	if !a.Current(stored) || a.Current(strings.Replace(stored, "m=19456", "m=19457", 1)) || a.Kind() != "argon2id" || a.MaxPassword() != 1024 {
		t.Errorf("%s is not current", stored)
	}
	// A hash that cannot be read, or asks for more work than an import may, matches nothing and costs
	// nothing. (Some of these would take gigabytes, hours or a panic.)
	salt, key := strings.Split(stored, "$")[4], strings.Split(stored, "$")[5]
	for _, bad := range []string{
		"", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$" + salt, stored + "$", stored + "x=", "x" + stored, "$argon2i" + stored[len("$argon2id"):],
		"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=0,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=7,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=4294967296,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=262145,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=17,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=17$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=257$" + salt + "$" + key,
		"$argon2id$v=19$m=019456,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=+19456,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=-1,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456, t=2, p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1,x=1$" + salt + "$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$",
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$" + key,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$a2V5",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key + "=",
		"$argon2id$v=19$m=19456,t=2,p=1$" + strings.Repeat("A", 100) + "$" + key,
	} {
		if _, ok := parseArgon(bad); ok {
			t.Errorf("%q can be read", bad)
		}
		f(bad, "pw", false)
	}
}

// T-10, T-11: an unknown user and one without a password cost a comparison as a known
// one does, with the decoy, and fail even where the comparison says yes (Traefik
// CVE-2026-41263, CVE-2026-85595).
func TestT10UnknownNeverMatches(t *testing.T) {
	hash := &testutil.PlainHash{}
	p, err := NewPasswords(hash, 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	f := func(password, stored string, want bool) {
		t.Helper()
		got, err := p.Check(nil, Attempt{Org: "default", User: []byte("ann"), Password: []byte(password), Hash: stored})
		if err != nil || got != want {
			t.Errorf("%q against %q: %v, %v", password, stored, got, err)
		}
		asked := hash.Take()
		compared := stored
		if stored == "" {
			compared = p.decoy
		}
		if len(asked) != 1 || asked[0] != (testutil.Comparison{Stored: compared, Password: password}) {
			t.Errorf("%q against %q: compared %q", password, stored, asked)
		}
	}
	f("pw", testutil.Plain("pw"), true)
	f("pw", testutil.Plain("other"), false)
	f("pw", "", false)
	// The decoy's own password.
	f(strings.TrimPrefix(p.decoy, "plain:"), "", false)
	f(p.decoy, "", false)
	hash.Lenient = true
	f("pw", testutil.Plain("other"), true)
	f("pw", "", false)
	f("", "", false)

	// It cannot be known: each process draws another one.
	again, _ := NewPasswords(hash, 1, time.Minute)
	if again.decoy == p.decoy || len(p.decoy) < len("plain:")+20 {
		t.Errorf("decoys %q and %q", p.decoy, again.decoy)
	}
}

// Each hash is read by its own kind, not by the kind that is configured for new ones.
func TestPasswordsOfEveryKind(t *testing.T) {
	bcrypted, _ := Bcrypt(4).Make([]byte("pw"))
	argoned, _ := Argon2id{}.Make([]byte("pw"))
	for _, configured := range []Hash{Bcrypt(4), Argon2id{}} {
		p, err := NewPasswords(configured, 1, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, stored := range []string{bcrypted, argoned} {
			for password, want := range map[string]bool{"pw": true, "wrong": false} {
				got, err := p.Check(nil, Attempt{Org: "default", User: []byte("ann"), Password: []byte(password), Hash: stored})
				if got != want || err != nil {
					t.Errorf("%s configured, %q against %s: %v, %v", configured.Kind(), password, stored, got, err)
				}
			}
			if got, want := p.Outdated(stored), !strings.HasPrefix(stored, p.decoy[:4]); got != want {
				t.Errorf("%s configured: %s is outdated: %v", configured.Kind(), stored, got)
			}
		}
		hash, kind, err := p.Make(t.Context(), "new")
		if err != nil || kind != configured.Kind() || p.Kind() != kind || p.MaxPassword() != configured.MaxPassword() || p.Outdated(hash) {
			t.Errorf("%s made %s of kind %s, %v", configured.Kind(), hash, kind, err)
		}
	}
}

// If as many passwords as allowed are hashed and wait, the next one is refused at once. One that waits
// too long is refused, too (T-44).
func TestPasswordsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const concurrent, queue, patience = 2, 32, 3 * time.Second
		hash := &testutil.PlainHash{Gate: make(chan struct{})}
		p, err := NewPasswords(hash, concurrent, patience)
		if err != nil {
			t.Fatal(err)
		}
		type answer struct {
			matches bool
			err     error
			after   time.Duration
		}
		answers := make(chan answer, 100)
		start := time.Now()
		login := func(user int) {
			matches, err := p.Check(nil, Attempt{Org: "default", User: []byte{byte(user)}, Password: []byte("pw"), Hash: testutil.Plain("pw")})
			answers <- answer{matches, err, time.Since(start)}
		}
		for i := range concurrent + queue {
			go login(i)
		}
		synctest.Wait()
		if got := hash.Count.Load(); got != concurrent {
			t.Errorf("%d are hashed at once", got)
		}
		if len(answers) != 0 {
			t.Errorf("%d were refused though there was room", len(answers))
		}
		for i := range 10 {
			go login(100 + i)
		}
		synctest.Wait()
		for range 10 {
			if a := <-answers; a.err != ErrBusy || a.matches || a.after != 0 {
				t.Errorf("beyond the queue: %+v", a)
			}
		}
		// One is done, and the first that waits goes on.
		hash.Gate <- struct{}{}
		if a := <-answers; a.err != nil || !a.matches {
			t.Errorf("%+v", a)
		}
		synctest.Wait()
		if got := hash.Count.Load(); got != concurrent+1 {
			t.Errorf("%d were hashed", got)
		}
		// There is room for one more, now and not before.
		go login(200)
		go login(201)
		synctest.Wait()
		if a := <-answers; a.err != ErrBusy {
			t.Errorf("%+v", a)
		}
		// No hash finishes: the waiting request is refused in time.
		for range queue {
			if a := <-answers; a.err != ErrBusy || a.after != patience {
				t.Errorf("%+v", a)
			}
		}
		for range concurrent {
			hash.Gate <- struct{}{}
			if a := <-answers; a.err != nil || !a.matches {
				t.Errorf("%+v", a)
			}
		}
		if waiting := p.turns.length(); waiting != 0 || p.Counts().Open != 0 || p.turns.free != concurrent {
			t.Errorf("%d wait, %d flights, %d slots are free", waiting, p.Counts().Open, p.turns.free)
		}
	})
}

// The operator waits as long as it takes, or until the request is gone.
func TestPasswordsMake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &testutil.PlainHash{Gate: make(chan struct{})}
		p, _ := NewPasswords(hash, 1, time.Second)
		go p.Check(nil, Attempt{Org: "default", User: []byte("ann"), Password: []byte("pw"), Hash: testutil.Plain("pw")})
		synctest.Wait()
		gone, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := p.Make(gone, "new"); err != ErrBusy {
			t.Errorf("%v", err)
		}
		made := make(chan string)
		go func() {
			stored, kind, err := p.Make(t.Context(), "new")
			made <- stored + " " + kind
			if err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		hash.Gate <- struct{}{}
		if got := <-made; got != "plain:new plain" {
			t.Error(got)
		}
	})
}
