package auth

import (
	"testing"
	"time"

	"sidekey/auth/password"
	"sidekey/auth/session"
)

// The decoy is the hash of a user: that user's password is right under no other name.
func TestT10DecoyLetsNobodyIn(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	bcrypt := password.Bcrypt(4)
	hash, err := bcrypt.Make([]byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := password.NewPasswords(bcrypt, 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	census := password.NewCensus()
	census.Add(hash)
	p.SetCensus(census, []byte("key"))
	w.set(func(s *Settings) { s.Passwords = p })
	w.put("default", "ann", "pw", func(s *session.Session) { s.BasicAuth.Password = hash })
	w.want("ann", "pw", Pass)
	w.want("absent", "pw", BadCredentials)
	w.put("default", "without", "", nil)
	w.want("without", "pw", BadCredentials)
	if got := p.Counts(); got.Right != 1 || got.Wrong != 2 {
		t.Errorf("compared: %+v", got)
	}
}
