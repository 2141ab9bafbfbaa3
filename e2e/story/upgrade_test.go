package story

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// A user written with one kind of password hash logs in when another kind is configured: the stored
// hash is replaced once, in the background, and nothing else of the user changes.
func TestUpgrade(t *testing.T) {
	f := func(name, before, after, wantBefore, wantAfter string) {
		t.Run(name, func(t *testing.T) {
			s := sidekeytest.Start(t, sidekeytest.Listeners+before)
			config := filepath.Join(filepath.Dir(s.DataDir), "sidecar.toml")
			s.PutUser("alice", `{"quota_max":50,"alias":"Alice A.","basic_auth_data":{"password":"right"}}`)
			ask := &script{check: s.CheckAddr, dir: filepath.Dir(s.DataDir)}
			used := int64(0)
			login := func(password string, want int) {
				t.Helper()
				if want == 200 {
					used++
				}
				if a, err := ask.askCheck([]string{"-u", "alice:" + password, "envoy", "/"}); err != nil || a.status != want {
					t.Errorf("login with %s: %v %s, want %d", password, err, a.text, want)
				}
			}
			login("right", 200)
			written := userState(t, s, "alice")
			s.Stop()
			if n := hashes(t, s.DataDir, wantBefore); n != 1 {
				t.Fatalf("%d hashes %s… in the database, want 1", n, wantBefore)
			}

			restart := func() {
				t.Helper()
				*s = *restarted(t, s, config)
			}
			replaced := strings.NewReplacer("passwords.bcrypt_cost = 8\n", "", before, "").Replace(testutil.ReadFile(t, config)) + after
			if err := os.WriteFile(config, []byte(replaced), 0o600); err != nil {
				t.Fatal(err)
			}
			restart()
			login("wrong", 401)
			login("right", 200)
			// The database is open in the other process, so look at hash_type or, if that stays the
			// same, wait for the end.
			if wantKind := map[bool]string{true: "argon2id", false: "bcrypt"}[strings.HasPrefix(wantAfter, "$argon")]; userState(t, s, "alice").BasicAuth.HashType != wantKind {
				deadline := time.Now().Add(5 * time.Second)
				for userState(t, s, "alice").BasicAuth.HashType != wantKind {
					if time.Now().After(deadline) {
						t.Fatalf("hash_type is not %s within 5 s", wantKind)
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
			login("right", 200)
			login("wrong", 401)
			got := userState(t, s, "alice")
			if got.QuotaRemaining != 50-used || got.Alias != "Alice A." || got.DateCreated != written.DateCreated || got.LastUpdated != written.LastUpdated {
				t.Errorf("after the upgrade: %+v, before: %+v", got, written)
			}
			upgraded := awaitHash(t, s, wantAfter, func() { restart(); login("right", 200) })

			// It happens only once.
			s.Stop()
			if again := storedHash(t, s.DataDir, wantAfter); again != upgraded {
				t.Errorf("the hash was replaced again: %s, then %s", upgraded, again)
			}
			if n := hashes(t, s.DataDir, wantBefore); n != 0 {
				t.Errorf("the old hash is still the user's")
			}
			restart()
			login("right", 200)
			if got := userState(t, s, "alice"); got.QuotaRemaining != 50-used {
				t.Errorf("%d of 50 are left after %d requests", got.QuotaRemaining, used)
			}
		})
	}
	f("cost", "", "\n[passwords]\nbcrypt_cost = 9\n", "$2a$08$", "$2a$09$")
	f("argon2id", "", "\n[passwords]\nhash = \"argon2id\"\n", "$2a$08$", "$argon2id$v=19$m=19456,t=2,p=1$")
}

// shown is the part of a session that these tests read.
type shown struct {
	Alias          string `json:"alias"`
	QuotaRemaining int64  `json:"quota_remaining"`
	DateCreated    string `json:"date_created"`
	LastUpdated    string `json:"last_updated"`
	BasicAuth      struct {
		HashType string `json:"hash_type"`
	} `json:"basic_auth_data"`
}

func userState(t *testing.T, s *sidekeytest.Sidekey, user string) (got shown) {
	t.Helper()
	status, answer, _ := s.Admin("GET", "/tyk/keys/"+user, "")
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, answer, err)
	}
	return got
}

// restarted starts the program again with the same folder and addresses.
func restarted(t *testing.T, s *sidekeytest.Sidekey, config string) *sidekeytest.Sidekey {
	t.Helper()
	path, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	again := *s
	again.Process = testutil.Start(t, path, "serve", "-config", config)
	again.Process.AwaitPort(strings.TrimPrefix(s.AdminURL, "http://"))
	again.Process.AwaitPort(s.CheckAddr)
	return &again
}

// awaitHash stops the program, which finishes what is in progress, and looks for the new hash in
// its database. If a replacement had not begun, it begins with the next login, which restart also
// sends.
func awaitHash(t *testing.T, s *sidekeytest.Sidekey, prefix string, restart func()) string {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		s.Stop()
		found := hashes(t, s.DataDir, prefix) == 1
		var hash string
		if found {
			hash = storedHash(t, s.DataDir, prefix)
		}
		restart()
		if found {
			return hash
		}
		if time.Now().After(deadline) {
			t.Fatalf("no hash %s… within 5 s", prefix)
		}
	}
}

// hashes counts the records whose password hash begins with prefix, in a database that no process
// has open.
func hashes(t *testing.T, dir, prefix string) (n int) {
	t.Helper()
	eachValue(t, dir, func(value string) { n += strings.Count(value, `"password":"`+prefix) })
	return n
}

func storedHash(t *testing.T, dir, prefix string) (hash string) {
	t.Helper()
	eachValue(t, dir, func(value string) {
		if _, rest, ok := strings.Cut(value, `"password":"`+prefix); ok {
			hash, _, _ = strings.Cut(prefix+rest, `"`)
		}
	})
	return hash
}

func eachValue(t *testing.T, dir string, f func(string)) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "sidekey.db"), 0o600, &bbolt.Options{Timeout: testutil.Patience, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(_, value []byte) error { f(string(value)); return nil })
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
